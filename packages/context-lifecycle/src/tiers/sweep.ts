/**
 * One look at everything that is due when it begins:
 *
 *   wanted (read while it was not hot) ──▶ cold: thawed · warm: made hot
 *   hot, and its stay is over  ──▶ important, or read often: one more period · else cooled
 *   warm, and its stay is over ──▶ something happened since: counted from then · important, or read often: one more period · else frozen
 *   objects that nothing refers to ──▶ deleted
 *
 * A stay counts from the last event or access, whichever is later. Importance and accesses are asked for at its end each time, and
 * fade, so that nothing stays for ever. A cold storage that is away ends the freezing of this sweep; the contexts stay warm. A Redis
 * that is out of memory ends the promotions, and nothing else: cooling and freezing make room. A context that cannot be moved is told,
 * and holds up no other.
 */
import { isFault, messageOf } from '@weir/core/faults'
import { redisTime } from '@weir/core/redis/time'
import type { Context } from '../compose.ts'
import type { ContextId } from '../context-id.ts'
import type { ContextPlace } from '../context-place.ts'
import { effectiveAccesses, importanceOf } from '../importance.ts'
import type { Archive } from './archive.ts'
import { claimDue, countFrom, type Due, leave } from './due.ts'
import type { Look } from './look.ts'
import type { Mover, Outcome } from './mover.ts'
import { isEverywhere } from './trouble.ts'

export interface StayRules {
  readonly hotMs: number
  readonly warmMs: number
  /** A context at least so important stays for one more period. */
  readonly hotImportance: number
  readonly warmImportance: number
  /** As does one that was read so often lately. */
  readonly accesses: number
}

export type Move = 'cool' | 'freeze' | 'thaw' | 'heat'
export type SweepResult = 'moved' | 'extended' | 'active' | 'stuck' | 'nothing'

export interface SweepOptions {
  readonly places: readonly ContextPlace[]
  readonly mover: Mover
  readonly archive: Archive
  /** Reads a context without counting it as an access. @param look that was just taken, and spares another */
  read(id: ContextId, look?: Look): Promise<Context | undefined>
  readonly rules: StayRules
  /** Contexts claimed at once. */
  readonly batch: number
  /** Contexts moved at the same time. */
  readonly concurrency: number
  /** Content that one access promotes at most, bytes. */
  readonly promoteBytes: number
  /** ms */
  now(): number
  /** Told of each context that was looked at; `why` when it is stuck. */
  tell(move: Move, result: SweepResult, id: ContextId, why?: Error): void
}

export interface Swept {
  /** Contexts that were looked at. */
  readonly looked: number
  /** Objects deleted. */
  readonly collected: number
  /** Why cold storage was given up; undefined when it was not. */
  readonly coldAway: Error | undefined
}

export interface Sweep {
  /** Throws Fault REDIS_UNAVAILABLE, REDIS_OUT_OF_MEMORY; what was moved until then is moved, and nothing is under way. */
  run(signal?: AbortSignal): Promise<Swept>
}

/** A claim that nobody followed up comes up again after so long, ms: several times what a large context takes. */
const CLAIM_MS = 120_000
const GROUPS = 2
/**
 * Contexts cooled at once. Two groups keep a processor busy with packing, whatever their size; what a group asks of Redis is done at
 * a stretch there, and events wait for so long. Cold storage takes its time for each context: for that there are more.
 */
const COOLED_AT_ONCE = 8

