/**
 * Makes held items of what Redis handed out. What cannot be read, and what has been handed out too often without an
 * outcome, goes to the dead letters as it is, unrun.
 */
import { deriveEventId, locatorOf } from '@weir/core/event'
import { messageOf } from '@weir/core/faults'
import { decodeRecord, type EventRecord } from '@weir/core/record'
import { CLOCK_TOLERANCE_MS } from '@weir/core/stream/clock-repair'
import type { ReadEntry } from '@weir/core/stream/entries'
import type { Holding } from '@weir/core/stream/settle'
import { streamIdMillis } from '@weir/core/stream/stream-id'
import type { Held, HeldItem } from './held.ts'
import { suspectFrom } from './reclaimer.ts'
import type { Settler } from './settler.ts'

export interface IntakeOptions {
  readonly held: Held
  readonly settler: Settler
  readonly quarantineAfter: number
  readonly monotonic: () => number
  /** Redis' time as this process estimates it, ms. */
  readonly redisNow: () => number
}

/** What is known of one handed-out entry besides its record. */
export interface HandedOut {
  /** Failed attempts. */
  readonly attempts: number
  /** How often it was handed out without an outcome, this time included. */
  readonly deliveries: number
}

/** Takes entries in; those that are held already are passed over. */
export type Intake = (
  entries: readonly ReadEntry[],
  holding: Holding,
  handedOut: (index: number) => HandedOut,
) => void

export function createIntake({ held, settler, quarantineAfter, monotonic, redisNow }: IntakeOptions): Intake {
  // The first takeover of a dead consumer's entries comes in bulk; a lease that ran out is always single.
  const harmless = { pending: suspectFrom(quarantineAfter), lease: 1 }
  return (entries, holding, handedOut) => {
    const items: HeldItem[] = []
    const confirmedAt = monotonic()
    const latest = redisNow() + CLOCK_TOLERANCE_MS
    for (const [index, entry] of entries.entries()) {
      const { streamId } = entry
      if (held.has(streamId)) continue
      const { attempts, deliveries } = handedOut(index)
      const read: Readable = entry.record === undefined ? readRecord(streamId, entry.fields) : entry
      const item: HeldItem = {
        streamId,
        holding,
        record: read.record,
        appendedAt: appendedAt(streamId, read.record, latest),
        attempts,
        deliveries,
        suspect: deliveries > harmless[holding.kind],
        confirmedAt,
        state: 'queued',
        trace: undefined,
        abort: undefined,
      }
      if (read.error === undefined && deliveries <= quarantineAfter) {
        items.push(item)
        continue
      }
      item.state = 'settling'
      held.add([item])
      settler.settle(
        item,
        read.error === undefined
          ? poisonOutcome(attempts, deliveries - 1)
          : { kind: 'dead', reason: 'corrupt', attempts, error: read.error },
      )
    }
    held.add(items)
  }
}

/** An id that is ahead of Redis' clock, which was set back, says nothing: then it is when the gateway received the event. */
function appendedAt(streamId: string, record: EventRecord, latest: number): number {
  const ms = streamIdMillis(streamId)
  return ms > latest ? record.receivedAt : ms
}

function poisonOutcome(attempts: number, deliveries: number) {
  const error = `delivered ${deliveries} times without an outcome: it may kill or hang its worker`
  return { kind: 'dead', reason: 'poison', attempts, error } as const
}

/** A record, or one that stands in for it and what is wrong with it. */
interface Readable {
  readonly record: EventRecord
  readonly error?: string
}

function readRecord(streamId: string, fields: Buffer[] | null): Readable {
  try {
    return { record: decodeRecord(fields ?? []) }
  } catch (error) {
    return { record: unreadableRecord(streamId), error: messageOf(error) }
  }
}

/** Stands in for a record that cannot be read, so that its entry can be dead-lettered with all its fields. */
function unreadableRecord(streamId: string): EventRecord {
  const locator = locatorOf('', 'corrupt', { kind: 'hash', value: streamId })
  return {
    id: deriveEventId(locator),
    tenant: '',
    tool: 'unknown',
    type: 'unknown',
    receivedAt: Number(streamId.slice(0, streamId.indexOf('-'))),
    locator,
    derived: true,
    encoding: 'plain',
    dictionary: '',
    packed: Buffer.alloc(0),
    traceparent: '',
    attempts: 0,
  }
}
