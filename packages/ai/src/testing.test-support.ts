/** What tests of this package share: a clock that never waits for real time, and randomness that does not vary. */
import type { Clock } from '@weir/core/clock'

export interface ManualClock extends Clock {
  /** Every wait that was begun, ms, in their order. */
  readonly waits: readonly number[]
  /** Moves time on; waits that end by then resolve. */
  advance(ms: number): Promise<void>
  /** Resolves when so many waits have been begun since the clock was made. */
  began(count: number): Promise<void>
}

/** @param passes whether waits up to so many ms resolve at once, as if they had been waited for */
export function manualClock(passes = -1): ManualClock {
  let now = 0
  const waits: number[] = []
  const open = new Set<{ readonly until: number; readonly resolve: () => void }>()
  let watchers: { readonly count: number; readonly resolve: () => void }[] = []
  return {
    now: () => now,
    monotonic: () => now,
    waits,
    wait(ms, signal) {
      waits.push(ms)
      watchers = watchers.filter(({ count, resolve }) => {
        if (waits.length >= count) resolve()
        return waits.length < count
      })
      if (signal?.aborted) return Promise.resolve()
      if (ms <= passes) {
        now += ms
        return Promise.resolve()
      }
      return new Promise((resolve) => {
        const entry = { until: now + ms, resolve }
        open.add(entry)
        signal?.addEventListener(
          'abort',
          () => {
            open.delete(entry)
            resolve()
          },
          { once: true },
        )
      })
    },
    async advance(ms) {
      now += ms
      for (const entry of open) {
        if (entry.until > now) continue
        open.delete(entry)
        entry.resolve()
      }
      await Promise.resolve()
    },
    began: (count) =>
      new Promise((resolve) => {
        if (waits.length >= count) resolve()
        else watchers.push({ count, resolve })
      }),
  }
}

/** What a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  const reason: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (reason instanceof Error) return reason
  throw new TypeError(`it did not reject with an error but with ${String(reason)}`)
}
