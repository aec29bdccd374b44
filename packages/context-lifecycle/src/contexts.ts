/**
 * The contexts of a pipeline: events go in, and what happened around a subject comes out. One of these serves a process;
 * the consumer appends, the operations API and webhook-cli read.
 */
import type { Subject } from '@weir/core/adapters/adapter'
import { type EventId, eventIdBytes } from '@weir/core/event'
import { type Fault, isFault } from '@weir/core/faults'
import type { HandlerEvent } from '@weir/core/handlers/handler'
import { NO_KEYRING, type Sealing } from '@weir/core/keyring/keyring'
import type { Packed } from '@weir/core/packing'
import type { EventRecord } from '@weir/core/record'
import type { RedisReply } from '@weir/core/redis/link'
import { type Context, composeContext, type Tier, type TimelineEntry } from './compose.ts'
import { type ContextId, contextIdFromBytes, contextIdOf } from './context-id.ts'
import type { ContextPlace } from './context-place.ts'
import type { Reference } from './digest.ts'
import { digestOf } from './digest-of.ts'
import { decodeLogElement, decodeRawElement, encodeLogElement, encodeRawElement } from './elements.ts'
import { clearIdentity, decodeHead, encodeIdentity, type Head, ID_BYTES } from './head.ts'
import { type AccessNotes, createAppends, touchContext } from './hot-append.ts'
import { namedBy } from './links.ts'
import { openedFor } from './opening.ts'
import type { Summary } from './search/card.ts'
import { readCard } from './search/read-card.ts'
import type { Look } from './tiers/look.ts'
import type { Reader } from './tiers/reader.ts'
import { noteTrace } from './traces.ts'

export interface ContextsOptions {
  /** Every shard, in their order. */
  readonly places: readonly [ContextPlace, ...ContextPlace[]]
  placeOf(id: ContextId): ContextPlace
  /** For what is encrypted; undefined without a master key. */
  readonly keyring: Sealing | undefined
  /** Whether what is written is. */
  readonly encrypts: boolean
  /** For what is in the contexts, in whatever tier. */
  readonly reader: Reader
  /** How accesses are noted; undefined = they are only counted. */
  readonly accessNotes: AccessNotes | undefined
}

export interface ContextSummary {
  readonly id: ContextId
  readonly tenant: string
  readonly tool: string
  readonly kind: string
  readonly subject: string
  readonly events: number
  readonly accesses: number
  /** When something last happened to it: an event or an access, ms. */
  readonly activeAt: number
  readonly tier: Tier
}

export interface ReadOptions {
  /** Newest events in the timeline at most; default: all. */
  readonly limit?: number
  /** Counts as an access; default: false. */
  readonly access?: boolean
  /** That was just taken, and spares another. */
  readonly look?: Look
}

export interface ListOptions {
  readonly tenant?: string | undefined
  readonly tool?: string | undefined
  /** At most so many. */
  readonly limit: number
  /** Told of each one that is left out because it cannot be opened, of whatever tenant and tool. */
  readonly onUnreadable?: (id: ContextId, why: Fault) => void
}

