/**
 * What the accesses of the past say of single contexts. Each function tells what it has found by calling `speak`; whoever calls them
 * (predict.ts) decides what is made of it.
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

export type Speak = (id: ContextId, reason: Reason) => void

/** Accesses in the order of time, up to now. */
export interface Past {
  readonly accesses: readonly Access[]
  /** ms */
  readonly now: number
  /** How far back an access speaks for the next ones, ms. */
  readonly lookbackMs: number
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
/** Times of a context looked at, the latest. */
const MAX_TIMES = 50

const smoothed = (yes: number, times: number, doubt: number): number => yes / (times + doubt)

type Counts = Map<ContextId, number>

function addAll(counts: Counts, ids: Iterable<ContextId>): void {
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1)
}

const without = (ids: ReadonlySet<ContextId>, others: ReadonlySet<ContextId>): ContextId[] =>
  [...ids].filter((id) => !others.has(id))

/** Number of the first access at or after a moment. */
export function firstFrom(accesses: readonly Access[], at: number): number {
  let [low, high] = [0, accesses.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((accesses[middle] as Access).at < at) low = middle + 1
    else high = middle
  }
  return low
}

/** Both ends included. */
function* between(accesses: readonly Access[], from: number, to: number): Generator<Access> {
  for (let n = firstFrom(accesses, from); n < accesses.length; n++) {
    const access = accesses[n] as Access
    if (access.at > to) return
    yield access
  }
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

/**
 * What followed a context at its earlier times, and what was read together with it.
 * @param times when it was read, at least once within the lookback window
 */
export function habitsAfter(after: ContextId, times: readonly number[], past: Past, speak: Speak): void {
  const { accesses, now, lookbackMs } = past
  const begun = beginnings(times, lookbackMs)
  const current = begun.at(-1) as number
  const earlier = begun.filter((at) => at + lookbackMs <= now).slice(-MAX_TIMES)
  /** Of the window, so much is over since it was read. A time that lasts counts as one that has just begun. */
  const over = current + lookbackMs <= now ? 0 : now - current
  const [followed, before, together]: [Counts, Counts, Counts] = [new Map(), new Map(), new Map()]
  for (const at of earlier) {
    const [early, late, near] = [new Set<ContextId>(), new Set<ContextId>(), new Set<ContextId>()]
    for (const other of between(accesses, at - TOGETHER_MS, at + lookbackMs)) {
      if (other.id === after) continue
      if (Math.abs(other.at - at) <= TOGETHER_MS) near.add(other.id)
      if (other.at > at) (other.at <= at + over ? early : late).add(other.id)
    }
    addAll(together, near)
    addAll(before, early)
    addAll(followed, without(late, early))
  }
  for (const [id, yes] of followed) {
    const of = earlier.length - (before.get(id) ?? 0)
    const text = `read after ${after} ${yes} of ${of} times`
    speak(id, { kind: 'sequence', text, share: smoothed(yes, of, DOUBT_AMONG_MANY), after })
  }
  if (now - current > TOGETHER_MS) return
  for (const [id, yes] of together) {
    const text = `read together with ${after} ${yes} of ${earlier.length} times`
    speak(id, { kind: 'together', text, share: smoothed(yes, earlier.length, DOUBT_AMONG_MANY), after })
  }
}

/** What was read at this time of earlier days. A window of half a day and more has no time of the day. */
export function habitsOfHour({ accesses, now, lookbackMs }: Past, speak: Speak): void {
  if (lookbackMs > DAY_MS / 2) return
  const first = accesses[0]?.at ?? now
  const days = Math.floor((now - first - lookbackMs) / DAY_MS)
  const all = { yes: new Map() as Counts, early: new Map() as Counts }
  const sameWeekday = { yes: new Map() as Counts, early: new Map() as Counts }
  for (let day = 1; day <= days; day++) {
    const then = now - day * DAY_MS
    const early = new Set<ContextId>()
    const late = new Set<ContextId>()
    for (const { id, at } of between(accesses, then - lookbackMs, then + lookbackMs))
      (at <= then ? early : late).add(id)
    for (const counts of day % WEEK_DAYS === 0 ? [all, sameWeekday] : [all]) {
      addAll(counts.early, early)
      addAll(counts.yes, without(late, early))
    }
  }
  const weeks = Math.floor(days / WEEK_DAYS)
  for (const [id, yes] of all.yes) {
    const of = days - (all.early.get(id) ?? 0)
    const ofWeeks = weeks - (sameWeekday.early.get(id) ?? 0)
    const onWeekday = sameWeekday.yes.get(id) ?? 0
    const share = (onWeekday + ALL_DAYS_WEIGHT * smoothed(yes, of, DOUBT)) / (ofWeeks + ALL_DAYS_WEIGHT)
    const text = `read at this time of the day on ${yes} of ${of} days`
    speak(id, { kind: 'hour', text, share, after: undefined })
  }
}
