/**
 * CPU that Redis spends on one admission, by its own count, at several pipeline depths: SET NX + XADD of the raw body
 * (the floor of what others do), and admission as the gateway does it: without limits, with the two default ones (large:
 * permits are leased), with a limit per minute for tenant and address (small: counted in the script), and with all four.
 *
 * The rows take turns of 4,000 events, so that all of them meet the same machine: with 20,000 at a stretch a row's cost at
 * depth 8 was 31 to 59 µs in three rounds. Who comes after whom changes with each turn: after the floor, with its large
 * bodies, a row cost 3 µs more. The append-only file is rewritten between the measurements only: by itself Redis
 * rewrote it while the floor's row ran, the one with the large bodies (65 µs in the median of four instead of 60).
 *
 *     pnpm bench:admission [--events 20000] [--rounds 3] [--quick]
 */

import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { systemClock } from '@weir/core/clock'
import { partitionKeys } from '@weir/core/keys'
import { connectRedis } from '@weir/core/redis/link'
import { defineScript } from '@weir/core/redis/script'
import { type Admission, createAdmitter } from '@weir/core/stream/admit'
import { createLimiter } from '@weir/core/stream/limiter'
import type { RateLimit } from '@weir/core/stream/limits'
import { Redis } from 'ioredis'
import { startRedis } from '../scripts/private-redis.ts'
import { githubAdmissions } from './admissions.ts'
import { deliveries } from './payloads.ts'
import { headline, machine, median, printTable, spread } from './table.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
})
const events = Number(values.events ?? (values.quick ? 1000 : 20_000))
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
const depths = [1, 8, 200]

/** Events of one row before it is the next one's turn. The number of rows is a prime, so that every stride meets each once. */
const TURN = 4000
const FLOOR_ROW = 'SET NX + XADD, raw body'
const DEFAULT_ROW = 'admission, the 2 default limits'
/** What the default limits may cost at the gateway's usual depth, against the floor. */
const DEPTH = 8
const GOAL = { atMost: 0.43 }

/** Every row has keys of its own. */
const keysOf = (row: string) =>
  partitionKeys({
    stream: `webhook-events ${row}`,
    deadLetters: `webhook-events-dlq ${row}`,
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
  [DEFAULT_ROW]: () => LARGE,
  'admission, 2 limits per minute': perMinute,
  'admission, all 4 limits': (event) => [...LARGE, ...perMinute(event)],
}
const FLOOR = defineScript(
  'floor',
  `if redis.call('SET', KEYS[1], '1', 'NX', 'PX', 300000) then return redis.call('XADD', KEYS[2], '*', 'id', ARGV[1], 'type', ARGV[2], 'body', ARGV[3]) end`,
)

const server = await startRedis({ appendfsync: 'no', args: ['--auto-aof-rewrite-percentage', '0'] })
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

interface Row {
  readonly name: string
  readonly items: readonly unknown[]
  run(items: readonly unknown[], depth: number): Promise<void>
}

function row<T>(name: string, items: readonly T[], work: (item: T) => Promise<unknown>): Row {
  return { name, items, run: (some, depth) => pipelined(some as readonly T[], depth, work) }
}

function floorRow(prefix: string): Row {
  return row(FLOOR_ROW, [...deliveries(events, prefix)], ({ id, type, body }) =>
    link.run(FLOOR, [`d:${id}`, 'raw'], [id, type, body]),
  )
}

function admissionRow(name: string, limits: (event: number) => readonly RateLimit[], prefix: string): Row {
  const keys = keysOf(name)
  const window = () => ({ duration: 300_000, maxSize: 1 })
  const admitter = createAdmitter({ keys, window, evidenceShards: 2048, now: Date.now })
  const limiter = createLimiter({
    placeOf: () => ({ link, keys }),
    now: () => performance.now(),
    wait: systemClock.wait,
    onLease: () => undefined,
    onError(error) {
      throw error
    },
  })
  const items = [...githubAdmissions(events, prefix)].map((item, i) => ({ ...item, limits: limits(i) }))
  return row(name, items, async (item: Admission) => {
    const permits = await limiter.take(item.limits, keys)
    if (permits.kind === 'limited') throw new Error('this program must not be limited')
    const { kind } = await admitter.admit(link, { ...item, limits: permits.counted })
    if (kind !== 'accepted') throw new Error(`an event was not accepted but ${kind}`)
  })
}

/** An empty server with an empty append-only file. */
async function emptied(): Promise<void> {
  await control.flushall()
  await control.bgrewriteaof()
  while (/aof_rewrite_(in_progress|scheduled):1/.test(await control.info('persistence'))) await wait(10)
}

/** By row and depth, one of each round: µs per event, and as a share of the floor's. */
const costs = new Map<string, number[]>()
const shares = new Map<string, number[]>()
const note = (to: Map<string, number[]>, key: string, value: number) =>
  to.set(key, [...(to.get(key) ?? []), value])

for (let round = 0; round < rounds; round++) {
  for (const depth of depths) {
    const prefix = `${round}-${depth}`
    const rows = [
      floorRow(prefix),
      ...Object.entries(LIMITS).map(([name, limits]) => admissionRow(name, limits, `${name} ${prefix}`)),
    ]
    await emptied()
    const used = new Map<string, number>()
    for (let from = 0; from < events; from += TURN) {
      const turn = from / TURN
      const stride = 1 + (turn % (rows.length - 1))
      for (let i = 0; i < rows.length; i++) {
        const { name, items, run } = rows[(turn + i * stride) % rows.length]!
        const before = await cpu()
        await run(items.slice(from, from + TURN), depth)
        used.set(name, (used.get(name) ?? 0) + (await cpu()) - before)
      }
    }
    const floor = used.get(FLOOR_ROW)!
    for (const [name, seconds] of used) {
      note(costs, `${name}\t${depth}`, (seconds / events) * 1e6)
      note(shares, `${name}\t${depth}`, seconds / floor)
    }
  }
}
const version = /redis_version:(\S+)/.exec(await control.info('server'))?.[1] ?? 'unknown'
control.disconnect()
await link.close()
await server.stop()

const names = Object.keys(LIMITS)
console.log(
  `${machine({ Redis: version })} · ${events} events, ${rounds} rounds, interleaved; median (min–max)`,
)
const head = ['script', ...depths.map((depth) => `depth ${depth}`)]
const table = (shown: readonly string[], of: Map<string, number[]>, digits: number) =>
  shown.map((name) => [name, ...depths.map((depth) => spread(of.get(`${name}\t${depth}`)!, digits))])
printTable('Redis CPU per admission, µs', head, table([FLOOR_ROW, ...names], costs, 1))
printTable('The same, against the raw body in the same round', head, table(names, shares, 2))
headline({
  question: `Redis CPU per admission at depth ${DEPTH}, default limits, against SET NX + XADD`,
  figure: median(shares.get(`${DEFAULT_ROW}\t${DEPTH}`)!),
  unit: '×',
  goal: GOAL,
})
