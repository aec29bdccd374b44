/** What Weir holds of one tenant, in every place that it can reach: read before an erasure, and again after it. */
import type { EnrichmentKeys } from '@weir/ai/tenant-keys'
import type { TenantContexts, TenantObjects } from '@weir/context-lifecycle/erasure'
import type { TenantDictionaries } from '@weir/core/view/tenant-dictionaries'
import type { TenantEvents } from '@weir/core/view/tenant-events'
import type { Io } from './io.ts'
import { countedUses, type KeyUses } from './keyring.ts'
import type { Session } from './session.ts'

export interface Holdings {
  readonly events: TenantEvents
  readonly contexts: TenantContexts
  readonly cold: TenantObjects
  readonly dictionaries: TenantDictionaries
  readonly enrichment: EnrichmentKeys
  /** What of it is encrypted, and with which key. */
  readonly uses: readonly KeyUses[]
  /** Events of all tenants that gateways report in their spools. */
  readonly spooled: number
}

export const PLACES = {
  contexts: 'contexts, hot, warm and cold',
  cold_objects: 'objects in cold storage',
  cold_dictionaries: 'dictionaries in cold storage',
  dictionaries: 'learned dictionaries',
  parked: 'parked events',
  dead_letters: 'dead letters',
  stream_entries: 'entries of the stream',
  ai_cache: 'embeddings and summaries',
  ai_budget: 'counts of AI spending',
} as const

export type Counts = Readonly<Record<keyof typeof PLACES, number>>

/**
 * Reads everything. Rejects with a CommandFailure when it was stopped before the end, or with what a place that is away throws.
 * @param keyIds ids of the tenant's keys, destroyed ones too
 */
export async function surveyOf(
  session: Session,
  tenant: string,
  keyIds: ReadonlySet<string>,
  signal: Io['signal'],
): Promise<Holdings> {
  const { enrichmentKeysOf } = await import('@weir/ai/tenant-keys')
  const { readTenantContexts, readTenantObjects } = await import('@weir/context-lifecycle/erasure')
  const { loadBundledDictionaries } = await import('@weir/core/dictionaries')
  const { findTenantDictionaries } = await import('@weir/core/view/tenant-dictionaries')
  const { readGateways } = await import('@weir/core/view/status')
  const { sealedWith } = await import('@weir/security/envelope')
  const { partitions, view } = session
  const { places, store } = await session.contexts()
  // The way that events go, so that what moves meanwhile is counted twice rather than not at all.
  const events = await view.tenantEvents(tenant, signal)
  const contexts = await readTenantContexts(places, tenant, signal)
  const cold = await readTenantObjects(await store(), places, tenant, signal)
  const dictionaries = await findTenantDictionaries(partitions, {
    tenant,
    named: new Set([...events.dictionaries, ...contexts.dictionaries, ...cold.dictionaries]),
    others: new Set([...events.others, ...contexts.others, ...cold.others]),
    starters: new Set([...loadBundledDictionaries().values()].map(({ id }) => id)),
    keyOf: sealedWith,
    keyIds,
  })
  const { link, keys } = partitions[0]
  const enrichment = await enrichmentKeysOf(link, keys.ai, tenant)
  const uses = (await countedUses(session, { signal })).filter(
    (each) => each.tenant === tenant || (each.tenant === '' && keyIds.has(each.key)),
  )
  const gateways = await readGateways(partitions)
  const spooled = gateways.reduce((sum, gateway) => sum + gateway.spooled, 0)
  return { events, contexts, cold, dictionaries, enrichment, uses, spooled }
}

/** Events that somebody will still work on. */
export function waitingIn({ events }: Holdings): number {
  return events.unread + events.pending + events.held
}

/** How much is in each place; no place twice. Waiting events are stream entries, or parked and in hand. */
export function countsIn({ events, contexts, cold, dictionaries, enrichment }: Holdings): Counts {
  return {
    contexts: contexts.contexts,
    cold_objects: cold.objects,
    cold_dictionaries: cold.dictionaries.size,
    dictionaries: Math.max(dictionaries.ids.length, dictionaries.owners.length),
    parked: events.parked,
    dead_letters: events.dead,
    stream_entries: events.unread + events.pending + events.kept,
    ai_cache: enrichment.cached.length,
    ai_budget: enrichment.budget.length,
  }
}

/**
 * How much of that is not encrypted with a key that is destroyed: what somebody could still read.
 * @param destroyed ids of keys
 */
export function readableIn(holdings: Holdings, destroyed: ReadonlySet<string>): Counts {
  const counts = countsIn(holdings)
  const readable = holdings.uses.filter(({ kind, key }) => kind !== 'sealed' || !destroyed.has(key))
  const at = (place: keyof Counts, what: keyof KeyUses) =>
    Math.min(
      counts[place],
      readable.reduce((sum, each) => sum + Number(each[what]), 0),
    )
  return {
    ...counts,
    contexts: at('contexts', 'contexts'),
    dictionaries: at('dictionaries', 'dictionaries'),
    parked: at('parked', 'parked'),
    dead_letters: at('dead_letters', 'deadLetters'),
    stream_entries: at('stream_entries', 'entries'),
  }
}
