/**
 * Weir's own scheme, for senders that have none:
 *
 *   X-Webhook-Timestamp: <unix seconds>
 *   X-Webhook-Signature: sha256=<hex of HMAC-SHA256 over "<timestamp>.<raw body>">
 *
 * The signed time bounds how long a captured request can be sent again. It may lie `toleranceMs` in the past, but at
 * most 30 s in the future: tolerated in both directions a request would stay valid for twice the tolerance, longer
 * than the dedupe window remembers it.
 */
import {
  anyKeySigned,
  BELIEVED,
  hmac,
  parseSignature,
  refusal,
  type SignedHeaders,
  signingKeys,
  soleHeader,
  type Verifier,
} from './verifier.ts'

export interface GenericScheme {
  readonly secrets: readonly Uint8Array[]
  /** Lower case. */
  readonly signatureHeader: string
  /** Lower case. */
  readonly timestampHeader: string
  /** How old the signed time may be, ms. */
  readonly toleranceMs: number
}

export const GENERIC_SIGNATURE_HEADER = 'x-webhook-signature'
export const GENERIC_TIMESTAMP_HEADER = 'x-webhook-timestamp'

/** The clocks of honest senders are not further ahead than this. */
const MAX_FUTURE_SKEW_MS = 30_000

// Up to 12 digits are seconds until the year 33658; 13 would be milliseconds, a common mistake.
const UNIX_SECONDS = /^(?:0|[1-9][0-9]{0,11})$/

/** Throws a TypeError without a secret, or for an empty one. */
export function createGenericVerifier(scheme: GenericScheme): Verifier {
  const { signatureHeader, timestampHeader, toleranceMs } = scheme
  const keys = signingKeys(scheme.secrets)
  const futureMs = Math.min(toleranceMs, MAX_FUTURE_SKEW_MS)
  return {
    examine(headers: SignedHeaders) {
      const value = soleHeader(headers, signatureHeader)
      if (typeof value !== 'string') return value
      const signature = parseSignature(value, signatureHeader)
      if (!Buffer.isBuffer(signature)) return signature
      const timestamp = soleHeader(headers, timestampHeader)
      if (typeof timestamp !== 'string') return timestamp
      if (!UNIX_SECONDS.test(timestamp)) {
        return refusal(
          'malformed',
          `the header ${timestampHeader} must be the time of signing in whole seconds since 1970 (not milliseconds)`,
        )
      }
      return { ok: true, signature, timestamp }
    },
    verify(claim, rawBody, nowMs) {
      if (!anyKeySigned(keys, claim.signature, `${claim.timestamp}.`, rawBody)) {
        return refusal(
          'mismatch',
          'the signature does not belong to "<timestamp>.<body>" and our secret; compare the secret on both sides, and sign the bytes as they are sent',
        )
      }
      const ageMs = nowMs - Number(claim.timestamp) * 1000
      if (ageMs > toleranceMs) {
        return refusal(
          'stale',
          `the request was signed more than ${toleranceMs / 1000} s ago; sign each attempt anew and check the sender's clock`,
        )
      }
      if (-ageMs > futureMs) {
        return refusal(
          'future',
          `the request was signed more than ${futureMs / 1000} s in the future; check the sender's clock`,
        )
      }
      return BELIEVED
    },
  }
}

/** The value of the signature header for a body signed at `timestamp` (unix seconds). */
export function signGeneric(secret: Uint8Array, timestamp: number, rawBody: Uint8Array): string {
  return `sha256=${hmac(secret, `${timestamp}.`, rawBody).toString('hex')}`
}
