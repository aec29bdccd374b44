/**
 * What this gateway saw acknowledged: the highest stream id, and the events of the last seconds themselves. If Redis
 * comes back without them (a failover, a lost end of the append-only file), they are offered again; see reoffer.ts.
 *
 * An event leaves the memory when it is older than the window *as new ones arrive*, or when there are too many
 * bytes; never by the clock alone, because an outage that is longer than the window is just when it is needed. For the same
 * reason none leaves between a new connection and the end of the look at what earlier ones acknowledged: the first new
 * events come before it.
 */
import type { FieldList } from '@weir/core/record'
import { createRing, type RingEntry } from './ring.ts'

export interface Witness {
  /** '' before the first. */
  readonly highest: string
  readonly held: number
  readonly bytes: number
  /** Remembers an acknowledged event; `streamId` is '' when Redis said only that it knows it. */
  saw(fields: FieldList, streamId: string): void
  /** A new connection begins; returns its number. What earlier ones acknowledged is not proven any more, and stays until `inspect` is done. */
  nextConnection(): number
  /** Runs `look` on the events that connections before this one acknowledged, oldest first. To be run again when it rejects. */
  inspect(connection: number, look: (held: readonly RingEntry[]) => Promise<void>): Promise<void>
  /** The record of a held event. */
  fields(held: RingEntry): FieldList | undefined
  /** It is not to be offered again. */
  forget(held: RingEntry): void
}

export interface WitnessOptions {
  /** ms; 0 = remember no events, only the highest id. */
  readonly windowMs: number
  readonly maxBytes: number
  /** Monotonic, ms. */
  now(): number
}

export function createWitness({ windowMs, maxBytes, now }: WitnessOptions): Witness {
  const ring = createRing(maxBytes)
  let highestMs = 0
  let highestSeq = 0
  let connection = 0

  return {
    get highest() {
      return highestMs === 0 ? '' : `${highestMs}-${highestSeq}`
    },
    get held() {
      return ring.size
    },
    get bytes() {
      return ring.bytes
    },
    saw(fields, streamId) {
      if (streamId !== '') {
        const dash = streamId.indexOf('-')
        const ms = Number(streamId.slice(0, dash))
        const seq = Number(streamId.slice(dash + 1))
        if (ms > highestMs || (ms === highestMs && seq > highestSeq)) {
          highestMs = ms
          highestSeq = seq
        }
      }
      if (windowMs === 0) return
      const at = now()
      ring.expire(at - windowMs)
      ring.push(fields, streamId, connection, at)
    },
    nextConnection() {
      ring.pinned = true
      return ++connection
    },
    async inspect(limit, look) {
      const held = ring.before(limit)
      await look(held)
      // They are in Redis, all of them: from now on one connection's, in the order of their stream ids.
      for (const each of held) ring.setConnection(each.index, limit - 1)
      if (limit === connection) ring.pinned = false
    },
    fields: (held) => ring.fields(held.index),
    forget: (held) => ring.drop(held.index),
  }
}
