/**
 * CPU that Redis spends on one admission, by its own count, at several pipeline depths: SET NX + XADD of the raw body
 * (the floor of what others do), and admission as the gateway does it: without limits, with the two default ones (large:
 * permits are leased), with a limit per minute for tenant and address (small: counted in the script), and with all four.
 *
 *     pnpm bench:admission [--events 20000] [--rounds 3]
 */
import { parseArgs } from 'node:util'
import { partitionKeys } from '@weir/core/keys'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { defineScript } from '@weir/core/redis/script'
import { type Admission, createAdmitter } from '@weir/core/stream/admit'
import { createLimiter } from '@weir/core/stream/limiter'
import type { RateLimit } from '@weir/core/stream/limits'
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
const depths = [1, 8, 200]

const keys = partitionKeys({
  stream: 'webhook-events',
  deadLetters: 'webhook-events-dlq',
  group: 'webhook-processors',
  cluster: false,
})
/** Raised so that nothing is refused at the rate of this program; what a limit costs does not depend on its height. */
const LARGE: readonly RateLimit[] = (['global', 'tool'] as const).map((type) => ({
  type,
  name: 'all',
  limit: 200_000,
  periodMs: 1000,
}))
/** 100 a minute; after 90 events comes the next tenant from the next address. */
const perMinute = (event: number): RateLimit[] =>
  (['tenant', 'ip'] as const).map((type) => ({
    type,
    name: String(Math.floor(event / 90)),
    limit: 100,
    periodMs: 60_000,
  }))
const LIMITS: Record<string, (event: number) => readonly RateLimit[]> = {
  'admission, no limits': () => [],
  'admission, the 2 default limits': () => LARGE,
  'admission, 2 limits per minute': perMinute,
  'admission, all 4 limits': (event) => [...LARGE, ...perMinute(event)],
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
      const limiter = createLimiter({
        placeOf: () => ({ link, keys }),
        now: () => performance.now(),
        onLease: () => undefined,
        onError(error) {
          throw error
        },
      })
      const items = [...githubAdmissions(events, `${name}${round}-${depth}`)].map((item, i) => ({
        ...item,
        limits: limits(i),
      }))
      const admit = async (on: RedisLink, item: Admission) => {
        const permits = await limiter.take(item.limits, keys)
        if (permits.kind === 'limited') throw new Error('this program must not be limited')
        const { kind } = await admitter.admit(on, { ...item, limits: permits.counted })
        if (kind !== 'accepted') throw new Error(`an event was not accepted but ${kind}`)
      }
      note(name, depth, await measure((on) => pipelined(items, depth, (item) => admit(on, item))))
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
