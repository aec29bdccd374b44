/**
 * CPU that a gateway spends on one accepted event: a bare node:http server with HMAC and one dedupe+XADD script, Weir with
 * everything on, the same with encryption, Fastify with BullMQ's add. Also the CPU that Redis spends, by its own count.
 *
 * In every round each gateway is started anew and warmed up; then they take turns, a slice of each load at a time, so
 * that whatever else happens on the machine happens to all of them. A ratio compares slices of the same turn, and what is
 * shown is the median of all turns with the middle half of them: sums would show the disturbances.
 *
 *     pnpm bench:gateway [--events 20000] [--rounds 5] [--connections 32] [--only weir] [--profile directory]
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Redis } from 'ioredis'
import { startRedis } from '../scripts/private-redis.ts'
import { createLoad, type Load, type Sender } from './gateway-load.ts'
import { githubPayloads } from './payloads.ts'
import { startProbed } from './probed-server.ts'
import { machine, printTable, quartiles } from './table.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '20000' },
    rounds: { type: 'string', default: '5' },
    connections: { type: 'string', default: '32' },
    only: { type: 'string' },
    profile: { type: 'string' },
  },
})
const events = Number(values.events)
const rounds = Number(values.rounds)
const connections = Number(values.connections)
/** Events of one gateway's turn. */
const SLICE = 500
const WARM_UP = 5000
const secret = 'benchmark-secret'
const LABEL = {
  bare: 'bare node:http + script',
  weir: 'Weir',
  encrypted: 'Weir, encrypting',
  open: 'Weir, nothing verified or limited',
  bullmq: 'Fastify + BullMQ add',
}
type Kind = keyof typeof LABEL
const kinds = (Object.keys(LABEL) as Kind[]).filter(
  (kind) => values.only === undefined || values.only.split(',').includes(kind),
)

/** The push event of the figures, and all examples in turn (mean 9.9 KB). */
const examples = githubPayloads()
const push = examples.find(({ type }) => type === 'push')!
const LOADS: Readonly<Record<string, Load>> = {
  [`push event, ${push.body.length} bytes`]: createLoad([push], secret, connections),
  [`${examples.length} GitHub examples`]: createLoad(examples, secret, connections),
}

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))

interface Contender {
  readonly kind: Kind
  /** By load. */
  readonly senders: ReadonlyMap<string, Sender>
  /** CPU used so far, µs. */
  cpu(): Promise<number>
  stop(): Promise<void>
}

/** The default limits stay on (they cost what they cost), but out of reach. */
const CONFIG =
  'webhook: { security: { global_rate_limit: 1000000, per_tool_rate_limits: { github: 1000000 } } }'
/** What verification and limits cost: the same without them. */
const OPEN = 'webhook: { security: { enable_signature_verification: false, enable_rate_limiting: false } }'

const ENCRYPTION = {
  WEBHOOK_ENCRYPTION_ENABLED: 'true',
  ENCRYPTION_MASTER_KEY: randomBytes(36).toString('base64'),
}

async function start(kind: Kind, url: string): Promise<Contender> {
  const data = mkdtempSync(join(tmpdir(), 'weir-bench-'))
  writeFileSync(join(data, 'config.yaml'), kind === 'open' ? OPEN : CONFIG)
  const program =
    kind !== 'bare' && kind !== 'bullmq'
      ? [here('../apps/ingest/src/main.ts')]
      : [here('gateway-peer.ts'), kind, url, secret]
  const server = await startProbed({
    program,
    cwd: data,
    env: {
      PATH: process.env.PATH,
      PORT: '0',
      REDIS_URL: url,
      WEIR_DATA_DIR: data,
      GITHUB_WEBHOOK_SECRET: secret,
      ...(kind === 'encrypted' ? ENCRYPTION : {}),
    },
    profile: values.profile,
  })
  const senders = new Map<string, Sender>()
  for (const [name, load] of Object.entries(LOADS)) senders.set(name, await load.connect(server.port))
  return {
    kind,
    senders,
    cpu: server.cpu,
    async stop() {
      for (const sender of senders.values()) sender.close()
      await server.stop()
      rmSync(data, { recursive: true, force: true })
    },
  }
}

const server = await startRedis({ appendfsync: 'no' })
const control = new Redis(server.url)
/** CPU that Redis has used so far, µs. */
const redisCpu = async () => {
  const info = await control.info('cpu')
  const seconds = (name: string) => Number(new RegExp(`${name}:([\\d.]+)`).exec(info)?.[1])
  return (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1e6
}

interface Spent {
  readonly gateway: number
  readonly redis: number
}
/** µs per event, by load and gateway, of each turn. */
const spent = new Map<string, Spent[]>()
const spentBy = (load: string, kind: Kind): Spent[] => {
  const key = `${load} ${kind}`
  if (!spent.has(key)) spent.set(key, [])
  return spent.get(key)!
}

for (let round = 0; round < rounds; round++) {
  await control.flushall()
  const contenders = await Promise.all(kinds.map((kind) => start(kind, server.url)))
  // Nobody always comes first.
  const order = contenders.map((_, i) => contenders[(i + round) % contenders.length]!)
  for (const { senders } of order) {
    for (const sender of senders.values()) await sender.run(WARM_UP / senders.size)
  }
  for (let done = 0; done < events; done += SLICE) {
    for (const name of Object.keys(LOADS)) {
      for (const { kind, senders, cpu } of order) {
        const [before, redisBefore] = [await cpu(), await redisCpu()]
        await senders.get(name)!.run(SLICE)
        const [after, redisAfter] = [await cpu(), await redisCpu()]
        spentBy(name, kind).push({
          gateway: (after - before) / SLICE,
          redis: (redisAfter - redisBefore) / SLICE,
        })
      }
    }
    await control.flushall()
  }
  for (const each of contenders) await each.stop()
}
const version = /redis_version:(\S+)/.exec(await control.info('server'))?.[1] ?? 'unknown'
control.disconnect()
await server.stop()

console.log(
  `${machine({ Redis: version })} · ${events} events of each load a round over ${connections} connections, ${rounds} rounds, interleaved by ${SLICE}; median (quartiles)`,
)
/** What is between two gateways, by how their events differ. */
const STEPS: readonly (readonly [string, Kind, Kind])[] = [
  ['verification and limits', 'open', 'weir'],
  ['encryption', 'weir', 'encrypted'],
]
for (const name of Object.keys(LOADS)) {
  const floor = kinds.includes('bare') ? spentBy(name, 'bare') : []
  printTable(
    `Gateway, per accepted event: ${name}`,
    ['gateway', 'CPU µs', 'vs bare', 'Redis CPU µs'],
    kinds.map((kind) => {
      const mine = spentBy(name, kind)
      const ratios = mine.map(({ gateway }, turn) => gateway / (floor[turn]?.gateway ?? Number.NaN))
      return [
        LABEL[kind],
        quartiles(mine.map(({ gateway }) => gateway)),
        floor.length === 0 ? '' : quartiles(ratios, 2),
        quartiles(mine.map(({ redis }) => redis)),
      ]
    }),
  )
  const steps = STEPS.filter(([, without, with_]) => kinds.includes(without) && kinds.includes(with_))
  if (steps.length === 0) continue
  printTable(
    `What it adds, differences within a turn: ${name}`,
    ['', 'CPU µs'],
    steps.map(([what, without, with_]) => {
      const before = spentBy(name, without)
      return [
        what,
        quartiles(spentBy(name, with_).map(({ gateway }, turn) => gateway - before[turn]!.gateway)),
      ]
    }),
  )
}
