/**
 * What must be true of the heart, kept beside the real server and fed with nothing but what was asked and answered:
 * where every entry is, who holds it, and until when an event's evidence counts. It knows no keys and no scripts.
 */
import { expect } from 'vitest'
import type { Admission, AdmissionOutcome, DedupeWindow } from '../../packages/core/src/stream/admit.ts'
import type { Ledger } from '../../packages/core/src/stream/ledger.ts'
import type { HeldEntry, Holding } from '../../packages/core/src/stream/settle.ts'
import { compareStreamIds } from '../../packages/core/src/stream/stream-id.ts'

export type Place = 'unread' | 'pending' | 'parked' | 'dead' | 'settled' | 'superseded' | 'purged'

/** A moment between two readings of Redis' clock, ms. */
export interface Span {
  readonly from: number
  readonly to: number
}

export interface ModelEntry {
  readonly sid: string
  readonly event: ModelEvent
  place: Place
  /** Who holds it: the consumer of a pending entry, the token of a leased one; '' = nobody. */
  holder: string
  /** When a parked one is due. */
  due: Span
  letterId: string
}

export interface ModelEvent {
  readonly admission: Admission
  readonly occurrence: string
  /** When its evidence was stamped: surely as late as `from`, at most as late as `to`. */
  evidence: Span | undefined
  /** Some entry of it was settled (not superseded). */
  settled: boolean
  readonly entries: ModelEntry[]
}

const GONE: readonly Place[] = ['settled', 'superseded', 'purged']

export class Model {
  readonly entries = new Map<string, ModelEntry>()
  readonly events: ModelEvent[] = []
  private readonly occurrences = new Map<string, ModelEvent[]>()
  private readonly windowOf: (tool: string) => DedupeWindow
  /** The saved floor: what a lost group comes back to. */
  private floor = '0-0'
  /** Once a group was lost, purged and superseded events may have been read anew: only their sum is certain. */
  private groupWasLost = false

  constructor(windowOf: (tool: string) => DedupeWindow) {
    this.windowOf = windowOf
  }

  in(place: Place): ModelEntry[] {
    return [...this.entries.values()].filter((entry) => entry.place === place)
  }

  /** Whether the event's evidence counts in this span. */
  evidenceOf(event: ModelEvent, span: Span): 'valid' | 'over' | 'unsure' {
    const window = this.windowOf(event.admission.tool).duration
    if (event.evidence === undefined || span.from - event.evidence.to >= window) return 'over'
    return span.to - event.evidence.from < window ? 'valid' : 'unsure'
  }

  /** Checks the answer to an admission, and takes in what it changed. */
  admitted(admission: Admission, occurrence: string, outcome: AdmissionOutcome, span: Span): void {
    const among = this.occurrences.get(occurrence) ?? []
    const own = among.find((event) => event.admission.id === admission.id)
    const { maxSize } = this.windowOf(admission.tool)
    const evidence = own === undefined ? 'over' : this.evidenceOf(own, span)
    const others = among.filter((event) => event !== own)
    const sure = others.filter((event) => this.evidenceOf(event, span) === 'valid')
    const possible = others.filter((event) => this.evidenceOf(event, span) !== 'over')

    const allowed = new Set<string>()
    const whenOwn = admission.derived && !admission.repeat ? 'duplicate' : 'known'
    if (evidence !== 'over') allowed.add(whenOwn)
    if (evidence !== 'valid') {
      if (possible.length >= maxSize) allowed.add('duplicate')
      if (sure.length < maxSize) allowed.add('accepted')
    }
    expect([...allowed], `admission of ${admission.id} (${occurrence}) answered ${outcome.kind}`).toContain(
      outcome.kind,
    )
    if (outcome.kind === 'duplicate') {
      const firsts = admission.derived ? [admission.id] : possible.map((event) => event.admission.id)
      expect(firsts, `duplicate of ${outcome.firstId}`).toContain(outcome.firstId)
    }
    if (outcome.kind !== 'accepted') return
    const event = own ?? { admission, occurrence, evidence: undefined, settled: false, entries: [] }
    if (own === undefined) {
      this.events.push(event)
      this.occurrences.set(occurrence, [...among, event])
    }
    event.evidence = span
    expect(this.entries.has(outcome.streamId), 'a new entry has a new id').toBe(false)
    const entry: ModelEntry = {
      sid: outcome.streamId,
      event,
      place: 'unread',
      holder: '',
      due: span,
      letterId: '',
    }
    event.entries.push(entry)
    this.entries.set(entry.sid, entry)
  }

  /** New entries come in their order, none left out, none twice. */
  read(entries: readonly HeldEntry[], count: number, consumer: string): void {
    const expected = this.in('unread')
      .sort((a, b) => compareStreamIds(a.sid, b.sid))
      .slice(0, count)
    expect(entries.map(({ streamId }) => streamId)).toEqual(expected.map(({ sid }) => sid))
    for (const [index, { record }] of entries.entries()) {
      const entry = expected[index]!
      expect(record.id).toBe(entry.event.admission.id)
      this.move(entry, 'pending', consumer)
    }
  }

  owns(entry: ModelEntry, holding: Holding): boolean {
    if (holding.kind === 'pending') return entry.place === 'pending' && entry.holder === holding.consumer
    return entry.place === 'parked' && entry.holder === holding.token
  }

