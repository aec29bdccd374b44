/**
 * Finds events by what is known of them, in every place in which an event can be: streams, parked, dead letters, contexts.
 * None has an index for it, so each is looked through, newest first, as far as `look` says; what was looked at is told.
 * A delivery id of a sender whose ids are derived needs no looking: its event id follows from it.
 */
import type { Contexts } from '@weir/context-lifecycle/contexts'
import { createEventLookup, type EventLookup, type FoundEvent } from '@weir/context-lifecycle/event-lookup'
import { TOOLS } from '@weir/core/config/tools'
import { deriveEventId, type EventId, locatorOf } from '@weir/core/event'
import { isFault } from '@weir/core/faults'
import type { Partition } from '@weir/core/partition'
import type { PipelineView } from '@weir/core/pipeline-view'
import type { EventRecord } from '@weir/core/record'
import { entriesBackwards, parkedEvents, type RecordPage } from '@weir/core/view/scan-events'

export interface EventQuery {
  readonly tool: string | undefined
  readonly tenant: string | undefined
  /** The sender's type, or the full name of the event. */
  readonly type: string | undefined
  readonly state: FoundEvent['place'] | undefined
  readonly deliveryId: string | undefined
  /** Part of the subject or its title, in any case. */
  readonly subject: string | undefined
  /** Received at or after, and at or before, ms. */
  readonly since: number | undefined
  readonly until: number | undefined
  /** Events at most. */
  readonly limit: number
  /** Records looked at in each place at most. */
  readonly look: number
}

export interface LookDocument {
  readonly place: 'the stream' | 'parked events' | 'dead letters' | 'contexts'
  readonly looked: number
  /** Nothing in this place was left out. */
  readonly complete: boolean
  /** The oldest that was looked at; null where the place has no order. */
  readonly back_to: string | null
  /** Contexts that were left out because they are cold. */
  readonly cold: number
}

export interface FoundEvents {
  /** Newest first. */
  readonly events: readonly FoundEvent[]
  readonly looked: readonly LookDocument[]
}

export interface FindDeps {
  readonly view: PipelineView
  readonly partitions: readonly Partition[]
  readonly contexts: Contexts
  onProgress(done: number, of: number): void
}

/** Events that are looked up at once. */
const AT_ONCE = 16
/** The most contexts whose events are looked at. */
const CONTEXTS = 1_000

export async function findEvents(
  deps: FindDeps,
  query: EventQuery,
  signal: AbortSignal,
): Promise<FoundEvents> {
  const { view, partitions, contexts } = deps
  const lookup = createEventLookup(view, contexts)
  const found = new Map<EventId, FoundEvent>()
  const looked: LookDocument[] = []
  const { state, look, since } = query

  for (const id of derivedIds(query)) {
    const event = await lookup.find(id)
    if (event !== undefined && isWanted(event, query)) found.set(id, event)
  }
  if (found.size > 0) return { events: [...found.values()], looked }

  const lookThrough = async (place: LookDocument['place'], pages: AsyncIterable<RecordPage>) => {
    const tally = { looked: 0, complete: true, backTo: undefined as number | undefined }
    let matched = 0
    for await (const page of pages) {
      // There is more, and it is not looked at.
      if (signal.aborted || matched >= query.limit || tally.looked >= look) {
        tally.complete = false
        break
      }
      tally.looked += page.looked
      tally.backTo = page.backTo ?? tally.backTo
      const fitting = page.records.filter((record) => fits(record, query) && !found.has(record.id))
      for (let at = 0; at < fitting.length; at += AT_ONCE) {
        const some = fitting.slice(at, at + AT_ONCE)
        const events = await Promise.all(some.map((record) => wantedEvent(view, lookup, record, query)))
        for (const event of events) {
          if (event === undefined || found.has(event.event_id)) continue
          found.set(event.event_id, event)
          matched += 1
        }
      }
      deps.onProgress(tally.looked, look)
    }
    looked.push(lookDocument(place, tally, 0))
  }

  const inStream = state === undefined || state === 'unread' || state === 'pending' || state === 'settled'
  if (inStream)
    await lookThrough(
      'the stream',
      all(partitions, (each) => entriesBackwards(each, each.keys.stream, since)),
    )
  if (state === undefined || state === 'parked')
    await lookThrough('parked events', all(partitions, parkedEvents))
  if (state === undefined || state === 'dead')
    await lookThrough(
      'dead letters',
      all(partitions, (each) => entriesBackwards(each, each.keys.deadLetters, since)),
    )
  // What a context has of an event does not tell its delivery id.
  if (query.deliveryId === undefined && (state === undefined || state === 'settled'))
    looked.push(await lookIntoContexts(deps, lookup, query, found, signal))

  const receivedAt = ({ received_at: at }: FoundEvent) => (at === null ? 0 : Date.parse(at))
  // Those of one millisecond stay as their place has them.
  const events = [...found.values()].sort((a, b) => receivedAt(b) - receivedAt(a))
  return { events: events.slice(0, query.limit), looked }
}

