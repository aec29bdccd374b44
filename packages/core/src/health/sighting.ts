/**
 * What a process last saw of something outside that it works with, such as cold storage: told by whoever used it, and shown with
 * its age. It is never asked for the sake of being shown.
 */
import type { Clock } from '../clock.ts'
import type { Check } from './document.ts'

export interface Sighting {
  /** It was used, and did what it should. */
  worked(): void
  /** It was used, and failed. @param why a word or a sentence without anything secret */
  failed(why: string): void
  /** How the breaker before it stands, where there is one. */
  breaker(state: 'closed' | 'open' | 'half-open'): void
  check(): Check
}

export function createSighting(clock: Pick<Clock, 'monotonic'>): Sighting {
  let seenAt: number | undefined
  let failure: string | undefined
  let breaker: 'closed' | 'open' | 'half-open' | undefined
  const see = (why: string | undefined): void => {
    seenAt = clock.monotonic()
    failure = why
  }
  return {
    worked: () => see(undefined),
    failed: (why) => see(why),
    breaker(state) {
      breaker = state
    },
    check() {
      const age_ms = seenAt === undefined ? null : Math.max(0, Math.round(clock.monotonic() - seenAt))
      const state =
        breaker === 'open'
          ? 'failing'
          : breaker === 'half-open' || failure !== undefined
            ? 'degraded'
            : age_ms === null
              ? 'unknown'
              : 'ok'
      return {
        state,
        age_ms,
        ...(failure !== undefined && { detail: failure }),
        ...(breaker !== undefined && { breaker }),
      }
    },
  }
}