export function createSweep(options: SweepOptions): Sweep {
  const { places, mover, archive, rules, batch, concurrency, promoteBytes, tell } = options
  let coldAway: Error | undefined
  let full = false

  /**
   * Two groups take turns: one is packed while the other waits for Redis, and what a group asks of Redis goes there in one write. Resolves or
   * fails when none is under way any more.
   */
  async function each<T>(
    items: readonly T[],
    signal: AbortSignal | undefined,
    act: (item: T) => Promise<void>,
    atOnce = concurrency,
  ) {
    const size = Math.max(1, Math.floor(atOnce / GROUPS))
    let taken = 0
    let failed = false
    const group = async () => {
      while (taken < items.length && !signal?.aborted && !failed) {
        const mine = items.slice(taken, taken + size)
        taken += size
        const ends = await Promise.allSettled(mine.map(act))
        for (const end of ends) {
          if (end.status === 'fulfilled') continue
          failed = true
          throw end.reason
        }
      }
    }
    const ends = await Promise.allSettled(Array.from({ length: Math.min(GROUPS, atOnce) }, group))
    for (const end of ends) if (end.status === 'rejected') throw end.reason
  }

  /** What is wrong with this context alone is told. */
  async function unlessStuck(move: Move, id: ContextId, act: () => Promise<void>): Promise<void> {
    try {
      await act()
    } catch (error) {
      if (isEverywhere(error)) throw error
      tell(move, 'stuck', id, error instanceof Error ? error : new Error(messageOf(error)))
    }
  }

  function told(move: Move, id: ContextId, outcome: Outcome): void {
    const result = outcome.kind === 'stays' ? 'extended' : outcome.kind
    tell(move, result, id, outcome.kind === 'stuck' ? outcome.why : undefined)
  }

  async function staysFor(id: ContextId, threshold: number, look?: Look): Promise<boolean> {
    const context = await readable(id, look)
    if (context === undefined) return false
    const now = options.now()
    return (
      importanceOf(context, now).score >= threshold ||
      Math.round(effectiveAccesses(context, now)) >= rules.accesses
    )
  }

  /** undefined also for what cannot be opened: the mover says why, or moves it as it is. */
  async function readable(id: ContextId, look: Look | undefined): Promise<Context | undefined> {
    try {
      return await options.read(id, look)
    } catch (error) {
      if (isEverywhere(error)) throw error
      return undefined
    }
  }

  async function unlessColdIsAway(act: () => Promise<void>): Promise<void> {
    if (coldAway !== undefined) return
    try {
      await act()
    } catch (error) {
      if (!isFault(error, 'COLD_UNAVAILABLE') && !isFault(error, 'COLD_REFUSED')) throw error
      coldAway = error
    }
  }

  async function lookAtHot(place: ContextPlace, due: Due): Promise<void> {
    // One look at it serves both: whether it stays, and what is moved.
    const stays = (look: Look) => staysFor(due.id, rules.hotImportance, look)
    const outcome = await mover.cool(due.id, due.since, due.score, stays)
    if (outcome.kind === 'stays') {
      const extended = await oneMorePeriod(place, place.keys.hot, due, rules.hotMs)
      return tell('cool', extended ? 'extended' : 'active', due.id)
    }
    // Nothing of it was hot: somebody else cooled it, or it is gone. An event may have come since.
    if (outcome.kind === 'nothing') await leave(place, place.keys.hot, due)
    told('cool', due.id, outcome)
  }

  async function lookAtWarm(place: ContextPlace, due: Due): Promise<void> {
    const active = await place.link.call('ZSCORE', place.keys.active, due.id)
    if (active === null) {
      await leave(place, place.keys.warm, due)
      return
    }
    const since = Number(active)
    if (since > due.since && since > options.now() - rules.warmMs) {
      await countFrom(place, place.keys.warm, due, since)
      tell('freeze', 'active', due.id)
      return
    }
    const stays = await staysFor(due.id, rules.warmImportance)
    if (stays && (await oneMorePeriod(place, place.keys.warm, due, rules.warmMs)))
      return tell('freeze', 'extended', due.id)
    await unlessColdIsAway(async () => {
      const outcome = await mover.freeze(due.id, String(active))
      if (outcome.kind === 'nothing') await leave(place, place.keys.warm, due)
      told('freeze', due.id, outcome)
    })
  }

  async function oneMorePeriod(
    place: ContextPlace,
    zset: string,
    due: Due,
    periodMs: number,
  ): Promise<boolean> {
    // From the end of the period that is over; after a long pause of the sweep, from now.
    const since = Math.max(due.since + periodMs, options.now() - periodMs + 1)
    return countFrom(place, zset, due, since)
  }

  /** False: it is still wanted. */
  async function promote(place: ContextPlace, wanted: Pick<Due, 'id' | 'score'>): Promise<boolean> {
    const { id } = wanted
    let done = false
    const once = async () => {
      const thawed = await mover.thaw(id, promoteBytes)
      done = thawed.kind === 'moved'
      if (thawed.kind === 'moved' || thawed.kind === 'active') return told('thaw', id, thawed)
      if (thawed.kind === 'stuck') told('thaw', id, thawed)
      else told('heat', id, await mover.heat(id, promoteBytes))
      done = await leave(place, place.keys.wanted, wanted)
    }
    try {
      await unlessColdIsAway(() => unlessStuck('thaw', id, once))
    } catch (error) {
      if (!isFault(error, 'REDIS_OUT_OF_MEMORY')) throw error
      full = true
    }
    return done
  }

  async function promoteWanted(place: ContextPlace, signal: AbortSignal | undefined): Promise<number> {
    const { link, keys } = place
    let looked = 0
    for (let passed = 0; !signal?.aborted && coldAway === undefined && !full; ) {
      const last = passed + batch - 1
      const flat = (await link.call('ZRANGE', keys.wanted, passed, last, 'WITHSCORES')) as Buffer[]
      const wanted = Array.from({ length: flat.length / 2 }, (_, n) => ({
        id: String(flat[2 * n]),
        score: String(flat[2 * n + 1]),
      }))
      await each(wanted, signal, async (one) => {
        if (!(await promote(place, one))) passed++
      })
      looked += wanted.length
      if (wanted.length < batch) break
    }
    return looked
  }

  async function sweepPlace(place: ContextPlace, signal: AbortSignal | undefined): Promise<number> {
    const { keys } = place
    // What becomes due meanwhile is for the next sweep: where contexts come faster than they are cooled, none would ever be frozen.
    const by = await redisTime(place.link)
    let looked = await promoteWanted(place, signal)
    for (const [move, zset, stayMs, look, atOnce] of [
      ['cool', keys.hot, rules.hotMs, lookAtHot, Math.min(concurrency, COOLED_AT_ONCE)],
      ['freeze', keys.warm, rules.warmMs, lookAtWarm, concurrency],
    ] as const) {
      for (;;) {
        if (signal?.aborted || (zset === keys.warm && coldAway !== undefined)) break
        const due = await claimDue(place, zset, { stayMs, by, claimMs: CLAIM_MS }, batch)
        await each(due, signal, (one) => unlessStuck(move, one.id, () => look(place, one)), atOnce)
        looked += due.length
        if (due.length < batch) break
      }
    }
    return looked
  }

  return {
    async run(signal) {
      coldAway = undefined
      full = false
      let looked = 0
      let collected = 0
      for (const place of places) {
        looked += await sweepPlace(place, signal)
        await unlessColdIsAway(async () => {
          collected += await archive.collect(place, signal)
        })
      }
      return { looked, collected, coldAway }
    },
  }
}
