/**
 * Weir's own scheme, for senders that have none:
 *
 *   X-Webhook-Timestamp: <unix seconds>
 *   X-Webhook-Signature: sha256=<hex of HMAC-SHA256 over "<timestamp>.<raw body>">
 */
import { createFreshness, soleTimestamp } from './freshness.ts'
import {
  anyKeySigned,
  BELIEVED,
  type Claim,
  hmac,
  parseSignature,
  refusal,
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

export interface GenericClaim extends Claim {
  readonly signature: Buffer
  /** As it was sent. */
  readonly timestamp: string
}

export const GENERIC_SIGNATURE_HEADER = 'x-webhook-signature'
export const GENERIC_TIMESTAMP_HEADER = 'x-webhook-timestamp'

const WRONG = refusal(
  'mismatch',
  'the signature does not belong to "<timestamp>.<body>" and our secret; compare the secret on both sides, and sign the bytes as they are sent',
)

/** Throws a TypeError without a secret, or for an empty one. */
export function createGenericVerifier(scheme: GenericScheme): Verifier<GenericClaim> {
  const { signatureHeader, timestampHeader } = scheme
  const keys = signingKeys(scheme.secrets)
  const freshness = createFreshness(scheme.toleranceMs)
  return {
    examine({ headers }) {
      const value = soleHeader(headers, signatureHeader)
      if (typeof value !== 'string') return value
      const signature = parseSignature(value, signatureHeader)
      if (!Buffer.isBuffer(signature)) return signature
      const timestamp = soleTimestamp(headers, timestampHeader)
      return timestamp.ok ? { ok: true, signature, timestamp: timestamp.text } : timestamp
    },
    verify({ signature, timestamp }, rawBody, nowMs) {
      if (!anyKeySigned(keys, signature, `${timestamp}.`, rawBody)) return WRONG
      return freshness.judge(Number(timestamp), nowMs) ?? BELIEVED
    },
  }
}

/** The value of the signature header for a body signed at `timestamp` (unix seconds). */
export function signGeneric(secret: Uint8Array, timestamp: number, rawBody: Uint8Array): string {
  return `sha256=${hmac(secret, `${timestamp}.`, rawBody).toString('hex')}`
}