export interface Contexts {
  /**
   * Puts an event into its context, once. Resolves with the context and how many events it has now; `events` undefined =
   * it was there. Throws Fault REDIS_UNAVAILABLE, REDIS_OUT_OF_MEMORY, or what `Sealing.prepare` throws.
   * @param traceparent of the trace that the context's next enrichment joins; '' = none
   */
  append(
    event: HandlerEvent,
    record: EventRecord,
    traceparent?: string,
  ): Promise<{ readonly context: ContextId; readonly events: number | undefined }>
  /**
   * undefined when there is no such context. Events that cold storage does not give now are told (`withheld`). Throws Fault
   * REDIS_UNAVAILABLE, RECORD_CORRUPT, KEY_MISSING, KEY_DESTROYED.
   */
  read(id: ContextId, options?: ReadOptions): Promise<Context | undefined>
  /** The record of one of its events; undefined when it has none. Throws as `read`, and Fault COLD_UNAVAILABLE or COLD_REFUSED. */
  record(id: ContextId, event: EventId): Promise<Packed | undefined>
  /** The context that an event is in; undefined when it is in none (yet, or any more). Throws Fault REDIS_UNAVAILABLE. */
  contextOf(event: EventId): Promise<ContextId | undefined>
  /** What has happened, in a few sentences; undefined where nobody has written it (yet). Throws Fault REDIS_UNAVAILABLE, KEY_MISSING. */
  summary(id: ContextId): Promise<Summary | undefined>
  /** Subjects whose events name it, where something happened last first; without those that are gone or cannot be opened. Throws Fault REDIS_UNAVAILABLE. */
  namedBy(id: ContextId): Promise<readonly Reference[]>
  /** Newest first. Contexts that cannot be opened are left out. Throws Fault REDIS_UNAVAILABLE. */
  list(options: ListOptions): Promise<readonly ContextSummary[]>
}

/** Elements read from a list at once. */
const PAGE = 1_000

