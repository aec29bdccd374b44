/**
 * The entries that this consumer holds: read or claimed, not yet settled. Reader, retry pump and reclaimer add to it
 * (never beyond `prefetch_count`), the executor takes from its queue, the settler removes.
 *
 * A suspect goes before all that is queued: an entry is accused of the death of its consumer also while it only waits.
 *
 *   queued ──executor──▶ running ──outcome──▶ settling ──settled──▶ gone
 *      ▲ └─────────────────── lost to another consumer ────────────▶ gone
 *      └── Redis did not answer ──┘ (before a handler ran)
 */
import type { EventRecord } from '@weir/core/record'
import type { HeldEntry, Holding } from '@weir/core/stream/settle'
import type { AttemptTrace } from './attempt-trace.ts'

export interface HeldItem extends HeldEntry {
  readonly streamId: string
  readonly holding: Holding
  readonly record: EventRecord
  /** When the entry was appended to the stream, Redis ms. */
  readonly appendedAt: number
  /** Failed attempts before this one. */
  readonly attempts: number
  /** How often it was handed out without an outcome, this time included. */
  readonly deliveries: number
  /** Handed out before without an outcome: runs alone among its kind. */
  readonly suspect: boolean
  /** Monotonic ms at which it was last known to be ours. */
  confirmedAt: number
  state: 'queued' | 'running' | 'settling' | 'gone'
  /** Of the attempt at it, where its event is traced. */
  trace: AttemptTrace | undefined
  /** Set while running: aborts the handler. */
  abort: ((reason: Error) => void) | undefined
}

/** Room that is promised to a read or claim under way, whose answer is not there yet. */
export interface Reservation {
  readonly count: number
  /** Gives the room back; harmless twice. Held entries take their own room when they are added. */
  release(): void
}

export interface Held {
  /** How many more entries may be taken: neither held nor reserved. */
  readonly room: number
  readonly size: number
  readonly queued: number
  /** True while a suspect is held. */
  readonly suspect: boolean
  has(streamId: string): boolean
  add(items: readonly HeldItem[]): void
  /** The next queued item, suspects first, now running; undefined when none is queued. */
  take(): HeldItem | undefined
  remove(item: HeldItem): void
  /**
   * Puts a running item back at the end of the queue, a suspect again before all that is queued; does nothing when it is gone. Does not
   * call `onQueued`.
   */
  requeue(item: HeldItem): void
  /** Reserves up to `max` of the room, possibly none. */
  reserve(max: number): Reservation
  all(): IterableIterator<HeldItem>
  /** Resolves when there is room, or when the signal aborts. */
  whenRoom(signal: AbortSignal): Promise<void>
  /** Resolves when nothing is held, or when the signal aborts. */
  whenEmpty(signal: AbortSignal): Promise<void>
  /** Resolves when no suspect is held, or when the signal aborts. */
  whenNoSuspect(signal: AbortSignal): Promise<void>
}

/**
 * @param limit entries held at most, as of now (prefetch_count, or a partition's part of it)
 * @param onQueued called after items were queued
 */
export function createHeld(limit: number | (() => number), onQueued: () => void): Held {
  const items = new Map<string, HeldItem>()
  /** Suspects, mostly none or one. */
  const first: HeldItem[] = []
  let queue: HeldItem[] = []
  let head = 0
  let suspects = 0
  let reserved = 0
  const most = typeof limit === 'number' ? () => limit : limit
  const room = () => Math.max(0, most() - items.size - reserved)
  const waiting = new Set<() => void>()
  const wake = () => {
    for (const check of waiting) check()
  }
  const when = (condition: () => boolean, signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      const check = () => {
        if (!condition() && !signal.aborted) return
        waiting.delete(check)
        signal.removeEventListener('abort', check)
        resolve()
      }
      waiting.add(check)
      signal.addEventListener('abort', check)
      check()
    })
  const next = (): HeldItem | undefined => {
    const item = queue[head]
    if (item === undefined) return undefined
    head++
    if (head === queue.length) {
      queue = []
      head = 0
    } else if (head > 1024 && head * 2 > queue.length) {
      queue = queue.slice(head)
      head = 0
    }
    return item
  }
  return {
    get room() {
      return room()
    },
    get size() {
      return items.size
    },
    get queued() {
      return first.length + queue.length - head
    },
    get suspect() {
      return suspects > 0
    },
    has: (streamId) => items.has(streamId),
    add(added) {
      for (const item of added) {
        items.set(item.streamId, item)
        if (item.suspect) {
          suspects++
          first.push(item)
        } else queue.push(item)
      }
      if (added.length > 0) onQueued()
    },
    take() {
      for (;;) {
        const item = first.shift() ?? next()
        if (item === undefined) return undefined
        if (item.state !== 'queued') continue
        item.state = 'running'
        return item
      }
    },
    remove(item) {
      item.state = 'gone'
      if (items.get(item.streamId) !== item) return
      items.delete(item.streamId)
      if (item.suspect) suspects--
      if (waiting.size > 0) wake()
    },
    requeue(item) {
      if (item.state !== 'running') return
      item.state = 'queued'
      item.abort = undefined
      if (item.suspect) first.push(item)
      else queue.push(item)
    },
    reserve(max) {
      let count = Math.min(max, room())
      reserved += count
      return {
        count,
        release() {
          if (count === 0) return
          reserved -= count
          count = 0
          if (waiting.size > 0) wake()
        },
      }
    },
    all: () => items.values(),
    whenRoom: (signal) => when(() => room() > 0, signal),
    whenEmpty: (signal) => when(() => items.size === 0, signal),
    whenNoSuspect: (signal) => when(() => suspects === 0, signal),
  }
}
