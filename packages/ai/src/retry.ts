/** Tries something again while it is unavailable, with pauses between. */
import type { Clock } from '@weir/core/clock'
import { isUnavailable, retryAfterOf, Unavailable } from './unavailable.ts'

export interface RetryOptions {
  /** The first one included. */
  readonly attempts: number
  /** Longest pause before the second attempt, ms; it doubles with every further one. */
  readonly baseDelayMs: number
  /** Longest pause, ms. Who is asked to wait longer gives up instead. */
  readonly maxDelayMs: number
  readonly clock: Clock
  /** 0 ≤ random() < 1 */
  random(): number
}

/**
 * What `attempt` resolves with. A pause is a random part of what the backoff allows (so that a thousand who failed together do not come back
 * together), and never shorter than the provider asked for.
 *
 * Throws what the last attempt threw; anything but Fault AI_UNAVAILABLE at once; the signal's reason when it is aborted.
 */
export async function withRetries<T>(
  options: RetryOptions,
  attempt: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const { attempts, baseDelayMs, maxDelayMs, clock, random } = options
  for (let tries = 1; ; tries++) {
    signal?.throwIfAborted()
    try {
      return await attempt()
    } catch (error) {
      if (!isUnavailable(error) || tries >= attempts) throw error
      const asked = retryAfterOf(error) ?? 0
      if (asked > maxDelayMs) throw error
      const backoff = random() * Math.min(maxDelayMs, baseDelayMs * 2 ** (tries - 1))
      await clock.wait(Math.max(asked, backoff), signal)
    }
  }
}

/**
 * What `work` resolves with; Fault AI_UNAVAILABLE when it takes longer, and the signal's reason when that is aborted: then
 * the signal that `work` got is aborted, and what it does afterwards is nobody's concern.
 */
export async function within<T>(
  ms: number,
  clock: Clock,
  work: (signal: AbortSignal) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  signal?.throwIfAborted()
  const ending = new AbortController()
  const stop = () => ending.abort(signal?.reason)
  signal?.addEventListener('abort', stop, { once: true })
  const over = new AbortController()
  try {
    return await new Promise<T>((resolve, reject) => {
      ending.signal.addEventListener('abort', () => reject(ending.signal.reason), { once: true })
      work(ending.signal).then(resolve, reject)
      void clock.wait(ms, over.signal).then(() => {
        if (!over.signal.aborted) ending.abort(new Unavailable(`no answer within ${ms} ms`))
      })
    })
  } finally {
    over.abort()
    signal?.removeEventListener('abort', stop)
  }
}
