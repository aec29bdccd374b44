import type { RedisReply } from '@weir/core/redis/link'
import type { ContextId } from './context-id.ts'
import type { ContextPlace } from './context-place.ts'

export interface ActiveContext {
  readonly id: ContextId
  /** When something last happened to it, ms. */
  readonly activeAt: number
}

/** How many there are in these places. Throws Fault REDIS_UNAVAILABLE. */
export async function countContexts(places: readonly ContextPlace[]): Promise<number> {
  const counts = await Promise.all(places.map(({ link, keys }) => link.call('ZCARD', keys.active)))
  return counts.reduce<number>((sum, count) => sum + Number(count), 0)
}

const SCAN_COUNT = 1_000

/**
 * The contexts in one place, a few at a time. ZSCAN finds every one that is there from beginning to end, whatever happens to it
 * meanwhile; by rank, one that somebody reads would move behind the reader. While contexts are made, one may come twice. Throws
 * Fault REDIS_UNAVAILABLE.
 */
export async function* contextsIn(
  { link, keys }: ContextPlace,
  atOnce: number,
  signal?: AbortSignal,
): AsyncGenerator<readonly ActiveContext[]> {
  let cursor = '0'
  do {
    const page = await link.call('ZSCAN', keys.active, cursor, 'COUNT', SCAN_COUNT)
    const [next, flat] = page as [RedisReply, RedisReply[]]
    const found = flat.flatMap((id, at) =>
      at % 2 === 0 ? [{ id: String(id), activeAt: Number(flat[at + 1]) }] : [],
    )
    for (let at = 0; at < found.length; at += atOnce) {
      if (signal?.aborted) return
      yield found.slice(at, at + atOnce)
    }
    cursor = String(next)
  } while (cursor !== '0' && !signal?.aborted)
}