  /** `ok` of these entries; renewed: whose evidence was renewed with it. */
  settled(
    entries: readonly { sid: string; renewed: boolean }[],
    outcome: 'settled' | 'superseded',
    count: number,
    span: Span,
  ): void {
    const moved = new Set<ModelEntry>()
    for (const { sid, renewed } of entries) {
      const entry = this.entry(sid)
      if (moved.has(entry) || (entry.place !== 'pending' && entry.place !== 'parked')) continue
      moved.add(entry)
      this.move(entry, outcome)
      if (!entry.event.admission.derived) continue
      if (outcome === 'settled') entry.event.settled = true
      if (renewed) this.stamp(entry.event, span)
    }
    expect(count, 'settled by this call').toBe(moved.size)
  }

  parked(sid: string, delayMs: number, span: Span): void {
    const entry = this.entry(sid)
    this.move(entry, 'parked')
    entry.due = { from: span.from + delayMs, to: span.to + delayMs }
    this.stamp(entry.event, entry.due)
  }

  claimed(sids: readonly string[], token: string, leaseMs: number, max: number, span: Span): void {
    expect(new Set(sids).size, 'claimed twice in one answer').toBe(sids.length)
    expect(sids.length).toBeLessThanOrEqual(max)
    const parked = this.in('parked')
    for (const sid of sids) {
      const entry = this.entry(sid)
      expect(entry.place, `${sid} was claimed`).toBe('parked')
      expect(entry.due.from, `${sid} was claimed before it was due`).toBeLessThanOrEqual(span.to)
    }
    if (sids.length < max) {
      for (const entry of parked) {
        if (entry.due.to <= span.from) expect(sids, `${entry.sid} is due`).toContain(entry.sid)
      }
    }
    for (const sid of sids) {
      const entry = this.entry(sid)
      entry.holder = token
      entry.due = { from: span.from + leaseMs, to: span.to + leaseMs }
    }
  }

  buried(sid: string, letterId: string): void {
    const entry = this.entry(sid)
    this.move(entry, 'dead')
    entry.letterId = letterId
    entry.event.evidence = undefined
  }

  replayed(entry: ModelEntry, outcome: string, span: Span): void {
    const { event } = entry
    const evidence = this.evidenceOf(event, span)
    const waits = event.entries.some(({ place }) => place === 'parked')
    const allowed = new Set<string>()
    if (evidence !== 'over' || event.settled || waits) allowed.add('superseded')
    if (evidence !== 'valid' && !(event.settled && event.admission.derived)) allowed.add('replayed')
    expect([...allowed], `replay of ${event.admission.id}`).toContain(outcome)
    this.move(entry, outcome === 'superseded' ? 'superseded' : 'parked')
    if (outcome === 'superseded') return
    entry.due = span
    event.evidence = span
  }

  /** What is above the floor comes again; nothing above it may be missing, and nothing below it may be waiting. */
  groupLost(from: string, unread: number): void {
    expect(from === '0' ? '0-0' : from).toBe(this.floor)
    this.groupWasLost = true
    let again = 0
    for (const entry of this.entries.values()) {
      if (compareStreamIds(entry.sid, this.floor) <= 0) {
        expect(['unread', 'pending'], `${entry.sid} lies below the floor`).not.toContain(entry.place)
        continue
      }
      this.move(entry, 'unread')
      again++
    }
    expect(unread).toBe(again)
  }

  trimmed(floor: string): void {
    if (floor !== '' && floor !== '0-0') this.floor = floor
    for (const entry of this.entries.values()) {
      if (entry.place !== 'unread' && entry.place !== 'pending') continue
      expect(compareStreamIds(entry.sid, this.floor), `${entry.sid} is ${entry.place}`).toBeGreaterThan(0)
    }
  }

  /** The ledger says the same as the model, place by place. */
  agreesWith(ledger: Ledger): void {
    const counts: Record<Place, number> = {
      unread: 0,
      pending: 0,
      parked: 0,
      dead: 0,
      settled: 0,
      superseded: 0,
      purged: 0,
    }
    for (const { place } of this.entries.values()) counts[place]++
    const { accepted, unaccounted, spooled: _spooled, ...places } = ledger
    expect({ accepted, unaccounted }).toEqual({ accepted: this.entries.size, unaccounted: 0 })
    const gone = (all: Readonly<Record<Place, number | null>>) =>
      GONE.reduce((sum, place) => sum + (all[place] ?? 0), 0)
    if (this.groupWasLost) {
      const { unread, pending, parked, dead } = places
      expect({ unread, pending, parked, dead, gone: gone(places) }).toEqual({
        unread: counts.unread,
        pending: counts.pending,
        parked: counts.parked,
        dead: counts.dead,
        gone: gone(counts),
      })
      for (const place of GONE) expect(places[place]).toBeGreaterThanOrEqual(0)
    } else {
      expect(places).toEqual(counts)
    }
  }

  entry(sid: string): ModelEntry {
    const entry = this.entries.get(sid)
    if (entry === undefined) throw new Error(`${sid} was never accepted`)
    return entry
  }

  move(entry: ModelEntry, place: Place, holder = ''): void {
    entry.place = place
    entry.holder = holder
  }

  /** Evidence that was stamped again counts from the later stamp at most, from the last one at least. */
  private stamp(event: ModelEvent, span: Span): void {
    event.evidence = { from: span.from, to: Math.max(span.to, event.evidence?.to ?? 0) }
  }
}
