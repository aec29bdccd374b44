/**
 * Rate limits counted by one gateway alone, for as long as Redis cannot be asked: better than none, and not more than
 * that, because each gateway then lets the whole limit through. Sliding in sixteenths of the period, as in Redis: never
 * more than the limit in any period.
 */
import { type Limited, type RateLimit, SUB_PERIODS } from './limits.ts'

/**
 * Names that are counted at once. Where more come (each address may have one) those that have nothing to say any more are
 * forgotten; while there are none such, new ones pass uncounted.
 */
const MAX_NAMES = 10_000
/** Sixteenths that one sliding period may touch. */
const CELLS = SUB_PERIODS + 1

export interface LocalLimits {
  /** Counts one event against each of these limits, or against none when one of them is exceeded. */
  take(limits: readonly RateLimit[]): Limited | undefined
}

interface Counter {
  /** Length of a sixteenth, ms. */
  readonly stepMs: number
  /** Number of the newest sixteenth. */
  newest: number
  sum: number
  /** Sixteenth n at n modulo CELLS. */
  readonly counts: Float64Array
}

/** @param now monotonic, ms */
export function createLocalLimits(now: () => number): LocalLimits {
  const counters = new Map<string, Counter>()
  let sweepAt = 0

  function counterOf(limit: RateLimit, at: number): Counter | undefined {
    const name = `${limit.type}:${limit.name}`
    let counter = counters.get(name)
    if (counter === undefined) {
      if (counters.size >= MAX_NAMES && !sweep(limit.periodMs, at)) return undefined
      counter = {
        stepMs: limit.periodMs / SUB_PERIODS,
        newest: 0,
        sum: 0,
        counts: new Float64Array(CELLS),
      }
      counters.set(name, counter)
    }
    advance(counter, Math.floor(at / counter.stepMs))
    return counter
  }

  /** Makes room, at most once in a period. */
  function sweep(periodMs: number, at: number): boolean {
    if (at < sweepAt) return false
    sweepAt = at + periodMs
    for (const [name, counter] of counters) {
      if (counter.newest + CELLS <= Math.floor(at / counter.stepMs)) counters.delete(name)
    }
    return counters.size < MAX_NAMES
  }

  return {
    take(limits) {
      const at = now()
      for (const limit of limits) {
        const counter = counterOf(limit, at)
        if (counter !== undefined && counter.sum + 1 > limit.limit) {
          return { kind: 'limited', limit, retryAfterMs: waitOf(counter, limit, at) }
        }
      }
      for (const limit of limits) {
        const counter = counterOf(limit, at)
        if (counter === undefined) continue
        counter.counts[counter.newest % CELLS]! += 1
        counter.sum++
      }
      return undefined
    },
  }
}

function advance(counter: Counter, index: number): void {
  const steps = index - counter.newest
  if (steps <= 0) return
  for (let step = 1; step <= Math.min(steps, CELLS); step++) {
    const cell = (counter.newest + step) % CELLS
    counter.sum -= counter.counts[cell] as number
    counter.counts[cell] = 0
  }
  counter.newest = index
}

/** ms until the oldest ones leave that must. */
function waitOf(
  { newest, stepMs, sum, counts }: Counter,
  { limit, periodMs }: RateLimit,
  at: number,
): number {
  if (limit < 1) return periodMs
  let excess = sum + 1 - limit
  for (let age = CELLS - 1; age >= 0; age--) {
    excess -= counts[(newest - age + CELLS * CELLS) % CELLS] as number
    if (excess <= 0) return Math.max(1, (newest - age + CELLS) * stepMs - at)
  }
  return periodMs
}
