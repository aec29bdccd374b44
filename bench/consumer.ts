/**
 * How many events per second one consumer process settles, and what CPU each costs: a bare XREADGROUP/XACK loop that
 * parses JSON, Weir with a no-op handler, a BullMQ worker (concurrency 100). Interleaved rounds, medians.
 *
 *     pnpm bench:consumer [--events 20000] [--rounds 3]
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
const kinds = (['bare', 'weir', 'bullmq'] as const).filter(
  (kind) => values.only === undefined || values.only === kind,
)

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
      batch.push({ name: type, data: { type, body: body.toString() }, opts: { jobId: id } })
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
const rates: Record<string, number[]> = { bare: [], weir: [], bullmq: [] }
const costs: Record<string, number[]> = { bare: [], weir: [], bullmq: [] }
const memory: Record<string, number[]> = { bare: [], weir: [], bullmq: [] }
const control = new Redis(server.url)
const usedMemory = async () => Number(/used_memory:(\d+)/.exec(await control.info('memory'))?.[1])
for (let round = 0; round < rounds; round++) {
  for (const kind of kinds) {
    await control.flushall()
    const before = await usedMemory()
    await fill(kind, server.url)
    memory[kind]!.push(((await usedMemory()) - before) / events)
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...process.execArgv,
      worker,
      kind,
      server.url,
      String(events),
    ])
    const { wall, cpu } = JSON.parse(stdout) as { wall: number; cpu: number }
    rates[kind]!.push(events / wall)
    costs[kind]!.push((cpu / events) * 1e6)
  }
}
const version = /redis_version:(\S+)/.exec(await control.info('server'))?.[1] ?? 'unknown'
control.disconnect()
await server.stop()

console.log(
  `${machine({ Redis: version })} · ${events} GitHub example events, ${rounds} rounds, interleaved; median (min–max)`,
)
printTable(
  'Consumer, no-op handler',
  ['consumer', 'events/s', 'CPU µs/event', 'CPU vs bare', 'rate vs BullMQ', 'Redis bytes per waiting event'],
  kinds.map((kind) => [
    kind,
    spread(rates[kind]!, 0),
    spread(costs[kind]!),
    kinds.includes('bare') ? `${(median(costs[kind]!) / median(costs.bare!)).toFixed(2)}×` : '',
    kinds.includes('bullmq') ? `${(median(rates[kind]!) / median(rates.bullmq!)).toFixed(2)}×` : '',
    spread(memory[kind]!, 0),
  ]),
)
