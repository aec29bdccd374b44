/**
 * Stripe's signatures: `Stripe-Signature: t=<unix seconds>,v1=<hex>,v1=<hex>`, each v1 HMAC-SHA256 over
 * "<t>.<raw body>", one for each secret while one is being rolled. Other schemes are passed over: v0 is a fake that
 * Stripe adds to test events, and believing whichever scheme a sender names would let it choose a weak one.
 * The key is the endpoint's whole secret, `whsec_` included, as text.
 * https://docs.stripe.com/webhooks/signature#verify-manually
 */
import { createFreshness, isUnixSeconds } from './freshness.ts'
import {
  anyKeySigned,
  BELIEVED,
  type Claim,
  hexDigest,
  hmac,
  MAX_SIGNATURES,
  mismatch,
  type Refusal,
  refusal,
  signingKeys,
  soleHeader,
  type Verifier,
} from './verifier.ts'

interface StripeClaim extends Claim {
  readonly signatures: readonly Buffer[]
  /** As it was sent. */
  readonly timestamp: string
}

export const STRIPE_SIGNATURE_HEADER = 'stripe-signature'

const MALFORMED = refusal(
  'malformed',
  `the header ${STRIPE_SIGNATURE_HEADER} is not a signature; it must be t= with the time of signing in seconds and v1= with 64 hex digits (up to ${MAX_SIGNATURES} of these), with commas between`,
)
const WRONG = mismatch('"<t>.<body>"')

const OTHER_SCHEME = /^[a-z][a-z0-9_]{0,31}=[^,\s]*$/

/** Throws a TypeError without a secret, or for an empty one. */
export function createStripeVerifier(secrets: readonly Uint8Array[], toleranceMs: number): Verifier {
  const keys = signingKeys(secrets)
  const freshness = createFreshness(toleranceMs)
  const verifier: Verifier<StripeClaim> = {
    examine({ headers }) {
      const value = soleHeader(headers, STRIPE_SIGNATURE_HEADER)
      return typeof value === 'string' ? parse(value) : value
    },
    verify({ signatures, timestamp }, rawBody, nowMs) {
      if (!anyKeySigned(keys, signatures, `${timestamp}.`, rawBody)) return WRONG
      return freshness.judge(Number(timestamp), nowMs) ?? BELIEVED
    },
  }
  return verifier
}

function parse(value: string): StripeClaim | Refusal {
  const signatures: Buffer[] = []
  let timestamp: string | undefined
  for (const entry of value.split(',')) {
    if (entry.startsWith('t=')) {
      // Two times would leave open which one is signed.
      if (timestamp !== undefined) return MALFORMED
      timestamp = entry.slice(2)
    } else if (entry.startsWith('v1=')) {
      const signature = hexDigest(entry.slice(3))
      if (signature === undefined) return MALFORMED
      signatures.push(signature)
    } else if (!OTHER_SCHEME.test(entry)) return MALFORMED
  }
  if (timestamp === undefined || !isUnixSeconds(timestamp)) return MALFORMED
  if (signatures.length === 0 || signatures.length > MAX_SIGNATURES) return MALFORMED
  return { ok: true, signatures, timestamp }
}

/** The value of `Stripe-Signature` for a body signed at `timestamp` (unix seconds). */
export function signStripe(secret: Uint8Array, timestamp: number, rawBody: Uint8Array): string {
  return `t=${timestamp},v1=${hmac(secret, `${timestamp}.`, rawBody).toString('hex')}`
}
