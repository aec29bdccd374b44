/**
 * The circuit breaker of a provider, of one process:
 *
 *   closed ──(failureThreshold failures in a row)──▶ open ──(openMs, or as long as the provider asked for)──▶ half-open
 *   half-open: one request is let through as the probe
 *     it succeeds → closed          it fails → open again
 *
 * What fails is a request with all its attempts. Only what says that the provider cannot, or will not, work for us counts; a
 * text that it does not take is an answer.
 */
import type { Clock } from '@weir/core/clock'

export interface BreakerSettings {
  readonly failureThreshold: number
  /** ms */
  readonly openMs: number
}

export interface BreakerView {
  readonly state: 'closed' | 'open' | 'half-open'
  /** Failures in a row. */
  readonly failures: number
  /** ms until a probe may run; 0 when closed or already possible. */
  readonly waitMs: number
}

/** A way in; exactly one of its functions is to be called, once. */
export interface Passage {
  readonly kind: 'entered'
  succeeded(): void
  /** @param retryAfterMs how long the provider asked to be left alone */
  failed(retryAfterMs?: number): void
  /** It ended without saying anything of the provider. */
  left(): void
}

export type Entry = Passage | { readonly kind: 'refused'; readonly waitMs: number }

export interface Breaker {
  readonly view: BreakerView
  enter(): Entry
}

/** How long somebody who finds a probe under way waits, ms: nobody knows how long it takes. */
const PROBE_WAIT_MS = 1_000

export function createBreaker(
  settings: BreakerSettings,
  clock: Clock,
  changed: (view: BreakerView) => void = () => undefined,
): Breaker {
  let failures = 0
  /** Monotonic ms; undefined = closed. */
  let openUntil: number | undefined
  let probing = false
  /** Of the time between two changes: what began before a change says nothing about after it. */
  let era = 0

  function view(): BreakerView {
    if (openUntil === undefined) return { state: 'closed', failures, waitMs: 0 }
    const waitMs = Math.max(0, openUntil - clock.monotonic())
    if (waitMs > 0) return { state: 'open', failures, waitMs }
    return { state: 'half-open', failures, waitMs: probing ? PROBE_WAIT_MS : 0 }
  }

  function turn(until: number | undefined): void {
    openUntil = until
    probing = false
    era += 1
    changed(view())
  }

  return {
    get view() {
      return view()
    },
    enter() {
      const { state, waitMs } = view()
      if (waitMs > 0) return { kind: 'refused', waitMs }
      const begun = era
      const isProbe = state === 'half-open'
      if (isProbe) {
        probing = true
        changed(view())
      }
      const counts = () => begun === era
      return {
        kind: 'entered',
        succeeded() {
          if (!counts()) return
          failures = 0
          if (isProbe) turn(undefined)
        },
        failed(retryAfterMs = 0) {
          if (!counts()) return
          failures += 1
          if (isProbe || failures >= settings.failureThreshold)
            turn(clock.monotonic() + Math.max(settings.openMs, retryAfterMs))
        },
        left() {
          if (counts() && isProbe) probing = false
        },
      }
    },
  }
}