export function createContexts(options: ContextsOptions): Contexts {
  const { places, placeOf, keyring, encrypts, reader, accessNotes } = options
  const opener = keyring ?? NO_KEYRING
  const appends = createAppends()

  async function headOf(id: ContextId): Promise<Head | undefined> {
    const { link, keys } = placeOf(id)
    const bytes = await link.call('GET', keys.head(id))
    if (!Buffer.isBuffer(bytes)) return undefined
    return openedFor(opener, clearIdentity(bytes)?.tenant, () => decodeHead(id, bytes, opener))
  }

  /** The entries of a log, without those whose key was destroyed: nobody can read them any more. */
  function readable(id: ContextId, tenant: string, elements: readonly Buffer[]): TimelineEntry[] {
    return elements.flatMap((element) => {
      try {
        return [decodeLogElement(id, tenant, element, opener)]
      } catch (error) {
        if (isFault(error, 'KEY_DESTROYED')) return []
        throw error
      }
    })
  }

  return {
    async append(event, record, traceparent = '') {
      const { tenant, tool, id: eventId } = record
      const subject = event.subject ?? subjectOfType(record)
      const id = contextIdOf(tenant, tool, subject.key)
      const sealing = encrypts ? keyring : undefined
      if (sealing?.ready(tenant) === false) await sealing.prepare(tenant)
      const { type, name, receivedAt, payload } = event
      const digest = digestOf({ tool, type, name, receivedAt, payload, subject })
      // Before the append, on the same connection: whoever sees the context behind its events finds their traces.
      if (traceparent !== '') void noteTrace(placeOf(id), id, traceparent)
      const events = await appends.append(placeOf(id), id, {
        eventId: eventIdBytes(eventId),
        identity: encodeIdentity(id, { tenant, tool, kind: subject.kind, subject: subject.key }, sealing),
        digest: encodeLogElement(id, record, digest, sealing),
        record: encodeRawElement(record),
        receivedAt,
      })
      return { context: id, events }
    },
    async read(id, { limit = Number.POSITIVE_INFINITY, access = false, look } = {}) {
      const { link, keys } = placeOf(id)
      if (access && !(await touchContext(link, keys, id, accessNotes))) return undefined
      const found = await reader.newest(id, limit, look)
      if (found === undefined) return undefined
      const { identity, events, rawBytes, accesses, lastAccessAt } = found.head
      const { tier, withheld } = found
      const facts = { id, ...identity, events, rawBytes, accesses, lastAccessAt, tier, withheld }
      const { tenant } = identity
      return composeContext(facts, await openedFor(opener, tenant, () => readable(id, tenant, found.digests)))
    },
    async record(id, event) {
      const head = await headOf(id)
      const at = head === undefined ? -1 : positionOf(head.ids, eventIdBytes(event))
      if (head === undefined || at < 0) return undefined
      const element = await reader.record(id, at)
      const record = element === undefined ? undefined : decodeRawElement(id, head.identity, element)
      return record?.id === event ? record : undefined
    },
    async contextOf(event) {
      const bytes = eventIdBytes(event)
      const beginning = bytes.subarray(0, ID_BYTES)
      const found = await Promise.all(
        places.map(({ link, keys }) => link.call('HGET', keys.events(bytes), beginning)),
      )
      const there = found.find(Buffer.isBuffer)
      return there && contextIdFromBytes(there)
    },
    async summary(id) {
      return (await readCard(placeOf(id), id, opener))?.summary
    },
    async namedBy(id) {
      const ids = await namedBy(placeOf(id), id)
      const heads = await Promise.all(ids.map((each) => summaryHead(each, undefined)))
      return heads.flatMap((head) =>
        head === undefined ? [] : [{ tool: head.identity.tool, key: head.identity.subject }],
      )
    },
    async list({ tenant, tool, limit, onUnreadable }) {
      const found: ContextSummary[] = []
      for (const { link, keys } of places) {
        // One that moves to the front meanwhile pushes others onto the next page.
        const seen = new Set<string>()
        let from = 0
        for (let left = limit; left > 0; from += PAGE) {
          const to = from + PAGE - 1
          const flat = (await link.call('ZREVRANGE', keys.active, from, to, 'WITHSCORES')) as Buffer[]
          const page = flat.flatMap((id, at) =>
            at % 2 === 0 ? [[String(id), Number(flat[at + 1])] as const] : [],
          )
          const fresh = page.filter(([id]) => !seen.has(id))
          const heads = await Promise.all(fresh.map(([id]) => summaryHead(id, onUnreadable)))
          const tiers = await tiersOf(
            { link, keys },
            fresh.map(([id]) => id),
          )
          for (const [at, [id, activeAt]] of fresh.entries()) {
            seen.add(id)
            const head = heads[at]
            if (head === undefined) continue
            const { identity, events, accesses } = head
            if (tenant !== undefined && identity.tenant !== tenant) continue
            if (tool !== undefined && identity.tool !== tool) continue
            found.push({ id, ...identity, events, accesses, activeAt, tier: tiers[at] as Tier })
            left -= 1
          }
          if (page.length < PAGE) break
        }
      }
      return found.sort((a, b) => b.activeAt - a.activeAt || (a.id < b.id ? -1 : 1)).slice(0, limit)
    },
  }

  /** The head of a context that is listed; undefined when it went meanwhile, or cannot be opened. */
  async function summaryHead(
    id: ContextId,
    onUnreadable: ListOptions['onUnreadable'],
  ): Promise<Head | undefined> {
    try {
      return await headOf(id)
    } catch (error) {
      if (!isFault(error) || isFault(error, 'REDIS_UNAVAILABLE')) throw error
      onUnreadable?.(id, error)
      return undefined
    }
  }
}

/** The tier of each: what is in no set of the hot and warm is cold. */
async function tiersOf({ link, keys }: ContextPlace, ids: readonly string[]): Promise<Tier[]> {
  if (ids.length === 0) return []
  const [hot, warm] = (await Promise.all(
    [keys.hot, keys.warm].map((zset) => link.call('ZMSCORE', zset, ...ids)),
  )) as [RedisReply[], RedisReply[]]
  return ids.map((_, at) => (hot[at] !== null ? 'hot' : warm[at] !== null ? 'warm' : 'cold'))
}

/** What an event is about that does not say it: its kind of event. */
function subjectOfType({ type }: Pick<EventRecord, 'type'>): Subject {
  return { key: `type/${type}`, kind: 'type' }
}

function positionOf(ids: Buffer, event: Buffer): number {
  const beginning = event.subarray(0, ID_BYTES)
  for (let at = ids.indexOf(beginning); at >= 0; at = ids.indexOf(beginning, at + 1)) {
    if (at % ID_BYTES === 0) return at / ID_BYTES
  }
  return -1
}
