/**
 * The keys of contexts. Those of one shard share a hash tag: a shard is one slot of a Cluster, and a context lies in one
 * shard whole. Without a Cluster there is one shard, beside the stream.
 *
 * The index of events is spread over 16,384 small hashes, so that up to two million events of a shard cost about 30 bytes each.
 */
import type { ContextId } from './context-id.ts'

export interface ContextKeys {
  readonly shard: number
  /** zset: context → when something last happened to it (an event or an access), Redis ms. */
  readonly active: string
  /** hash: beginning of an event's id (8 bytes) → its context (16 bytes). */
  events(event: Buffer): string
  /** string: counters, identity, ids of its events (hot-head.ts). */
  head(id: ContextId): string
  /** list: digests of its events, in the order of their arrival. */
  log(id: ContextId): string
  /** list: their records, in the same order. */
  raw(id: ContextId): string
  /** hash: where the events are that the two lists do not hold any more (tiers/parts.ts). */
  parts(id: ContextId): string
  /** zset: contexts whose events name it → when something happened there last, ms (links.ts). */
  named(id: ContextId): string
  /** string: traces of its latest events, for its next enrichment (traces.ts). Goes by itself. */
  traces(id: ContextId): string
  /** zset: context with events in its lists → from when its stay there is counted, ms. */
  readonly hot: string
  /** zset: context with events in warm segments → the same. */
  readonly warm: string
  /** zset: context whose card is behind its events → since when, Redis ms. */
  readonly dirty: string
  /** zset: context whose card knows its events, and whose summary and embedding do not → since when, Redis ms. */
  readonly unenriched: string
  /** zset: context that was read while it was not hot → when, Redis ms. */
  readonly wanted: string
  /** stream: the accesses of late, for what they teach of the next ones (prewarm/access-log.ts). */
  readonly accesses: string
  /** hash: context that was made hot before it was asked for → what became of that so far (prewarm/foresights.ts). */
  readonly foresights: string
  /** zset: object that is being put into cold storage, or that others have superseded → since when, Redis ms. */
  readonly puts: string
  /** set: objects in cold storage that nothing refers to any more. */
  readonly garbage: string
  /** string: what is searched of it (search/card-bytes.ts). */
  card(id: ContextId): string
  /** zset: context → when its card changed, Redis µs; no two are the same. */
  readonly cards: string
  /** string: when the last card changed, Redis µs. It stays when that card goes, so that time never seems to go back. */
  readonly cardsChanged: string
}

export function contextKeys(stream: string, cluster: boolean, shard: number): ContextKeys {
  const base = cluster ? `${stream}:{c${shard}}` : `{${stream}}`
  return {
    shard,
    active: `${base}:contexts`,
    events: (event) => `${base}:contexts:events:${event.readUInt16BE(0) >> 2}`,
    head: (id) => `${base}:context:${id}`,
    log: (id) => `${base}:context:${id}:log`,
    raw: (id) => `${base}:context:${id}:raw`,
    parts: (id) => `${base}:context:${id}:parts`,
    named: (id) => `${base}:context:${id}:named`,
    traces: (id) => `${base}:context:${id}:traces`,
    hot: `${base}:contexts:hot`,
    warm: `${base}:contexts:warm`,
    dirty: `${base}:contexts:dirty`,
    unenriched: `${base}:contexts:unenriched`,
    wanted: `${base}:contexts:wanted`,
    accesses: `${base}:contexts:accesses`,
    foresights: `${base}:contexts:foresights`,
    puts: `${base}:contexts:puts`,
    garbage: `${base}:contexts:garbage`,
    card: (id) => `${base}:context:${id}:card`,
    cards: `${base}:contexts:cards`,
    cardsChanged: `${base}:contexts:cards:changed`,
  }
}
