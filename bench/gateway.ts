/**
 * CPU that a gateway spends on one accepted event: a bare node:http server with HMAC and one dedupe+XADD script, Weir with
 * everything on, the same with encryption, Fastify with BullMQ's add, Fastify with a plain XADD, Express with what people ask
 * Redis for first (gateway-peer.ts). Also the CPU that Redis spends, by its own count. They take turns (gateway-turns.ts).
 *
 *     pnpm bench:gateway [--events 20000] [--rounds 5] [--connections 32] [--only weir,bare] [--profile directory] [--quick]
 */
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createLoad, type Load } from './gateway-load.ts'
import { takeTurns } from './gateway-turns.ts'
import { githubPayloads } from './payloads.ts'
import { LIMITS_OUT_OF_REACH, type ProbedServer, startProbed, startProbedGateway } from './probed-server.ts'
import { SECRET } from './processes.ts'
import { type Goal, headline, machine, median, printTable, quartiles } from './table.ts'

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
const events = Number(values.events ?? (values.quick ? 500 : 20_000))
const rounds = Number(values.rounds ?? (values.quick ? 1 : 5))
const connections = Number(values.connections)
/** Events of one gateway's turn. */
const SLICE = values.quick ? 250 : 500
const WARM_UP = values.quick ? 500 : 5000
const LABEL = {
  bare: 'bare node:http + script',
  weir: 'Weir',
  encrypted: 'Weir, encrypting',
  open: 'Weir, nothing verified or limited',
  fastify: 'Fastify + plain XADD',
  bullmq: 'Fastify + BullMQ add',
  express: 'Express + naive Redis',
}
type Kind = keyof typeof LABEL
const kinds = (Object.keys(LABEL) as Kind[]).filter(
  (kind) => values.only === undefined || values.only.split(',').includes(kind),
)

/** The push event of the figures, and all examples in turn (mean 9.9 KB). */
const examples = githubPayloads()
const push = examples.find(({ type }) => type === 'push')!
const PUSH = `push event, ${push.body.length} bytes`
const ALL = `${examples.length} GitHub examples`
const LOADS: Readonly<Record<string, Load>> = {
  [PUSH]: createLoad([push], SECRET, connections),
  [ALL]: createLoad(examples, SECRET, connections),
}

const CONFIG = { webhook: { security: LIMITS_OUT_OF_REACH } }
/** What verification and limits cost: the same without them. */
const OPEN = { webhook: { security: { enable_signature_verification: false, enable_rate_limiting: false } } }
const ENCRYPTION = {
  WEBHOOK_ENCRYPTION_ENABLED: 'true',
  ENCRYPTION_MASTER_KEY: randomBytes(36).toString('base64'),
}

function start(kind: Kind, redisUrl: string): Promise<ProbedServer> {
  const { profile } = values
  if (kind === 'weir' || kind === 'encrypted' || kind === 'open') {
    return startProbedGateway({
      redisUrl,
      config: kind === 'open' ? OPEN : CONFIG,
      env: kind === 'encrypted' ? ENCRYPTION : {},
      profile,
    })
  }
  return startProbed({
    program: [fileURLToPath(new URL('gateway-peer.ts', import.meta.url)), kind, redisUrl, SECRET],
    cwd: process.cwd(),
    env: { PATH: process.env.PATH, NODE_ENV: 'production' },
    profile,
  })
}

const turns = await takeTurns({ kinds, start, loads: LOADS, events, rounds, slice: SLICE, warmUp: WARM_UP })
const cpuOf = (load: string, kind: Kind) => turns.spent(load, kind).map(({ gateway }) => gateway)
/** By turn. */
const ratios = (load: string, kind: Kind, to: Kind) => {
  const others = cpuOf(load, to)
  return cpuOf(load, kind).map((cpu, turn) => cpu / others[turn]!)
}

console.log(
  `${machine({ Redis: turns.redisVersion })} · ${events} events of each load a round over ${connections} connections, ${rounds} rounds, interleaved by ${SLICE}; median (quartiles)`,
)
/** What is between two gateways, by how their events differ. */
const STEPS: readonly (readonly [string, Kind, Kind])[] = [
  ['verification and limits', 'open', 'weir'],
  ['encryption', 'weir', 'encrypted'],
]
for (const name of Object.keys(LOADS)) {
  printTable(
    `Gateway, per accepted event: ${name}`,
    ['gateway', 'CPU µs', 'vs bare', 'Redis CPU µs'],
    kinds.map((kind) => [
      LABEL[kind],
      quartiles(cpuOf(name, kind)),
      kinds.includes('bare') ? quartiles(ratios(name, kind, 'bare'), 2) : '',
      quartiles(turns.spent(name, kind).map(({ redis }) => redis)),
    ]),
  )
  const steps = STEPS.filter(([, without, with_]) => kinds.includes(without) && kinds.includes(with_))
  if (steps.length === 0) continue
  printTable(
    `What it adds, differences within a turn: ${name}`,
    ['', 'CPU µs'],
    steps.map(([what, without, with_]) => {
      const before = cpuOf(name, without)
      return [what, quartiles(cpuOf(name, with_).map((cpu, turn) => cpu - before[turn]!))]
    }),
  )
}

if (['open', 'weir', 'bare'].every((kind) => kinds.includes(kind as Kind))) {
  // 15 µs where the bare server takes 57, which this machine may not be.
  const [open, bare] = [cpuOf(PUSH, 'open'), cpuOf(PUSH, 'bare')]
  const added = median(cpuOf(PUSH, 'weir').map((cpu, turn) => cpu - open[turn]!))
  headline({
    question: 'CPU that verification and limits add to a push event, of what a bare server takes',
    figure: added / median(bare),
    unit: '×',
    goal: { atMost: 0.26 },
  })
}
const AGAINST: readonly (readonly [question: string, load: string, kind: Kind, to: Kind, goal?: Goal])[] = [
  ['CPU per push event against a bare server', PUSH, 'weir', 'bare', { atMost: 1.4 }],
  ['the same with encryption', PUSH, 'encrypted', 'bare', { atMost: 1.6 }],
  ['CPU per push event against Fastify + BullMQ', PUSH, 'weir', 'bullmq', { atMost: 1 }],
  ['CPU per push event against Fastify + plain XADD', PUSH, 'weir', 'fastify'],
  ['CPU per push event against Express + naive Redis', PUSH, 'weir', 'express'],
  ['CPU per event of all examples against a bare server', ALL, 'weir', 'bare'],
]
for (const [question, load, kind, to, goal] of AGAINST) {
  if (kinds.includes(kind) && kinds.includes(to))
    headline({ question, figure: median(ratios(load, kind, to)), unit: '×', ...(goal ? { goal } : {}) })
}
