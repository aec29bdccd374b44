/**
 * CPU that a gateway spends on one accepted event with traces switched off, at the default share of 10 %, and with every event
 * traced; with a collector that takes what is exported. The whole process counts: spans, their batches, and sending them.
 *
 * The gateways take turns (gateway-turns.ts). Batches leave every few seconds, whoever's turn it is; so what a gateway does between its
 * turns is counted too, and spread over its events: the median of the rounds.
 *
 *     pnpm bench:telemetry [--events 15000] [--rounds 6] [--connections 32] [--only off,tenth] [--profile directory] [--quick]
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createLoad } from './gateway-load.ts'
import { takeTurns } from './gateway-turns.ts'
import { githubPayloads } from './payloads.ts'
import { LIMITS_OUT_OF_REACH, type ProbedServer, startProbedGateway } from './probed-server.ts'
import { SECRET } from './processes.ts'
import { headline, machine, median, printTable, quartiles, spread, target } from './table.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string' },
    rounds: { type: 'string' },
    connections: { type: 'string', default: '32' },
    only: { type: 'string' },
    profile: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
})
const events = Number(values.events ?? (values.quick ? 500 : 15_000))
const rounds = Number(values.rounds ?? (values.quick ? 1 : 6))
const connections = Number(values.connections)
/** Events of one gateway's turn. */
const SLICE = 250
const TURNS = Math.ceil(events / SLICE)
/**
 * At 10 % what traces is done 4,000 times until then: before, it runs as it was read, not as it was compiled, which a gateway that has
 * run for a minute has behind it.
 */
const WARM_UP = values.quick ? 1000 : 40_000
/** What telemetry may cost at the default share, % of the gateway's CPU. */
const GOAL = { atMost: 5 }

/** Share of the events that is traced; undefined = traces are switched off. */
const KINDS = {
  off: { label: 'off', rate: undefined },
  twin: { label: 'off, once more', rate: undefined },
  tenth: { label: '10 % (default)', rate: 0.1 },
  all: { label: '100 %', rate: 1 },
} as const
type Kind = keyof typeof KINDS
const kinds = (Object.keys(KINDS) as Kind[]).filter(
  (kind) => values.only === undefined || values.only.split(',').includes(kind),
)

/** Takes everything, and counts the requests. */
async function startCollector() {
  let requests = 0
  let bytes = 0
  const server = createServer((request, response) => {
    requests++
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    request.on('end', () => response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    counts: () => ({ requests, bytes }),
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

const collector = await startCollector()

function start(kind: Kind, redisUrl: string): Promise<ProbedServer> {
  const { rate } = KINDS[kind]
  const tracing = rate === undefined ? {} : { enabled: true, endpoint: collector.url, sampling_rate: rate }
  return startProbedGateway({
    redisUrl,
    config: { webhook: { security: LIMITS_OUT_OF_REACH }, observability: { tracing } },
    profile: values.profile && join(values.profile, kind),
  })
}

/** Spans of all rounds, by what became of them. */
const spans = new Map<Kind, Record<string, number>>(kinds.map((kind) => [kind, {}]))

async function countSpans(kind: Kind, { port }: ProbedServer): Promise<void> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const sums = spans.get(kind)!
  for (const [, result = '', count] of text.matchAll(/^webhook_trace_spans_total\{result="(\w+)"\} (\d+)$/gm))
    sums[result] = (sums[result] ?? 0) + Number(count)
}

const LOAD = 'GitHub examples'
const turns = await takeTurns({
  kinds,
  start,
  loads: { [LOAD]: createLoad(githubPayloads(), SECRET, connections) },
  events,
  rounds,
  slice: SLICE,
  warmUp: WARM_UP,
  atEnd: countSpans,
})
collector.close()

/** With what was left to be done between the turns. */
const allOf = (kind: Kind) => {
  const between = median(turns.between(kind))
  return turns.spent(LOAD, kind).map(({ gateway }) => gateway + between)
}
/** Medians of the rounds. */
const roundsOf = (kind: Kind) =>
  Array.from({ length: rounds }, (_, n) => median(allOf(kind).slice(n * TURNS, (n + 1) * TURNS)))
const base = (['off', 'twin'] as const).filter((kind) => kinds.includes(kind)).map(roundsOf)
/**
 * Of each round, against the mean of both gateways without traces. Not turn by turn: single turns are disturbed by more than what is looked
 * for, and more often upwards.
 */
const sharesOf = (kind: Kind) =>
  roundsOf(kind).map((used, round) => {
    const off = base.map((each) => each[round] as number)
    return 100 * ((used * off.length) / off.reduce((sum, each) => sum + each, 0) - 1)
  })
const rounded = (kind: Kind) => Math.round(median(sharesOf(kind)) * 10) / 10

console.log(
  `${machine({ Redis: turns.redisVersion })} · ${events} GitHub examples a round over ${connections} connections, ${rounds} rounds, interleaved by ${SLICE}; median (quartiles; of shares: median, least and most of the rounds)`,
)
printTable(
  'Gateway, per accepted event, by the share that is traced',
  [
    'traced',
    'CPU µs',
    'of it between turns',
    'more than both without, %',
    'spans exported',
    'failed or dropped',
    'goal',
  ],
  kinds.map((kind) => {
    const { exported = 0, failed = 0, dropped = 0 } = spans.get(kind)!
    return [
      KINDS[kind].label,
      quartiles(allOf(kind)),
      median(turns.between(kind)).toFixed(1),
      base.length === 0 ? '' : spread(sharesOf(kind), 1),
      String(exported),
      String(failed + dropped),
      kind === 'tenth' ? target(rounded(kind), GOAL, '%') : '',
    ]
  }),
)
const { requests, bytes } = collector.counts()
console.log(`\nThe collector took ${requests} requests, ${(bytes / 1e6).toFixed(1)} MB.`)
if (base.length > 0 && kinds.includes('tenth')) {
  const question = "what tracing a tenth of the events adds to the gateway's CPU"
  headline({ question, figure: rounded('tenth'), unit: '%', goal: GOAL })
}
