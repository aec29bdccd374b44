/**
 * CPU that a gateway spends on one accepted event with traces switched off, at the default share of 10 %, and with every event
 * traced; with a collector that takes what is exported. The whole process counts: spans, their batches, and sending them.
 *
 * As bench/gateway.ts does it: every round starts the gateways anew and warms them up; then they take turns, a slice at a time, and
 * a share compares slices of the same turn. Batches leave once a second, whoever's turn it is; so what a gateway does between its
 * turns is counted too, and spread over its events: the median of the rounds.
 *
 *     pnpm bench:telemetry [--events 15000] [--rounds 6] [--connections 32] [--only off,tenth] [--profile directory]
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Redis } from 'ioredis'
import { startRedis } from '../scripts/private-redis.ts'
import { createLoad, type Sender } from './gateway-load.ts'
import { githubPayloads } from './payloads.ts'
import { startProbed } from './probed-server.ts'
import { machine, median, printTable, quartiles, target } from './table.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '15000' },
    rounds: { type: 'string', default: '6' },
    connections: { type: 'string', default: '32' },
    only: { type: 'string' },
    profile: { type: 'string' },
  },
})
const events = Number(values.events)
const rounds = Number(values.rounds)
const connections = Number(values.connections)
/** Events of one gateway's turn. */
const SLICE = 250
/** At 10 % what traces is done 2,000 times until then: before, it runs as it was read, not as it was compiled. */
const WARM_UP = 20_000
/** What telemetry may cost at the default share, % of the gateway's CPU. */
const GOAL = 5
const secret = 'benchmark-secret'

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

const examples = githubPayloads()
const load = createLoad(examples, secret, connections)

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

interface Contender {
  readonly kind: Kind
  run(count: number): Promise<void>
  cpu(): Promise<number>
  /** Spans by what became of them. */
  spans(): Promise<Readonly<Record<string, number>>>
  stop(): Promise<void>
}

async function start(kind: Kind, url: string, endpoint: string): Promise<Contender> {
  const data = mkdtempSync(join(tmpdir(), 'weir-bench-'))
  const { rate } = KINDS[kind]
  const tracing = rate === undefined ? {} : { enabled: true, endpoint, sampling_rate: rate }
  // The default limits stay on (they cost what they cost), but out of reach.
  const security = { global_rate_limit: 1e6, per_tool_rate_limits: { github: 1e6 } }
  writeFileSync(
    join(data, 'config.yaml'),
    JSON.stringify({ webhook: { security }, observability: { tracing } }),
  )
  const server = await startProbed({
    program: [fileURLToPath(new URL('../apps/ingest/src/main.ts', import.meta.url))],
    cwd: data,
    env: {
      PATH: process.env.PATH,
      PORT: '0',
      REDIS_URL: url,
      WEIR_DATA_DIR: data,
      GITHUB_WEBHOOK_SECRET: secret,
    },
    profile: values.profile && join(values.profile, kind),
  })
  let sender: Sender | undefined
  return {
    kind,
    // Not before it has something to send: a connection that stays silent is closed.
    async run(count) {
      sender ??= await load.connect(server.port)
      await sender.run(count)
    },
    cpu: server.cpu,
    async spans() {
      const text = await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text()
      const found = text.matchAll(/^webhook_trace_spans_total\{result="(\w+)"\} (\d+)$/gm)
      return Object.fromEntries([...found].map(([, result, count]) => [result, Number(count)]))
    },
    async stop() {
      sender?.close()
      await server.stop()
      rmSync(data, { recursive: true, force: true })
    },
  }
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => [Math.random(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item)
}

const server = await startRedis({ appendfsync: 'no' })
const control = new Redis(server.url)
const collector = await startCollector()
/** µs per event of each turn. */
const spent = new Map<Kind, number[]>(kinds.map((kind) => [kind, []]))
/** µs per event between the turns, of each round. */
const between = new Map<Kind, number[]>(kinds.map((kind) => [kind, []]))
const seen = new Map<Kind, Record<string, number>>(kinds.map((kind) => [kind, {}]))

for (let round = 0; round < rounds; round++) {
  await control.flushall()
  const contenders = await Promise.all(kinds.map((kind) => start(kind, server.url, collector.url)))
  const order = contenders.map((_, i) => contenders[(i + round) % contenders.length]!)
  for (const { run } of order) await run(WARM_UP)
  const turns = new Map<Kind, number[]>(kinds.map((kind) => [kind, []]))
  const begin = new Map<Kind, number>()
  const ownTurns = new Map<Kind, number>(kinds.map((kind) => [kind, 0]))
  for (const { kind, cpu } of order) begin.set(kind, await cpu())
  for (let done = 0; done < events; done += SLICE) {
    // Who comes after whom must not matter: the one before leaves its batches to be sent, and the caches as it likes them.
    for (const { kind, run, cpu } of shuffled(contenders)) {
      const before = await cpu()
      await run(SLICE)
      const used = (await cpu()) - before
      turns.get(kind)!.push(used / SLICE)
      ownTurns.set(kind, ownTurns.get(kind)! + used)
    }
    await control.flushall()
  }
  for (const { kind, cpu, spans } of order) {
    const rest = ((await cpu()) - begin.get(kind)! - ownTurns.get(kind)!) / events
    between.get(kind)!.push(rest)
    for (const turn of turns.get(kind)!) spent.get(kind)!.push(turn)
    for (const [result, count] of Object.entries(await spans())) {
      const sums = seen.get(kind)!
      sums[result] = (sums[result] ?? 0) + count
    }
  }
  for (const each of contenders) await each.stop()
}
const version = /redis_version:(\S+)/.exec(await control.info('server'))?.[1] ?? 'unknown'
control.disconnect()
await server.stop()
collector.close()

/** With what was left to be done between the turns. */
const allOf = (kind: Kind) => spent.get(kind)!.map((used) => used + median(between.get(kind)!))
const off = kinds.includes('off') ? allOf('off') : []
const sharesOf = (kind: Kind) => allOf(kind).map((used, turn) => 100 * (used / (off[turn] ?? Number.NaN) - 1))

console.log(
  `${machine({ Redis: version })} · ${events} GitHub examples a round over ${connections} connections, ${rounds} rounds, interleaved by ${SLICE}; median (quartiles)`,
)
printTable(
  'Gateway, per accepted event, by the share that is traced',
  [
    'traced',
    'CPU µs',
    'of it between turns',
    'more than off, %',
    'spans exported',
    'failed or dropped',
    'goal',
  ],
  kinds.map((kind) => {
    const { exported = 0, failed = 0, dropped = 0 } = seen.get(kind)!
    return [
      KINDS[kind].label,
      quartiles(allOf(kind)),
      median(between.get(kind)!).toFixed(1),
      kind === 'off' ? '' : quartiles(sharesOf(kind)),
      String(exported),
      String(failed + dropped),
      kind === 'tenth' ? target(Math.round(median(sharesOf(kind)) * 10) / 10, GOAL, '%') : '',
    ]
  }),
)
const { requests, bytes } = collector.counts()
console.log(`\nThe collector took ${requests} requests, ${(bytes / 1e6).toFixed(1)} MB.`)
