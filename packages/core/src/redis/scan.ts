import type { RedisLink, RedisReply } from './link.ts'

/** Keys looked at in one step. */
const SCAN_COUNT = 1_000

/**
 * The keys that begin so, each once, on the server that the link goes to: those that are there from beginning to end, and perhaps
 * others. Where the signal stops it, those found until then. Throws Fault REDIS_UNAVAILABLE.
 */
export async function keysWithPrefix(
  link: RedisLink,
  prefix: string,
  signal?: AbortSignal,
): Promise<Set<string>> {
  const pattern = `${prefix.replaceAll(/[\\*?[\]]/g, '\\$&')}*`
  const found = new Set<string>()
  let cursor = '0'
  do {
    if (signal?.aborted) return found
    const page = await link.call('SCAN', cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT)
    const [next, names] = page as [RedisReply, RedisReply[]]
    for (const name of names) found.add(String(name))
    cursor = String(next)
  } while (cursor !== '0')
  return found
}
