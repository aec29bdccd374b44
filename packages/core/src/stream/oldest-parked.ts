/**
 * How long the oldest parked event has been under way, since it was accepted. Parked events are in the order in which they are due, so
 * all have to be looked at; of very many, those due first and those due last: who failed most often waits longest.
 */
import type { PartitionKeys } from '../keys.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { redisTime } from '../redis/time.ts'
import { streamIdMillis } from './stream-id.ts'

/** Parked events looked at, most. Of more the answer is how old the oldest is at least. */
export const MOST_PARKED_LOOKS = 10_000
/** Looked at in one command, so that Redis is not kept from its other clients: 0.2 ms. */
const PAGE = 1_000

/** ms; 0 when none is parked. Throws Fault REDIS_UNAVAILABLE. */
export async function oldestParkedAge(
  link: RedisLink,
  keys: Pick<PartitionKeys, 'parkedDue'>,
): Promise<number> {
  const count = Number(await link.call('ZCARD', keys.parkedDue))
  if (count === 0) return 0
  const half = count > MOST_PARKED_LOOKS ? MOST_PARKED_LOOKS / 2 : count
  const pages: Promise<RedisReply>[] = []
  for (let from = 0; from < half; from += PAGE)
    pages.push(link.call('ZRANGE', keys.parkedDue, from, Math.min(from + PAGE, half) - 1))
  if (half < count) {
    for (let from = 0; from < half; from += PAGE)
      pages.push(link.call('ZREVRANGE', keys.parkedDue, from, Math.min(from + PAGE, half) - 1))
  }
  let oldest = Number.POSITIVE_INFINITY
  for (const page of await Promise.all(pages)) {
    for (const id of page as Buffer[]) oldest = Math.min(oldest, streamIdMillis(String(id)))
  }
  // All may have left meanwhile.
  return oldest === Number.POSITIVE_INFINITY ? 0 : Math.max(0, (await redisTime(link)) - oldest)
}
