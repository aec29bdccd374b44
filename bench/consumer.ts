/**
 * How many events per second one consumer process settles, and what CPU each costs: a bare XREADGROUP/XACK loop that
 * parses JSON; Weir without contexts, with a handler that does nothing, one that reads the payload, and one that does so in an
 * async function, and with contexts; a BullMQ worker (concurrency 100); a loop that pops from a list, as people write it first.
 * Interleaved rounds, medians.
 *
 *     pnpm bench:consumer [--events 20000] [--rounds 3] [--only weir,bullmq] [--quick]
 */
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { partitionKeys } from '@weir/core/keys'
import { connectRedis } from '@weir/core/redis/link'
import { createAdmitter } from '@weir/core/stream/admit'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { startRedis } from '../scripts/private-redis.ts'
import { describeExit, spawnTied } from '../scripts/tied-child.ts'
import { githubAdmissions } from './admissions.ts'
import { itemOf, QUEUE } from './naive-queue.ts'
import { deliveries } from './payloads.ts'
import { inPipeline } from './records.ts'
import { headline, machine, median, printTable, spread } from './table.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string' },
    rounds: { type: 'string' },
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
})
const events = Number(values.events ?? (values.quick ? 1000 : 20_000))
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
/** What is measured, and its name in the table. */
const KINDS = new Map([
  ['bare', 'bare loop, parses'],
  ['weir', 'Weir, no-op'],
  ['weir-reads', 'Weir, reads payload'],
  ['weir-async', 'Weir, async, reads payload'],
  ['weir-remembers', 'Weir, contexts, reads payload'],
  ['bullmq', 'BullMQ, no-op'],
  ['naive', 'BRPOP loop, parses'],
])
const kinds = [...KINDS.keys()].filter((kind) => values.only?.split(',').includes(kind) ?? true)

const names = {
  stream: 'webhook-events',
  deadLetters: 'webhook-events-dlq',
  group: 'webhook-processors',
  cluster: false,
}

/** Events that are put there at once. */
const DEPTH = 500

async function fill(kind: string, url: string): Promise<void> {
  const redis = new Redis(url, { protocol: 2 })
  if (kind === 'bullmq') {
    const queue = new Queue('webhooks', { connection: redis })
    let batch: Parameters<typeof queue.addBulk>[0] = []
    for (const { id, type, body } of deliveries(events, 'b')) {
      batch.push({ name: type, data: JSON.parse(body.toString()), opts: { jobId: id } })
      if (batch.length < DEPTH) continue
      await queue.addBulk(batch)
      batch = []
    }
    await queue.addBulk(batch)
    await queue.close()
  } else if (kind === 'bare') {
    await inPipeline(deliveries(events, 'r'), DEPTH, ({ id, type, body }) =>
      redis.call('XADD', 'bare', '*', 'id', id, 'type', type, 'body', body),
    )
  } else if (kind === 'naive') {
    await inPipeline(deliveries(events, 'n'), DEPTH, ({ id, type, body }) =>
      redis.lpush(QUEUE, itemOf(id, type, body)),
    )
  } else {
    const link = connectRedis({
      url,
      commandTimeoutMs: 30_000,
      connectTimeoutMs: 5000,
      reconnectMaxDelayMs: 500,
      name: 'fill',
    })
    await link.ready()
    const window = () => ({ duration: 300_000, maxSize: 1 })
    const admitter = createAdmitter({
      keys: partitionKeys(names),
      window,
      evidenceShards: 2048,
      now: Date.now,
    })
    await inPipeline(githubAdmissions(events, 'w'), DEPTH, (admission) => admitter.admit(link, admission))
    await link.close()
  }
  redis.disconnect()
}

const server = await startRedis({ appendfsync: 'no' })
const worker = fileURLToPath(new URL('consumer-worker.ts', import.meta.url))
const series = () => new Map(kinds.map((kind) => [kind, [] as number[]]))
const rates = series()
const costs = series()
const redisCosts = series()
const control = new Redis(server.url)
/** Seconds of CPU that Redis has used so far. */
const redisCpu = async () => {
  const info = await control.info('cpu')
  return ['sys', 'user'].reduce(
    (sum, part) => sum + Number(new RegExp(`used_cpu_${part}:([\\d.]+)`).exec(info)?.[1]),
    0,
  )
}
/** Lets a consumer of this kind take everything; seconds. */
async function drain(kind: string): Promise<{ wall: number; cpu: number }> {
  const { process: child, exit } = spawnTied(
    process.execPath,
    [...process.execArgv, worker, kind, server.url, String(events)],
    { stdio: ['ignore', 'pipe', 'inherit'], deathSignal: 'SIGKILL' },
  )
  const said = await text(child.stdout!)
  const ended = await exit
  if (ended.code !== 0) throw new Error(`the consumer ${kind} ended with ${describeExit(ended)}`)
  return JSON.parse(said)
}

for (let round = 0; round < rounds; round++) {
  for (const kind of kinds) {
    await control.flushall()
    await fill(kind, server.url)
    const before = await redisCpu()
    const { wall, cpu } = await drain(kind)
    rates.get(kind)!.push(events / wall)
    costs.get(kind)!.push((cpu / events) * 1e6)
    redisCosts.get(kind)!.push((((await redisCpu()) - before) / events) * 1e6)
  }
}
const version = /redis_version:(\S+)/.exec(await control.info('server'))?.[1] ?? 'unknown'
control.disconnect()
await server.stop()

console.log(
  `${machine({ Redis: version })} · ${events} GitHub example events, ${rounds} rounds, interleaved; median (min–max)`,
)
/** The median beside another kind's. */
const times = (all: Map<string, number[]>, kind: string, to: string) =>
  median(all.get(kind)!) / median(all.get(to)!)
const ratio = (all: Map<string, number[]>, kind: string, to: string) =>
  kinds.includes(to) ? `${times(all, kind, to).toFixed(2)}×` : ''
printTable(
  'Consumer',
  ['consumer', 'events/s', 'rate vs BullMQ', 'CPU µs/event', 'CPU vs bare', 'Redis CPU µs/event'],
  kinds.map((kind) => [
    KINDS.get(kind)!,
    spread(rates.get(kind)!, 0),
    ratio(rates, kind, 'bullmq'),
    spread(costs.get(kind)!),
    ratio(costs, kind, 'bare'),
    spread(redisCosts.get(kind)!),
  ]),
)
const AGAINST = [
  ['events per second of a no-op handler against BullMQ', rates, 'weir', 'bullmq', { atLeast: 2.5 }],
  ['its CPU per event against a bare loop that parses', costs, 'weir', 'bare', { atMost: 1.5 }],
  ['CPU per event of a handler that reads the payload against a BRPOP loop', costs, 'weir-reads', 'naive'],
] as const
for (const [question, all, kind, to, goal] of AGAINST) {
  if (kinds.includes(kind) && kinds.includes(to))
    headline({ question, figure: times(all, kind, to), unit: '×', ...(goal ? { goal } : {}) })
}
