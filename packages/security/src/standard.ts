/**
 * Standard Webhooks, which many senders share:
 *
 *   webhook-id: <id of the event, the same over all attempts>
 *   webhook-timestamp: <unix seconds>
 *   webhook-signature: v1,<base64> v1a,<base64>
 *
 * Signed is "<id>.<timestamp>.<raw body>": `v1` with HMAC-SHA256 and a `whsec_` secret, `v1a` with ed25519 and the
 * private half of a `whpk_` key. Other versions are passed over.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
import { sign as signWithPrivateKey, verify as verifyWithPublicKey } from 'node:crypto'
import { createFreshness, soleTimestamp } from './freshness.ts'
import { signingKey, verifyingKeys } from './standard-keys.ts'
import {
  anyKeySigned,
  BELIEVED,
  base64Digest,
  type Claim,
  hmac,
  MAX_SIGNATURES,
  mismatch,
  type Refusal,
  refusal,
  soleHeader,
  type Verifier,
} from './verifier.ts'

interface Signatures {
  readonly v1: readonly Buffer[]
  readonly v1a: readonly Buffer[]
}

export interface StandardClaim extends Claim, Signatures {
  readonly id: string
  /** As it was sent. */
  readonly timestamp: string
}

const STANDARD_ID_HEADER = 'webhook-id'
const STANDARD_TIMESTAMP_HEADER = 'webhook-timestamp'
export const STANDARD_SIGNATURE_HEADER = 'webhook-signature'

const MALFORMED = refusal(
  'malformed',
  `the header ${STANDARD_SIGNATURE_HEADER} is not a list of signatures; it must be v1, or v1a, followed by base64, up to ${MAX_SIGNATURES} of these with single spaces between`,
)
const WRONG = mismatch('"<id>.<timestamp>.<body>"')

// Without full stops, as the specification wants it: with one in the id, the same signed bytes could be cut into id,
// time and body in two ways.
const ID = /^[!-\-/-~]{1,256}$/
// 64 bytes: the last of 86 characters holds two bits; any other would be a second spelling.
const BASE64_ED25519 = /^[A-Za-z0-9+/]{85}[AQgw]==$/
const OTHER_VERSION = /^v[0-9]{1,3}[a-z]{0,3},[A-Za-z0-9+/_=-]*$/

/** Throws a TypeError, which says what to do, for a secret that is neither `whsec_` nor `whpk_` and base64. */
export function createStandardVerifier(
  secrets: readonly Uint8Array[],
  toleranceMs: number,
): Verifier<StandardClaim> {
  const { shared, publics } = verifyingKeys(secrets)
  const freshness = createFreshness(toleranceMs)
  const kinds = [shared.length > 0 ? 'v1' : '', publics.length > 0 ? 'v1a' : ''].filter((kind) => kind !== '')
  const otherKind = refusal(
    'missing',
    `the header ${STANDARD_SIGNATURE_HEADER} holds no signature of the kind that our keys can verify (${kinds.join(', ')}); use the key that belongs to it on one of the sides`,
  )

  return {
    examine({ headers }) {
      const value = soleHeader(headers, STANDARD_SIGNATURE_HEADER)
      if (typeof value !== 'string') return value
      const signatures = parseList(value)
      if ('ok' in signatures) return signatures
      const { v1, v1a } = signatures
      const verifiable = (shared.length > 0 && v1.length > 0) || (publics.length > 0 && v1a.length > 0)
      if (!verifiable) return otherKind
      const id = soleHeader(headers, STANDARD_ID_HEADER)
      if (typeof id !== 'string') return id
      if (!ID.test(id)) {
        return refusal(
          'malformed',
          `the header ${STANDARD_ID_HEADER} must be up to 256 visible ASCII characters without a full stop`,
        )
      }
      const timestamp = soleTimestamp(headers, STANDARD_TIMESTAMP_HEADER)
      return timestamp.ok ? { ok: true, v1, v1a, id, timestamp: timestamp.text } : timestamp
    },
    verify({ v1, v1a, id, timestamp }, rawBody, nowMs) {
      const prefix = `${id}.${timestamp}.`
      const signed =
        (v1.length > 0 && anyKeySigned(shared, v1, prefix, rawBody)) || privatelySigned(v1a, prefix, rawBody)
      return signed ? (freshness.judge(Number(timestamp), nowMs) ?? BELIEVED) : WRONG
    },
  }

  function privatelySigned(signatures: readonly Buffer[], prefix: string, rawBody: Buffer): boolean {
    if (signatures.length === 0 || publics.length === 0) return false
    const message = Buffer.concat([Buffer.from(prefix), rawBody])
    return publics.some((key) =>
      signatures.some((signature) => verifyWithPublicKey(null, message, key, signature)),
    )
  }
}

function parseList(value: string): Signatures | Refusal {
  const v1: Buffer[] = []
  const v1a: Buffer[] = []
  for (const entry of value.split(' ')) {
    if (entry.startsWith('v1,')) {
      const signature = base64Digest(entry.slice(3))
      if (signature === undefined) return MALFORMED
      v1.push(signature)
    } else if (entry.startsWith('v1a,')) {
      const text = entry.slice(4)
      if (!BASE64_ED25519.test(text)) return MALFORMED
      v1a.push(Buffer.from(text, 'base64'))
    } else if (!OTHER_VERSION.test(entry)) return MALFORMED
  }
  return v1.length + v1a.length <= MAX_SIGNATURES ? { v1, v1a } : MALFORMED
}

/**
 * The three headers for a body signed at `timestamp` (unix seconds), with a `whsec_` secret or a `whsk_` private key.
 * Throws a TypeError for another secret, or an id that no receiver would take.
 */
export function signStandard(
  secret: Uint8Array,
  id: string,
  timestamp: number,
  rawBody: Uint8Array,
): Record<string, string> {
  if (!ID.test(id))
    throw new TypeError('a delivery id must be up to 256 visible ASCII characters without a full stop')
  const key = signingKey(secret)
  const prefix = `${id}.${timestamp}.`
  const signature =
    key.type === 'secret'
      ? `v1,${hmac(key, prefix, rawBody).toString('base64')}`
      : `v1a,${signWithPrivateKey(null, Buffer.concat([Buffer.from(prefix), rawBody]), key).toString('base64')}`
  return {
    [STANDARD_ID_HEADER]: id,
    [STANDARD_TIMESTAMP_HEADER]: String(timestamp),
    [STANDARD_SIGNATURE_HEADER]: signature,
  }
}
