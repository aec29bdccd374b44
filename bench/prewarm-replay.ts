/**
 * A trace of accesses played again, with what is made hot before it is asked for and without. Everybody has the same: a context stays
 * hot for 30 minutes after it was read. So many bytes of content come on top.
 */
import type { Access } from '@weir/context-lifecycle/prewarm/access-log'
import { type Prediction, type PredictOptions, predict } from '@weir/context-lifecycle/prewarm/predict'
import { HOUR_MS, MINUTE_MS, type Trace } from './prewarm-trace.ts'

export interface Outcome {
  readonly warmed: number
  /** Of those, read in time. */
  readonly hits: number
  /** Accesses that found their context hot. */
  readonly found: number
  /** Of the memory on top, on average, bytes. */
  readonly held: number
}

/** What is predicted at one moment, the likeliest first. */
export interface Step {
  readonly at: number
  readonly found: readonly Prediction[]
  /** How long it took. */
  readonly ms: number
}

const HOT_MS = HOUR_MS / 2
/** The curator looks every ten seconds; here every minute, for time. */
const STEP_MS = MINUTE_MS

/** Predictions of every moment from `testFrom` on, learnt from what was before it. */
export function predictionsOf({ accesses, endsAt }: Trace, testFrom: number, rules: PredictOptions): Step[] {
  const steps: Step[] = []
  let [from, to] = [0, 0]
  for (let at = testFrom; at < endsAt; at += STEP_MS) {
    while (to < accesses.length && accesses[to]!.at <= at) to++
    while (from < to && accesses[from]!.at < at - rules.historyMs) from++
    const began = performance.now()
    const found = predict(accesses.slice(from, to), at, { ...rules, max: Number.POSITIVE_INFINITY })
    steps.push({ at, found, ms: performance.now() - began })
  }
  return steps
}

/** Contexts that are hot because they were read, those read last at the end. */
function readUntil({ accesses }: Trace, testFrom: number) {
  const readAt = new Map<string, number>()
  const read = (id: string, at: number) => {
    readAt.delete(id)
    readAt.set(id, at)
  }
  for (const { id, at } of accesses) if (at < testFrom) read(id, at)
  const hot = (id: string, now: number) => now - (readAt.get(id) ?? Number.NEGATIVE_INFINITY) < HOT_MS
  return { readAt, read, hot }
}

/** What did not come true within the lookback window is cooled. */
export function withPredictions(
  trace: Trace,
  testFrom: number,
  steps: readonly Step[],
  limit: number,
  rules: PredictOptions,
): Outcome {
  const lately = readUntil(trace, testFrom)
  const test = trace.accesses.filter(({ at }) => at >= testFrom)
  const open = new Map<string, number>()
  let [warmed, hits, found, held, bytes, next] = [0, 0, 0, 0, 0, 0]
  const close = (id: string) => {
    open.delete(id)
    bytes -= trace.sizeOf(id)
  }
  for (const step of steps) {
    for (; next < test.length && test[next]!.at <= step.at; next++) {
      const { id, at } = test[next] as Access
      const hit = (open.get(id) ?? 0) >= at
      if (open.has(id)) close(id)
      if (hit) hits++
      if (hit || lately.hot(id, at)) found++
      lately.read(id, at)
    }
    for (const [id, until] of open) if (until < step.at) close(id)
    let made = 0
    for (const { id, confidence } of step.found) {
      if (made >= rules.max || confidence < rules.threshold) break
      if (open.has(id) || lately.hot(id, step.at)) continue
      if (bytes + trace.sizeOf(id) > limit) continue
      open.set(id, step.at + rules.lookbackMs)
      bytes += trace.sizeOf(id)
      made++
    }
    warmed += made
    held += bytes
  }
  return { warmed, hits, found, held: held / steps.length }
}

/** Keeps what was read last, beyond what is hot anyway. Each counts once whenever it enters, and as read when that takes it out. */
export function withMostRecent(trace: Trace, testFrom: number, limit: number): Outcome {
  const lately = readUntil(trace, testFrom)
  const test = trace.accesses.filter(({ at }) => at >= testFrom)
  let [warmed, hits, found, held, steps, next] = [0, 0, 0, 0, 0, 0]
  let kept = new Set<string>()
  for (let now = testFrom; now < trace.endsAt; now += STEP_MS) {
    for (; next < test.length && test[next]!.at <= now; next++) {
      const { id, at } = test[next] as Access
      const hit = kept.delete(id)
      if (hit) hits++
      if (hit || lately.hot(id, at)) found++
      lately.read(id, at)
    }
    const before = kept
    kept = new Set()
    let bytes = 0
    for (const id of [...lately.readAt.keys()].reverse()) {
      if (lately.hot(id, now)) continue
      if (bytes + trace.sizeOf(id) > limit) break
      bytes += trace.sizeOf(id)
      kept.add(id)
      if (!before.has(id)) warmed++
    }
    held += bytes
    steps++
  }
  return { warmed, hits, found, held: held / steps }
}
