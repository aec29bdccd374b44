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

export type Habit = 'sequence' | 'together' | 'hour'

export interface Reason {
  readonly kind: Habit
  /** In words; names `after` by its id. */
  readonly text: string
  /** What it says for the context by itself, 0 to 1. */
  readonly share: number
  /** The context whose access speaks for it. */
  readonly after: ContextId | undefined
}

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

/** How near to each other is together, ms. */
const TOGETHER_MS = 120_000
const DAY_MS = 86_400_000
const WEEK_DAYS = 7
/**
 * Times counted as if it had not come true. What follows another needs more of them: each context has hundreds of others after it by
 * chance, and some of those twice.
 */
const DOUBT = 1
const DOUBT_AMONG_MANY = 2
/** What all days say weighs as much as so many days of the same day of the week. */
const ALL_DAYS_WEIGHT = 2
/** Contexts that speak for others at most, those read last: more are read at once only by what reads everything. */
const MAX_TRIGGERS = 100
/** Times of a context looked at, the latest. */
const MAX_TIMES = 50
const MAX_REASONS = 3

const smoothed = (yes: number, times: number, doubt: number): number => yes / (times + doubt)
const thousandths = (value: number): number => Math.round(value * 1_000) / 1_000
const add = (counts: Map<ContextId, number>, id: ContextId): void => {
  counts.set(id, (counts.get(id) ?? 0) + 1)
}

/** In the order of time; among those of one moment the order is always the same. */
function inOrder(accesses: readonly Access[]): readonly Access[] {
  const earlier = (a: Access, b: Access) => a.at - b.at || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
  return accesses.toSorted(earlier)
}

/** Number of the first access at or after a moment. */
function firstFrom(accesses: readonly Access[], at: number): number {
  let [low, high] = [0, accesses.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((accesses[middle] as Access).at < at) low = middle + 1
    else high = middle
  }
  return low
}

/** Moments when a context began to be read: read again within the window is the same time. */
function beginnings(times: readonly number[], windowMs: number): number[] {
  const found: number[] = []
  for (const at of times) {
    const last = found.at(-1)
    if (last === undefined || at >= last + windowMs) found.push(at)
  }
  return found
}

/** The likeliest first; of those as likely, by id. Pure: the same accesses in whatever order give the same. */
export function predict(accesses: readonly Access[], now: number, options: PredictOptions): Prediction[] {
  const { max, threshold, lookbackMs, historyMs } = options
  const past = inOrder(accesses.filter(({ at }) => at > now - historyMs && at <= now))
  const lately = past.slice(firstFrom(past, now - lookbackMs))
  const latelyRead = new Set(lately.map(({ id }) => id))
  const reasons = new Map<ContextId, Reason[]>()
  const speak = (id: ContextId, reason: Reason): void => {
    if (latelyRead.has(id) || reason.share <= 0) return
    const those = reasons.get(id)
    if (those === undefined) reasons.set(id, [reason])
    else those.push(reason)
  }

  const triggers = new Set([...new Set(lately.map(({ id }) => id).reverse())].slice(0, MAX_TRIGGERS))
  const timesOf = new Map<ContextId, number[]>([...triggers].map((id) => [id, []]))
  for (const { id, at } of past) timesOf.get(id)?.push(at)
  for (const [after, times] of timesOf) {
    const begun = beginnings(times, lookbackMs)
    const current = begun.at(-1) as number
    const earlier = begun.filter((at) => at + lookbackMs <= now).slice(-MAX_TIMES)
    if (earlier.length > 0) follow(after, current, earlier)
  }

  /** What followed the earlier times of a context, and what was read together with it. */
  function follow(after: ContextId, current: number, earlier: readonly number[]): void {
    /** Of the window, so much is over since it was read. A time that lasts counts as one that has just begun. */
    const over = current + lookbackMs <= now ? 0 : now - current
    const [followed, before, together] = [1, 2, 3].map(() => new Map<ContextId, number>()) as [
      Map<ContextId, number>,
      Map<ContextId, number>,
      Map<ContextId, number>,
    ]
    for (const begun of earlier) {
      const [early, late, near] = [new Set<ContextId>(), new Set<ContextId>(), new Set<ContextId>()]
      for (let n = firstFrom(past, begun - TOGETHER_MS); n < past.length; n++) {
        const { id, at } = past[n] as Access
        if (at > begun + lookbackMs) break
        if (id === after) continue
        if (Math.abs(at - begun) <= TOGETHER_MS) near.add(id)
        if (at > begun) (at <= begun + over ? early : late).add(id)
      }
      for (const id of near) add(together, id)
      for (const id of early) add(before, id)
      for (const id of late) if (!early.has(id)) add(followed, id)
    }
    for (const [id, yes] of followed) {
      const times = earlier.length - (before.get(id) ?? 0)
      const text = `read after ${after} ${yes} of ${times} times`
      speak(id, { kind: 'sequence', text, share: smoothed(yes, times, DOUBT_AMONG_MANY), after })
    }
    if (now - current > TOGETHER_MS) return
    for (const [id, yes] of together) {
      const text = `read together with ${after} ${yes} of ${earlier.length} times`
      speak(id, { kind: 'together', text, share: smoothed(yes, earlier.length, DOUBT_AMONG_MANY), after })
    }
  }

  const first = past[0]?.at ?? now
  const days = Math.floor((now - first - lookbackMs) / DAY_MS)
  if (lookbackMs <= DAY_MS / 2 && days > 0) {
    const counts = [1, 2, 3, 4].map(() => new Map<ContextId, number>())
    const [yes, early, yesOfWeekday, earlyOfWeekday] = counts as [
      Map<ContextId, number>,
      Map<ContextId, number>,
      Map<ContextId, number>,
      Map<ContextId, number>,
    ]
    for (let day = 1; day <= days; day++) {
      const then = now - day * DAY_MS
      const [before, within] = [new Set<ContextId>(), new Set<ContextId>()]
      for (let n = firstFrom(past, then - lookbackMs); n < past.length; n++) {
        const { id, at } = past[n] as Access
        if (at > then + lookbackMs) break
        if (at <= then) before.add(id)
        else if (!before.has(id)) within.add(id)
      }
      const weekday = day % WEEK_DAYS === 0
      for (const id of before) add(early, id)
      for (const id of within) add(yes, id)
      if (weekday) for (const id of before) add(earlyOfWeekday, id)
      if (weekday) for (const id of within) add(yesOfWeekday, id)
    }
    const weekdays = Math.floor(days / WEEK_DAYS)
    for (const [id, times] of yes) {
      const [of, ofWeekdays] = [days - (early.get(id) ?? 0), weekdays - (earlyOfWeekday.get(id) ?? 0)]
      const share =
        ((yesOfWeekday.get(id) ?? 0) + ALL_DAYS_WEIGHT * smoothed(times, of, DOUBT)) /
        (ofWeekdays + ALL_DAYS_WEIGHT)
      const text = `read at this time of the day on ${times} of ${of} days`
      speak(id, { kind: 'hour', text, share, after: undefined })
    }
  }

  const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)
  return [...reasons]
    .map(([id, those]): Prediction => {
      const strongest = those
        .map((reason) => ({ ...reason, share: thousandths(reason.share) }))
        .sort((a, b) => b.share - a.share || compare(a.text, b.text))
        .slice(0, MAX_REASONS)
      return { id, confidence: strongest[0]?.share ?? 0, reasons: strongest }
    })
    .filter(({ confidence }) => confidence >= threshold)
    .sort((a, b) => b.confidence - a.confidence || compare(a.id, b.id))
    .slice(0, max)
}
