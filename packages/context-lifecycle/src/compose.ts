/**
 * A context put together from its events' digests.
 *
 * Events arrive in any order: senders try again, spools drain hours late. So nothing here depends on the order of arrival;
 * entries are put in one total order first, by when things happened, and everything else is read off that.
 */
import type { Fault } from '@weir/core/faults'
import type { Digest, Reference, Severity } from './digest.ts'

/** Where events lie: in Redis, ready to read; in Redis, packed together; in cold storage. */
export type Tier = 'hot' | 'warm' | 'cold'

/** Events of a context that cannot be had now. */
export interface Withheld {
  readonly events: number
  readonly why: Fault
}

/** One event of a context. */
export interface TimelineEntry {
  readonly eventId: string
  readonly type: string
  /** ms, at the gateway */
  readonly receivedAt: number
  readonly digest: Digest
}

/** What is known of a context besides its timeline. */
export interface ContextFacts {
  readonly id: string
  readonly tenant: string
  readonly tool: string
  /** The subject's kind, as the tool's adapter names it. */
  readonly kind: string
  /** The subject's key, e.g. `acme/site#42`. */
  readonly subject: string
  /** Events in all, of which the timeline may hold the newest only. */
  readonly events: number
  readonly rawBytes: number
  readonly accesses: number
  /** ms */
  readonly lastAccessAt: number | undefined
  /** Where its newest event is. */
  readonly tier: Tier
  /** Events that the timeline should have and that cannot be had now, and why. */
  readonly withheld: Withheld | undefined
}

/** Somebody who did something, with how many of the timeline's events are theirs. */
export interface Participant {
  readonly name: string
  readonly events: number
}

/** What has happened around one subject. null = no event of the timeline says it. */
export interface Context extends ContextFacts {
  readonly title: string | null
  readonly link: string | null
  readonly state: string | null
  readonly severity: Severity | null
  /** When the timeline's first and last event happened, ms by the senders' clocks. */
  readonly firstAt: number | null
  readonly lastAt: number | null
  /** Most active first; of those as active, who acted last first. */
  readonly people: readonly Participant[]
  /** Who was named with an @, each once, most recent first. */
  readonly mentioned: readonly string[]
  /** Each once, most recent first. */
  readonly references: readonly Reference[]
  /** Oldest first. */
  readonly timeline: readonly TimelineEntry[]
}

/** Most people, most mentioned and most references of a context: a page of each, while a busy thread names hundreds. */
export const LISTED_MAX = 50

/** By code units, not by locale: the order must be the same on every machine. */
const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/**
 * By when it happened; at the same moment (some senders count whole seconds), by when it was received, then by id. Two
 * different digests of one event, made by two versions of the program, may tie even so: what they say decides then.
 */
function compareEntries(a: TimelineEntry, b: TimelineEntry): number {
  return (
    a.digest.at - b.digest.at ||
    a.receivedAt - b.receivedAt ||
    compareText(a.eventId, b.eventId) ||
    compareText(JSON.stringify([a.type, a.digest]), JSON.stringify([b.type, b.digest]))
  )
}

/**
 * Oldest first, each event once. Of an event that is there twice the earlier stays: where a sender names no time it is
 * dated by its receipt, and the first receipt is nearest to when it happened.
 */
function inOrder(entries: readonly TimelineEntry[]): readonly TimelineEntry[] {
  const seen = new Set<string>()
  return entries.toSorted(compareEntries).filter(({ eventId }) => {
    if (seen.has(eventId)) return false
    seen.add(eventId)
    return true
  })
}

/** What the latest entry that says it says. An empty text says nothing. */
function latest<T extends string>(
  timeline: readonly TimelineEntry[],
  said: (digest: Digest) => T | undefined,
): T | null {
  return timeline.map(({ digest }) => said(digest)).findLast((value) => value) ?? null
}

function peopleOf(newestFirst: readonly TimelineEntry[]): readonly Participant[] {
  const events = new Map<string, number>()
  for (const { digest } of newestFirst) {
    if (digest.who) events.set(digest.who, (events.get(digest.who) ?? 0) + 1)
  }
  // The map is in order of their latest event, and sorting keeps that order among equals.
  return [...events]
    .map(([name, count]) => ({ name, events: count }))
    .sort((a, b) => b.events - a.events)
    .slice(0, LISTED_MAX)
}

function mentionedOf(newestFirst: readonly TimelineEntry[]): readonly string[] {
  return [...new Set(newestFirst.flatMap(({ digest }) => digest.people ?? []))].slice(0, LISTED_MAX)
}

function referencesOf(newestFirst: readonly TimelineEntry[]): readonly Reference[] {
  const found = new Map<string, Reference>()
  for (const { digest } of newestFirst) {
    for (const { tool, key } of digest.references ?? []) {
      // As JSON, since a key may hold any character that could be put between the two.
      const name = JSON.stringify([tool, key])
      if (!found.has(name)) found.set(name, { tool, key })
    }
  }
  return [...found.values()].slice(0, LISTED_MAX)
}

/**
 * The context of these facts and entries. Entries may be in any order and repeat; none at all is a context too, of which
 * nothing is known yet. A context's own timeline may be composed again together with new entries.
 */
export function composeContext(facts: ContextFacts, entries: readonly TimelineEntry[]): Context {
  const timeline = inOrder(entries)
  const newestFirst = timeline.toReversed()
  return {
    ...facts,
    title: latest(timeline, ({ title }) => title),
    link: latest(timeline, ({ link }) => link),
    state: latest(timeline, ({ state }) => state),
    severity: latest(timeline, ({ severity }) => severity),
    firstAt: timeline[0]?.digest.at ?? null,
    lastAt: newestFirst[0]?.digest.at ?? null,
    people: peopleOf(newestFirst),
    mentioned: mentionedOf(newestFirst),
    references: referencesOf(newestFirst),
    timeline,
  }
}
