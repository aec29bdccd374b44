/** Exponential backoff with full jitter: a random delay between 0 and base · 2ⁿ, at most max. */
export interface Backoff {
  /** ms */
  readonly baseMs: number
  readonly maxMs: number
}

/**
 * @param attempts failed attempts so far, 1 or more
 * @param random in [0, 1)
 * @returns ms, at least 1
 */
export function retryDelay(backoff: Backoff, attempts: number, random: () => number): number {
  const ceiling = Math.min(backoff.maxMs, backoff.baseMs * 2 ** Math.min(attempts - 1, 30))
  return Math.max(1, Math.floor(random() * ceiling))
}
