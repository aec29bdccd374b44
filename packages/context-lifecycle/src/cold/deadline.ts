/** A limit to how long something may take, by an injected clock. */
import type { Clock } from '@weir/core/clock'

/**
 * Does `work`, and rejects when it takes longer, also where it does not look at its signal: with `late()` after `ms`, with
 * the reason of `outer` when that aborts. The signal of the work has aborted by then.
 */
export async function withDeadline<T>(
  clock: Clock,
  ms: number,
  late: () => Error,
  outer: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  outer.throwIfAborted()
  const ended = new AbortController()
  const given = new AbortController()
  const forward = () => given.abort(outer.reason)
  outer.addEventListener('abort', forward, { once: true })
  void clock.wait(ms, ended.signal).then(() => {
    if (!ended.signal.aborted) given.abort(late())
  })
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  given.signal.addEventListener('abort', () => reject(given.signal.reason), { once: true })
  try {
    return await Promise.race([work(given.signal), aborted])
  } finally {
    outer.removeEventListener('abort', forward)
    ended.abort()
  }
}
