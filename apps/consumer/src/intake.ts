/**
 * Makes held items of what Redis handed out. What cannot be read, and what has been handed out too often without an
 * outcome, goes to the dead letters as it is, unrun.
 */
import { deriveEventId, locatorOf } from '@weir/core/event'
import { messageOf } from '@weir/core/faults'
import { decodeRecord, type EventRecord } from '@weir/core/record'
import type { DeliveredEntry } from '@weir/core/stream/reclaim'
import type { Holding } from '@weir/core/stream/settle'
import type { Held, HeldItem } from './held.ts'
import { suspectFrom } from './reclaimer.ts'
import type { Settler } from './settler.ts'

export interface IntakeOptions {
  readonly held: Held
  readonly settler: Settler
  readonly quarantineAfter: number
  readonly monotonic: () => number
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
  entries: readonly DeliveredEntry[],
  holding: Holding,
  handedOut: (index: number) => HandedOut,
) => void

export function createIntake({ held, settler, quarantineAfter, monotonic }: IntakeOptions): Intake {
  // The first takeover of a dead consumer's entries comes in bulk; a lease that ran out is always single.
  const harmless = { pending: suspectFrom(quarantineAfter), lease: 1 }
  return (entries, holding, handedOut) => {
    const items: HeldItem[] = []
    for (const [index, { streamId, fields }] of entries.entries()) {
      if (held.has(streamId)) continue
      const { attempts, deliveries } = handedOut(index)
      const read = readRecord(streamId, fields)
      const item: HeldItem = {
        streamId,
        holding,
        record: read.record,
        attempts,
        deliveries,
        suspect: deliveries > harmless[holding.kind],
        confirmedAt: monotonic(),
        state: 'queued',
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

function poisonOutcome(attempts: number, deliveries: number) {
  const error = `delivered ${deliveries} times without an outcome: it may kill or hang its worker`
  return { kind: 'dead', reason: 'poison', attempts, error } as const
}

function readRecord(
  streamId: string,
  fields: Buffer[] | null,
): { readonly record: EventRecord; readonly error: string | undefined } {
  try {
    return { record: decodeRecord(fields ?? []), error: undefined }
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
