/**
 * PagerDuty's signatures (webhooks v3): `X-PagerDuty-Signature: v1=<hex>,v1=<hex>`, each HMAC-SHA256 over the raw
 * body, one for each secret while one is being rotated. Other versions beside v1 are passed over, as documented.
 * https://developer.pagerduty.com/docs/webhooks/webhook-signatures/
 */
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

interface PagerDutyClaim extends Claim {
  readonly signatures: readonly Buffer[]
}

export const PAGERDUTY_SIGNATURE_HEADER = 'x-pagerduty-signature'

const MALFORMED = refusal(
  'malformed',
  `the header ${PAGERDUTY_SIGNATURE_HEADER} is not a list of signatures; it must be v1= followed by 64 hex digits, up to ${MAX_SIGNATURES} of these with commas between`,
)
const WRONG = mismatch('this body')

const OTHER_VERSION = /^v[0-9]{1,3}=[^,\s]*$/

/** Throws a TypeError without a secret, or for an empty one. */
export function createPagerDutyVerifier(secrets: readonly Uint8Array[]): Verifier {
  const keys = signingKeys(secrets)
  const verifier: Verifier<PagerDutyClaim> = {
    examine({ headers }) {
      const value = soleHeader(headers, PAGERDUTY_SIGNATURE_HEADER)
      if (typeof value !== 'string') return value
      const signatures = parseList(value)
      return Array.isArray(signatures) ? { ok: true, signatures } : MALFORMED
    },
    verify({ signatures }, rawBody) {
      return anyKeySigned(keys, signatures, '', rawBody) ? BELIEVED : WRONG
    },
  }
  return verifier
}

function parseList(value: string): Buffer[] | Refusal {
  const signatures: Buffer[] = []
  for (const entry of value.split(',')) {
    if (entry.startsWith('v1=')) {
      const signature = hexDigest(entry.slice(3))
      if (signature === undefined) return MALFORMED
      signatures.push(signature)
    } else if (!OTHER_VERSION.test(entry)) return MALFORMED
  }
  return signatures.length > 0 && signatures.length <= MAX_SIGNATURES ? signatures : MALFORMED
}

/** The value of `X-PagerDuty-Signature` for a body. */
export function signPagerDuty(secret: Uint8Array, rawBody: Uint8Array): string {
  return `v1=${hmac(secret, '', rawBody).toString('hex')}`
}
