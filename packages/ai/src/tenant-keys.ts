/** What enrichment keeps of one tenant: embeddings, summaries, and what it has spent. Caches and counts, nobody's only copy. */
import type { RedisLink } from '@weir/core/redis/link'
import { keysWithPrefix } from '@weir/core/redis/scan'

export interface EnrichmentKeys {
  /** Embeddings and summaries. */
  readonly cached: readonly string[]
  /** What it has spent; no content. */
  readonly budget: readonly string[]
}

/** Keys removed at once. */
const PAGE = 200

/**
 * @param prefix beginning of every key, such as `{webhook-events}:ai:`
 * Throws Fault REDIS_UNAVAILABLE.
 */
export async function enrichmentKeysOf(
  link: RedisLink,
  prefix: string,
  tenant: string,
): Promise<EnrichmentKeys> {
  const cached: string[] = []
  // A name has no colon, so the tenant's name ends where the next one begins.
  for (const kind of ['embedding', 'summary'])
    cached.push(...(await keysWithPrefix(link, `${prefix}${kind}:${tenant}:`)))
  const budget = `${prefix}budget:${tenant}`
  return { cached, budget: (await link.call('EXISTS', budget)) === 1 ? [budget] : [] }
}

/** Throws Fault REDIS_UNAVAILABLE; a further run goes on. */
export async function removeEnrichment(link: RedisLink, { cached, budget }: EnrichmentKeys): Promise<void> {
  const keys = [...cached, ...budget]
  for (let at = 0; at < keys.length; at += PAGE) await link.call('UNLINK', ...keys.slice(at, at + PAGE))
}
