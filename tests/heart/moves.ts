/** The moves of a consumer, as short as a test wants them: settle, park, bury, claim, take over. */
import { mintEventId } from '../../packages/core/src/event.ts'
import { decodeRecord } from '../../packages/core/src/record.ts'
import type { RedisLink } from '../../packages/core/src/redis/link.ts'
import type { Admission, AdmissionOutcome } from '../../packages/core/src/stream/admit.ts'
import {
  type BuryRequest,
  bury,
  type Handover,
  type ParkRequest,
  park,
} from '../../packages/core/src/stream/handover.ts'
import { claimParked } from '../../packages/core/src/stream/parked.ts'
import { type DoneEntry, type HeldEntry, settleDone } from '../../packages/core/src/stream/settle.ts'
import { type EventOptions, redisTime, type World } from './world.ts'

/** The longest delay with which these tests park, ms. */
export const LONGEST_DELAY_MS = 2_000
const LEASE_MS = 60_000

export interface Moves {
  /** Accepts one event and reads it as consumer `a`, which holds nothing unread before. */
  held(link: RedisLink, options?: EventOptions): Promise<{ admission: Admission; entry: HeldEntry }>
  /** The same occurrence comes once more, as the sender would send it: the kind of answer. */
  redelivered(link: RedisLink, admission: Admission): Promise<AdmissionOutcome['kind']>
  settle(link: RedisLink, entries: readonly DoneEntry[], outcome?: 'settled' | 'superseded'): Promise<number>
  parkNow(link: RedisLink, entry: HeldEntry, changes?: Partial<ParkRequest>): Promise<Handover>
  buryNow(link: RedisLink, entry: HeldEntry, changes?: Partial<BuryRequest>): Promise<Handover>
  /** Claims due parked events as this token. */
  claim(link: RedisLink, token: string, leaseMs?: number, max?: number): Promise<HeldEntry[]>
  /** Another consumer takes the entry over, as the reclaimer does. */
  takeOver(link: RedisLink, entry: HeldEntry, consumer: string): Promise<HeldEntry>
}

export function movesOf(world: World): Moves {
  const { keys } = world
  const placeOf = ({ record }: HeldEntry) => world.place(record.tool, record.locator)
  return {
    async held(link, options) {
      const { admission, streamId } = await world.accept(link, options)
      const [entry] = await world.read(link, 'a')
      if (entry?.streamId !== streamId) throw new Error(`read ${entry?.streamId} instead of ${streamId}`)
      return { admission, entry }
    },
    async redelivered(link, admission) {
      const id = admission.derived ? admission.id : mintEventId(Date.now())
      return (await world.admitter().admit(link, { ...admission, id })).kind
    },
    settle: async (link, entries, outcome = 'settled') =>
      settleDone(link, keys, world.memory, entries, outcome, await redisTime(link)),
    parkNow: async (link, entry, changes = {}) =>
      park(link, keys, {
        entry,
        delayMs: 0,
        attempts: 1,
        reason: 'retry',
        error: 'it failed',
        evidence: placeOf(entry),
        redisMs: await redisTime(link),
        ...changes,
      }),
    buryNow: async (link, entry, changes = {}) =>
      bury(link, keys, {
        entry,
        attempts: 4,
        reason: 'handler',
        error: 'it failed for good',
        evidence: placeOf(entry),
        redisMs: await redisTime(link),
        aheadMs: LONGEST_DELAY_MS,
        ...changes,
      }),
    async claim(link, token, leaseMs = LEASE_MS, max = 100) {
      const { events } = await claimParked(link, keys, token, leaseMs, max, max)
      return events.map(({ streamId, fields }) => ({
        streamId,
        holding: { kind: 'lease', token },
        record: decodeRecord(fields),
      }))
    },
    async takeOver(link, entry, consumer) {
      await link.call('XCLAIM', keys.stream, keys.group, consumer, 0, entry.streamId)
      return { ...entry, holding: { kind: 'pending', consumer } }
    },
  }
}
