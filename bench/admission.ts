/**
 * CPU that Redis spends on one admission, by its own count, at several pipeline depths: SET NX + XADD of the raw body
 * (the floor of what others do), admission without limits, with the two default limits, and with four.
 *
 *     pnpm bench:admission [--events 20000] [--rounds 3]
 */
import { parseArgs } from 'node:util'
import { partitionKeys } from '@weir/core/keys'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { defineScript } from '@weir/core/redis/script'
import { createAdmitter, type RateLimit } from '@weir/core/stream/admit'
import { Redis } from 'ioredis'
import { startRedis } from '../scripts/private-redis.ts'
import { githubAdmissions } from './admissions.ts'
import { deliveries } from './payloads.ts'
import { machine, printTable, spread } from './table.ts'

const { values } = parseArgs({
  options: { events: { type: 'string', default: '20000' }, rounds: { type: 'string', default: '3' } },
})
const events = Number(values.events)
const rounds = Number(values.rounds)
const depths = [1, 8, 64]

const keys = partitionKeys({
  stream: 'webhook-events',
  deadLetters: 'webhook-events-dlq',
  group: 'webhook-processors',
  cluster: false,
})
const limit = (type: RateLimit['type'], name: string): RateLimit => ({
  type,
  name,
  limit: 1e9,
  periodMs: 1000,
})
const LIMITS: Record<string, readonly RateLimit[]> = {
  'admission, no limits': [],
  'admission, 2 limits': [limit('global', 'all'), limit('tool', 'github')],
  'admission, 4 limits': [
    limit('global', 'all'),
    limit('tool', 'github'),
    limit('tenant', 'default'),
    limit('ip', 'a'),
  ],
}
const FLOOR = defineScript(
  'floor',
  `if redis.call('SET', KEYS[1], '1', 'NX', 'PX', 300000) then return redis.call('XADD', KEYS[2], '*', 'id', ARGV[1], 'type', ARGV[2], 'body', ARGV[3]) end`,
)

const server = await startRedis({ appendfsync: 'no' })
const control = new Redis(server.url)
const cpu = async () => {
  const info = await control.info('cpu')
  const seconds = (name: string) => Number(new RegExp(`${name}:([\\d.]+)`).exec(info)?.[1])
  return seconds('used_cpu_user') + seconds('used_cpu_sys')
}
const settings = {
  url: server.url,
  commandTimeoutMs: 30_000,
  connectTimeoutMs: 5000,
  reconnectMaxDelayMs: 500,
  name: 'bench',
}
const link = connectRedis(settings)
await link.ready()

/** Runs `work` over the items, `depth` at a time. */
async function pipelined<T>(items: readonly T[], depth: number, work: (item: T) => Promise<unknown>) {
  let next = 0
  await Promise.all(
    Array.from({ length: depth }, async () => {
      while (next < items.length) await work(items[next++]!)
    }),
  )
}

async function measure(run: (link: RedisLink) => Promise<void>): Promise<number> {
  await control.flushall()
  const before = await cpu()
  await run(link)
  return (((await cpu()) - before) / events) * 1e6
}

const results = new Map<string, number[]>()
const note = (name: string, depth: number, value: number) => {
  const key = `${name}\t${depth}`
  results.set(key, [...(results.get(key) ?? []), value])
}
for (let round = 0; round < rounds; round++) {
  for (const depth of depths) {
    const raw = [...deliveries(events, `f${round}-${depth}`)]
    note(
      'SET NX + XADD, raw body',
      depth,
      await measure((on) =>
        pipelined(raw, depth, ({ id, type, body }) => on.run(FLOOR, [`d:${id}`, 'raw'], [id, type, body])),
      ),
    )
    for (const [name, limits] of Object.entries(LIMITS)) {
      const window = () => ({ duration: 300_000, maxSize: 1 })
      const admitter = createAdmitter({ keys, window, evidenceShards: 4096, now: Date.now })
      const items = [...githubAdmissions(events, `${name}${round}-${depth}`, limits)]
      note(name, depth, await measure((on) => pipelined(items, depth, (item) => admitter.admit(on, item))))
    }
  }
}
const version = /redis_version:(\S+)/.exec(await control.info('server'))?.[1] ?? 'unknown'
control.disconnect()
await link.close()
await server.stop()

const shown = ['SET NX + XADD, raw body', ...Object.keys(LIMITS)]
console.log(
  `${machine({ Redis: version })} · ${events} events, ${rounds} rounds, interleaved; median (min–max)`,
)
printTable(
  'Redis CPU per admission, µs',
  ['script', ...depths.map((depth) => `depth ${depth}`)],
  shown.map((name) => [name, ...depths.map((depth) => spread(results.get(`${name}\t${depth}`)!))]),
)
