/**
 * A signed time bounds how long a captured request can be sent again. It may lie the tolerance in the past, but at
 * most 30 s in the future: tolerated in both directions a request would stay valid for twice the tolerance, longer
 * than the dedupe window remembers it.
 */
import { type Refusal, refusal, type SignedHeaders, soleHeader } from './verifier.ts'

/** The clocks of honest senders are not further ahead than this. */
const MAX_FUTURE_SKEW_MS = 30_000

// Up to 12 digits are seconds until the year 33658; 13 would be milliseconds, a common mistake.
const UNIX_SECONDS = /^(?:0|[1-9][0-9]{0,11})$/

/** Is this text unix seconds in the one spelling that a number has? */
export function isUnixSeconds(text: string): boolean {
  return UNIX_SECONDS.test(text)
}

/** The header's value when it is unix seconds, as it was sent: the text is what is signed. */
export function soleTimestamp(
  headers: SignedHeaders,
  header: string,
): { readonly ok: true; readonly text: string } | Refusal {
  const value = soleHeader(headers, header)
  if (typeof value !== 'string') return value
  if (isUnixSeconds(value)) return { ok: true, text: value }
  return refusal(
    'malformed',
    `the header ${header} must be the time of signing in whole seconds since 1970 (not milliseconds)`,
  )
}

export interface Freshness {
  /** How far ahead of ours a clock may be, ms. */
  readonly leewayMs: number
  /** Undefined for a time that is neither too old nor too far ahead. */
  judge(signedAtSeconds: number, nowMs: number): Refusal | undefined
}

/** Throws a TypeError for a tolerance that is no duration: compared with NaN, everything would be fresh. */
export function createFreshness(toleranceMs: number): Freshness {
  if (!(toleranceMs >= 0)) throw new TypeError('the tolerance of timestamps must be milliseconds, 0 or more')
  const leewayMs = Math.min(toleranceMs, MAX_FUTURE_SKEW_MS)
  const stale = refusal(
    'stale',
    `the request was signed more than ${toleranceMs / 1000} s ago; sign each attempt anew and check the sender's clock`,
  )
  const future = refusal(
    'future',
    `the request was signed more than ${leewayMs / 1000} s in the future; check the sender's clock`,
  )
  return {
    leewayMs,
    judge(signedAtSeconds, nowMs) {
      const ageMs = nowMs - signedAtSeconds * 1000
      // Written so that a time that is no number is refused.
      if (!(ageMs <= toleranceMs)) return stale
      return -ageMs <= leewayMs ? undefined : future
    },
  }
}
