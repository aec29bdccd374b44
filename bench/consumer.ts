/**
 * How many events per second one consumer process settles, and what CPU each costs: a bare XREADGROUP/XACK loop that
 * parses JSON; Weir without contexts, with a handler that does nothing, one that reads the payload, and one that does so in an
 * async function, and with contexts; a BullMQ worker (concurrency 100). Interleaved rounds, medians.
 *
 *     pnpm bench:consumer [--events 20000] [--rounds 3] [--only weir,bullmq]
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { partitionKeys } from '@weir/core/keys'
import { connectRedis } from '@weir/core/redis/link'
import { createAdmitter } from '@weir/core/stream/admit'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { startRedis } from '../scripts/private-redis.ts'
import { githubAdmissions } from './admissions.ts'
import { deliveries } from './payloads.ts'
import { machine, median, printTable, spread } from './table.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '20000' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string' },
  },
})
const events = Number(values.events)
const rounds = Number(values.rounds)
/** What is measured, and its name in the table. */
const KINDS = new Map([
  ['bare', 'bare loop, parses'],
  ['weir', 'Weir, no-op'],
  ['weir-reads', 'Weir, reads payload'],
  ['weir-async', 'Weir, async, reads payload'],
  ['weir-remembers', 'Weir, contexts, reads payload'],
  ['bullmq', 'BullMQ, no-op'],
])
const kinds = [...KINDS.keys()].filter((kind) => values.only?.split(',').includes(kind) ?? true)

const names = {
  stream: 'webhook-events',
  deadLetters: 'webhook-events-dlq',
  group: 'webhook-processors',
  cluster: false,
}

async function fill(kind: string, url: string): Promise<void> {
  const redis = new Redis(url, { protocol: 2 })
  if (kind === 'bullmq') {
    const queue = new Queue('webhooks', { connection: redis })
    let batch: Parameters<typeof queue.addBulk>[0] = []
    for (const { id, type, body } of deliveries(events, 'b')) {
      batch.push({ name: type, data: JSON.parse(body.toString()), opts: { jobId: id } })
      if (batch.length < 500) continue
      await queue.addBulk(batch)
      batch = []
    }
    await queue.addBulk(batch)
    await queue.close()
  } else if (kind === 'bare') {
    const waiting: Promise<unknown>[] = []
    for (const { id, type, body } of deliveries(events, 'r')) {
      waiting.push(redis.call('XADD', 'bare', '*', 'id', id, 'type', type, 'body', body))
      if (waiting.length === 500) await Promise.all(waiting.splice(0))
    }
    await Promise.all(waiting)
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
      evidenceShards: 4096,
      now: Date.now,
    })
    const waiting: Promise<unknown>[] = []
    for (const admission of githubAdmissions(events, 'w')) {
      waiting.push(admitter.admit(link, admission))
      if (waiting.length === 500) await Promise.all(waiting.splice(0))
    }
    await Promise.all(waiting)
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
for (let round = 0; round < rounds; round++) {
  for (const kind of kinds) {
    await control.flushall()
    await fill(kind, server.url)
    const before = await redisCpu()
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...process.execArgv,
      worker,
      kind,
      server.url,
      String(events),
    ])
    const { wall, cpu } = JSON.parse(stdout) as { wall: number; cpu: number }
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
/** The median beside another kind's, `1.00×`. */
const ratio = (all: Map<string, number[]>, kind: string, to: string) =>
  kinds.includes(to) ? `${(median(all.get(kind)!) / median(all.get(to)!)).toFixed(2)}×` : ''
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
