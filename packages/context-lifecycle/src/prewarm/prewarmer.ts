/**
 * Makes contexts hot before they are asked for. One step:
 *
 *   outstanding ──▶ read in time: a hit · its time is over: a miss, and its stay is over too · else left
 *   predictions ──▶ hot, or somebody's already: passed over ──▶ size known ──▶ claimed within the memory limit ──▶ thawed, made hot
 *
 * A miss gives its memory back: unless something has happened to it since, its stay in the hot tier is counted as over, and the next
 * sweep cools it. So what was predicted in vain takes no more than the limit. While cold storage is away only warm contexts are
 * made hot. Several prewarmers at once share the work (foresights.ts).
 */
import { type Fault, isFault } from '@weir/core/faults'
import type { ContextId } from '../context-id.ts'
import type { ContextPlace } from '../context-place.ts'
import { countFrom } from '../tiers/due.ts'
import { eventsInParts, lookAt } from '../tiers/look.ts'
import type { Mover, Outcome } from '../tiers/mover.ts'
import { newestBytes } from '../tiers/newest-bytes.ts'
import type { Access, AccessLog } from './access-log.ts'
import { claim, type Foresight, outstanding, replace } from './foresights.ts'
import { type PredictOptions, predict } from './predict.ts'

/** `warmed`: it is hot now. `stuck`: it cannot be moved. `hit`, `miss`: what became of one that was warmed. */
export type PrewarmResult = 'warmed' | 'stuck' | 'hit' | 'miss'

export interface PrewarmerOptions {
  /** Every shard. The first holds what is outstanding. */
  readonly places: readonly [ContextPlace, ...ContextPlace[]]
  placeOf(id: ContextId): ContextPlace
  readonly log: AccessLog
  readonly mover: Pick<Mover, 'thaw' | 'heat'>
  readonly rules: PredictOptions
  /** The most content that is outstanding, bytes. */
  readonly memoryBytes: number
  /** The most content of one context, bytes: its newest events. */
  readonly promoteBytes: number
  /** How long contexts stay hot, ms. */
  readonly hotMs: number
  /** Redis ms: every prewarmer has the same. */
  now(): Promise<number>
  /** Told once of each; `why` when it is stuck. */
  tell(result: PrewarmResult, id: ContextId, why?: Fault): void
}

export interface Prewarmed {
  /** Contexts made hot. */
  readonly warmed: number
  /** Why cold storage was given up; undefined when it was not. */
  readonly coldAway: Error | undefined
}

export interface Prewarmer {
  /** Throws Fault REDIS_UNAVAILABLE, REDIS_OUT_OF_MEMORY; what was made hot until then is. */
  run(signal?: AbortSignal): Promise<Prewarmed>
}

/** A claim that nobody followed up is free again after so long, ms: several times what a large context takes. */
const CLAIM_MS = 120_000

export function createPrewarmer(options: PrewarmerOptions): Prewarmer {
  const { places, placeOf, log, mover, rules, memoryBytes, promoteBytes, hotMs, tell } = options
  const [home] = places

  /** What became of those that are outstanding. Returns the contexts that still are. */
  async function settle(accesses: readonly Access[], now: number): Promise<ReadonlySet<ContextId>> {
    const open = await outstanding(home)
    const byId = new Map(open.map((each) => [each.id, each]))
    const read = new Set<ContextId>()
    for (const { id, at } of accesses) {
      const foresight = byId.get(id)
      if (foresight !== undefined && at > foresight.at && at <= foresight.until) read.add(id)
    }
    for (const foresight of open) {
      const { id, state, until } = foresight
      const hit = state === 'warmed' && read.has(id)
      if (!hit && until >= now) continue
      byId.delete(id)
      if (!(await replace(home, foresight, undefined)) || state === 'claimed') continue
      tell(hit ? 'hit' : 'miss', id)
      if (!hit) await giveBack(foresight, now)
    }
    return new Set(byId.keys())
  }

  /** Counts its stay among the hot as over, unless something has happened to it since it was made hot. */
  async function giveBack({ id, score }: Foresight, now: number): Promise<void> {
    const place = placeOf(id)
    await countFrom(place, place.keys.hot, { id, since: Number(score), score }, now - hotMs)
  }

  const scoreOf = async (id: ContextId): Promise<string | undefined> => {
    const { link, keys } = placeOf(id)
    const score = await link.call('ZSCORE', keys.hot, id)
    return score === null ? undefined : String(score)
  }

  /** Cold and warm to hot: the newest events. */
  async function promote(id: ContextId): Promise<Outcome> {
    const thawed = await mover.thaw(id, promoteBytes)
    return thawed.kind === 'stuck' || thawed.kind === 'active' ? thawed : mover.heat(id, promoteBytes)
  }

  /**
   * Bytes of content that its promotion takes; undefined where there is nothing to promote: it was removed, is hot by now, is cold
   * while that is away, or is damaged, which is for those to tell who need it.
   */
  async function promotable(id: ContextId, withCold: boolean): Promise<number | undefined> {
    const place = placeOf(id)
    try {
      const look = await lookAt(place, id, { newest: 0 })
      if (look === undefined || look.hotEvents > 0 || eventsInParts(look) === 0) return undefined
      if (!withCold && !look.parts.at(-1)?.warm) return undefined
      return await newestBytes(place, id, look.parts, promoteBytes)
    } catch (error) {
      if (isFault(error, 'RECORD_CORRUPT')) return undefined
      throw error
    }
  }

  /** False: it was passed over. One that does not fit in now leaves its place to smaller ones. */
  async function warm(id: ContextId, now: number, withCold: boolean): Promise<boolean> {
    const bytes = await promotable(id, withCold)
    if (bytes === undefined || bytes > memoryBytes) return false
    const claimed: Foresight = { id, state: 'claimed', at: now, until: now + CLAIM_MS, score: '', bytes }
    if ((await claim(home, claimed, memoryBytes)) !== 'claimed') return false
    let outcome: Outcome
    try {
      outcome = await promote(id)
    } catch (error) {
      await replace(home, claimed, undefined)
      throw error
    }
    // The claim stays, so that it is not tried again at every step.
    if (outcome.kind === 'stuck') {
      tell('stuck', id, outcome.why)
      return false
    }
    const score = outcome.kind === 'moved' ? await scoreOf(id) : undefined
    if (score === undefined) {
      await replace(home, claimed, undefined)
      return false
    }
    const until = now + rules.lookbackMs
    const ours = await replace(home, claimed, { ...claimed, state: 'warmed', until, score })
    if (ours) tell('warmed', id)
    return ours
  }

  return {
    async run(signal) {
      const now = await options.now()
      const accesses = await log.read(now)
      const open = await settle(accesses, now)
      let warmed = 0
      let coldAway: Error | undefined
      // Those that are hot already take nobody's place.
      const predictions = predict(accesses, now, { ...rules, max: Number.POSITIVE_INFINITY })
      for (const { id } of predictions) {
        if (signal?.aborted || warmed >= rules.max) break
        if (open.has(id) || (await scoreOf(id)) !== undefined) continue
        try {
          if (await warm(id, now, coldAway === undefined)) warmed++
        } catch (error) {
          if (!isFault(error, 'COLD_UNAVAILABLE') && !isFault(error, 'COLD_REFUSED')) throw error
          coldAway = error
        }
      }
      return { warmed, coldAway }
    },
  }
}
