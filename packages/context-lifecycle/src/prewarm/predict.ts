/**
 * Which contexts are read next, and why. Three habits are looked for in the accesses of the past:
 *
 *   sequence   after A was read, B was too, within the lookback window
 *   together   where A was read, B was too, within two minutes before or after
 *   hour       at this time of earlier days B was read
 *
 * What was read within the lookback window speaks for what follows it. It is never predicted itself: it is hot, or wanted.
 *
 * A confidence is the share of the times that the same situation was there and B was read, smoothed: as if there had been one more
 * time when it was not. So one coincidence is 0.5 and never certain, and a share of 0.7 takes three times without an exception. Times
 * when B had been read already at this point do not count, since then it is no question any more. Where several habits speak for one
 * context its confidence is that of the strongest; they are seldom independent, so they are not multiplied. bench/prewarm.ts
 * has how often predictions of which confidence come true.
 *
 * Nobody knows who read, so the accesses of several people lie between each other; that is why times are compared and not neighbours.
 */
import type { ContextId } from '../context-id.ts'
import type { Access } from './access-log.ts'
import { firstFrom, habitsAfter, habitsOfHour, type Reason } from './habits.ts'

export interface Prediction {
  readonly id: ContextId
  /** 0 to 1, three decimals. */
  readonly confidence: number
  /** The strongest first, three at most. */
  readonly reasons: readonly Reason[]
}

export interface PredictOptions {
  /** Most predictions. */
  readonly max: number
  /** Least confidence, 0 to 1. */
  readonly threshold: number
  /** How far back an access speaks for the next ones, and how long a prediction may take to come true, ms. */
  readonly lookbackMs: number
  /** How far back habits are looked for, ms. */
  readonly historyMs: number
}

/** Contexts that speak for others at most, those read last: more are read at once only by what reads everything. */
const MAX_TRIGGERS = 100
const MAX_REASONS = 3

const thousandths = (value: number): number => Math.round(value * 1_000) / 1_000
const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** The likeliest first; of those as likely, by id. Pure: the same accesses in whatever order give the same. */
export function predict(accesses: readonly Access[], now: number, options: PredictOptions): Prediction[] {
  const { max, threshold, lookbackMs, historyMs } = options
  const past = accesses
    .filter(({ at }) => at > now - historyMs && at <= now)
    .sort((a, b) => a.at - b.at || compareText(a.id, b.id))
  const lately = past.slice(firstFrom(past, now - lookbackMs)).map(({ id }) => id)
  const latelyRead = new Set(lately)
  const reasons = new Map<ContextId, Reason[]>()
  const speak = (id: ContextId, reason: Reason): void => {
    if (latelyRead.has(id) || reason.share <= 0) return
    const those = reasons.get(id)
    if (those === undefined) reasons.set(id, [reason])
    else those.push(reason)
  }
  const triggers = [...new Set(lately.reverse())].slice(0, MAX_TRIGGERS)
  const timesOf = new Map<ContextId, number[]>(triggers.map((id) => [id, []]))
  for (const { id, at } of past) timesOf.get(id)?.push(at)
  const told = { accesses: past, now, lookbackMs }
  for (const [after, times] of timesOf) habitsAfter(after, times, told, speak)
  habitsOfHour(told, speak)
  return [...reasons]
    .map(([id, those]) => predictionOf(id, those))
    .filter(({ confidence }) => confidence >= threshold)
    .sort((a, b) => b.confidence - a.confidence || compareText(a.id, b.id))
    .slice(0, max)
}

function predictionOf(id: ContextId, all: readonly Reason[]): Prediction {
  const reasons = all
    .map((reason) => ({ ...reason, share: thousandths(reason.share) }))
    .sort((a, b) => b.share - a.share || compareText(a.text, b.text))
    .slice(0, MAX_REASONS)
  return { id, confidence: reasons[0]?.share ?? 0, reasons }
}
