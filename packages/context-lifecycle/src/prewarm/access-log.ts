/**
 * The accesses of late, as `touchContext` notes them: `…:contexts:accesses` is a stream of one field, the 16 bytes of the context's id;
 * the id of an entry is when it was, Redis ms. Who read is not noted.
 *
 * One stream is all that habits are learnt from, those of the time of the day too: at 37 bytes for an access it needs no counts for each
 * hour beside it. It is bounded by count and by age, and ends by itself where nobody reads any more. The notes of a context that was
 * removed go with their age; until then they name nothing that there is.
 */
import type { RedisReply } from '@weir/core/redis/link'
import { type ContextId, contextIdFromBytes } from '../context-id.ts'
import type { ContextPlace } from '../context-place.ts'

/** Somebody read a context. */
export interface Access {
  readonly id: ContextId
  /** Redis ms */
  readonly at: number
}

export interface AccessLog {
  /**
   * The accesses since so long ago until now, of all shards. Only what has come since the last call is fetched.
   * @param now Redis ms
   * Throws Fault REDIS_UNAVAILABLE.
   */
  read(now: number): Promise<readonly Access[]>
}

/** Entries fetched at once: about a millisecond of Redis. */
const PAGE = 5_000

/** @param keepMs how far back accesses are of use, ms */
export function createAccessLog(places: readonly ContextPlace[], keepMs: number): AccessLog {
  const lasts: (string | undefined)[] = places.map(() => undefined)
  /** One text for each context, however often it was read. */
  const names = new Map<string, ContextId>()
  let known: Access[] = []

  async function fetched({ link, keys }: ContextPlace, shard: number, since: number): Promise<Access[]> {
    const found: Access[] = []
    for (;;) {
      const last = lasts[shard]
      const from = last === undefined ? String(since) : `(${last}`
      const page = (await link.call('XRANGE', keys.accesses, from, '+', 'COUNT', PAGE)) as RedisReply[]
      for (const entry of page) {
        const [id, fields] = entry as [Buffer, Buffer[]]
        const name = contextIdFromBytes(fields[1] as Buffer)
        if (!names.has(name)) names.set(name, name)
        lasts[shard] = String(id)
        found.push({ id: names.get(name) as ContextId, at: Number.parseInt(String(id), 10) })
      }
      if (page.length < PAGE) return found
    }
  }

  return {
    async read(now) {
      const since = Math.max(0, now - keepMs)
      const fresh = await Promise.all(places.map((place, shard) => fetched(place, shard, since)))
      known = [...known, ...fresh.flat()].filter(({ at }) => at >= since)
      if (names.size > 2 * known.length) names.clear()
      return known.filter(({ at }) => at <= now)
    },
  }
}
