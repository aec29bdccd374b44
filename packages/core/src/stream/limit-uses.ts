/** What is counted against the limits in Redis now, for operators: read, and forgotten. Counting itself is in limits.ts. */
import type { Partition } from '../partition.ts'
import type { RedisReply } from '../redis/link.ts'
import { keysWithPrefix } from '../redis/scan.ts'
import { redisTime } from '../redis/time.ts'
import { limitKey, limitPartition, type RateLimit, SUB_PERIODS } from './limits.ts'

export interface LimitUse {
  readonly limit: RateLimit
  /** Counted in the period that ends now, with what gateways have leased and not spent. */
  readonly used: number
}

const LISTED = 108 // 'l'
const COUNTED = 99 // 'c'
const TIME_BYTES = 6
const COUNT_BYTES = 4
/** Where the counts of the sixteen sixteenths begin: after kind, number, newest count and sum. */
const PAST = 1 + TIME_BYTES + 2 * COUNT_BYTES

/** How many passed in the period that ends at `now`, as limits.ts would count them; 0 for what is no state. */
export function usedOf(state: Buffer, periodMs: number, now: number): number {
  if (state[0] === LISTED) {
    let used = 0
    for (let at = 1; at + TIME_BYTES <= state.length; at += TIME_BYTES) {
      const ago = now - state.readUIntBE(at, TIME_BYTES)
      if (ago < periodMs && ago > -periodMs) used += 1
    }
    return used
  }
  if (state[0] !== COUNTED || state.length < PAST + SUB_PERIODS * COUNT_BYTES) return 0
  const newest = state.readUInt32BE(1 + TIME_BYTES)
  const steps = Math.floor((now * SUB_PERIODS) / periodMs) - state.readUIntBE(1, TIME_BYTES)
  if (steps > SUB_PERIODS || steps < -SUB_PERIODS) return 0
  let used = newest
  for (let cell = Math.max(0, steps); cell < SUB_PERIODS; cell++)
    used += state.readUInt32BE(PAST + cell * COUNT_BYTES)
  return used
}

/**
 * What is counted against the limits whose type and name `limitOf` knows; it is asked for every one that is counted.
 * Throws Fault REDIS_UNAVAILABLE. Where the signal stops it, what was found until then.
 */
export async function readLimitUses(
  partitions: readonly Partition[],
  planned: number,
  limitOf: (type: string, name: string) => RateLimit | undefined,
  signal?: AbortSignal,
): Promise<LimitUse[]> {
  const uses: LimitUse[] = []
  for (const { link, keys } of partitions) {
    const prefix = `${keys.limits}:`
    for (const key of await keysWithPrefix(link, prefix, signal)) {
      const [type = '', ...rest] = key.slice(prefix.length).split(':')
      const limit = limitOf(type, rest.join(':'))
      // Where the number of partitions was changed, what is counted elsewhere counts no more.
      if (limit === undefined || limitPartition(limit, planned) !== keys.partition) continue
      const used = await usedNow({ link, keys }, limit)
      if (used > 0) uses.push({ limit, used })
    }
  }
  return uses
}

/** What is counted against one limit. */
export async function readLimitUse(
  partitions: readonly Partition[],
  planned: number,
  limit: RateLimit,
): Promise<LimitUse> {
  const place = partitions.find(({ keys }) => keys.partition === limitPartition(limit, planned))
  return { limit, used: place === undefined ? 0 : await usedNow(place, limit) }
}

async function usedNow({ link, keys }: Partition, limit: RateLimit): Promise<number> {
  const [state, now] = await Promise.all([link.call('GET', limitKey(keys, limit)), redisTime(link)])
  return Buffer.isBuffer(state) ? usedOf(state, limit.periodMs, now) : 0
}

/** Forgets what is counted against a limit; false when nothing is. Permits that gateways have leased stay with them. */
export async function resetLimit(partitions: readonly Partition[], limit: RateLimit): Promise<boolean> {
  const removed: RedisReply[] = await Promise.all(
    partitions.map(({ link, keys }) => link.call('DEL', limitKey(keys, limit))),
  )
  return removed.some((count) => Number(count) > 0)
}