/** The ids of the event with this delivery id, for each tool whose ids are derived. */
function derivedIds({ deliveryId, tool, tenant = 'default' }: EventQuery): EventId[] {
  if (deliveryId === undefined) return []
  const key = { kind: 'delivery-id', value: deliveryId } as const
  return (tool === undefined ? TOOLS : [tool]).map((each) => deriveEventId(locatorOf(tenant, each, key)))
}

async function* all(
  partitions: readonly Partition[],
  pages: (partition: Partition) => AsyncIterable<RecordPage>,
): AsyncGenerator<RecordPage> {
  for (const partition of partitions) yield* pages(partition)
}

/** What the record itself tells. */
function fits(record: EventRecord, query: EventQuery): boolean {
  const { tool, tenant, type, deliveryId, since, until } = query
  if (tool !== undefined && record.tool !== tool) return false
  if (tenant !== undefined && record.tenant !== tenant) return false
  if (since !== undefined && record.receivedAt < since) return false
  if (until !== undefined && record.receivedAt > until) return false
  // `pull_request.opened` begins with the type that the record has.
  if (type !== undefined && record.type !== type && !type.startsWith(`${record.type}.`)) return false
  if (deliveryId === undefined) return true
  return locatorOf(record.tenant, record.tool, { kind: 'delivery-id', value: deliveryId }).equals(
    record.locator,
  )
}

/** The event where it is now; undefined when it is not one that is looked for. */
async function wantedEvent(
  view: PipelineView,
  lookup: EventLookup,
  record: EventRecord,
  query: EventQuery,
): Promise<FoundEvent | undefined> {
  // Opening a body is cheap beside asking where the event is.
  if (query.subject !== undefined && !isAbout(await view.settled(record.id, record), query.subject))
    return undefined
  const event = await lookup.find(record.id)
  return event !== undefined && isWanted(event, query) ? event : undefined
}

function isWanted(
  event: FoundEvent,
  { tool, tenant, type, state, subject, since, until }: EventQuery,
): boolean {
  const received = event.received_at === null ? undefined : Date.parse(event.received_at)
  return (
    (tool === undefined || event.tool === tool) &&
    (tenant === undefined || event.tenant === tenant) &&
    (type === undefined || event.type === type || event.event === type) &&
    (state === undefined || event.place === state) &&
    (subject === undefined || isAbout(event, subject)) &&
    (since === undefined || (received ?? 0) >= since) &&
    (until === undefined || (received ?? 0) <= until)
  )
}

function isAbout({ subject }: Pick<FoundEvent, 'subject'>, text: string): boolean {
  const wanted = text.toLowerCase()
  return [subject?.key, subject?.title].some((part) => part?.toLowerCase().includes(wanted) === true)
}

/** Events that the stream has trimmed are in their contexts. Cold ones would have to be fetched one by one, and are not. */
async function lookIntoContexts(
  { contexts, onProgress }: FindDeps,
  lookup: EventLookup,
  query: EventQuery,
  found: Map<EventId, FoundEvent>,
  signal: AbortSignal,
): Promise<LookDocument> {
  const { tool, tenant, since, until, limit, look } = query
  const tally = { looked: 0, complete: true, backTo: undefined as number | undefined }
  let cold = 0
  let matched = 0
  const summaries = await contexts.list({ tenant, tool, limit: CONTEXTS })
  if (summaries.length === CONTEXTS) tally.complete = false
  for (const summary of summaries) {
    if (since !== undefined && summary.activeAt < since) break
    if (summary.tier === 'cold') {
      cold += 1
      continue
    }
    if (signal.aborted || matched >= limit || tally.looked >= look) {
      tally.complete = false
      break
    }
    const context = await contexts
      .read(summary.id, { limit: look - tally.looked })
      .catch((error: unknown) => {
        if (isFault(error, 'REDIS_UNAVAILABLE')) throw error
        return undefined // cannot be opened here: `context list` counts those
      })
    if (context === undefined) continue
    tally.looked += context.timeline.length
    tally.backTo = summary.activeAt
    const fitting = context.timeline
      .filter(
        ({ receivedAt }) => (since ?? 0) <= receivedAt && receivedAt <= (until ?? Number.POSITIVE_INFINITY),
      )
      .filter(({ eventId }) => !found.has(eventId))
    for (let at = 0; at < fitting.length && matched < limit; at += AT_ONCE) {
      const events = await Promise.all(
        fitting.slice(at, at + AT_ONCE).map(({ eventId }) => lookup.find(eventId)),
      )
      for (const event of events) {
        if (event === undefined || !isWanted(event, query)) continue
        found.set(event.event_id, event)
        matched += 1
      }
    }
    onProgress(tally.looked, look)
  }
  return lookDocument('contexts', { ...tally, complete: tally.complete && cold === 0 }, cold)
}

function lookDocument(
  place: LookDocument['place'],
  { looked, complete, backTo }: { looked: number; complete: boolean; backTo: number | undefined },
  cold: number,
): LookDocument {
  const back_to = backTo === undefined ? null : new Date(backTo).toISOString()
  return { place, looked, complete, back_to, cold }
}
