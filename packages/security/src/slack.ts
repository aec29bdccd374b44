/**
 * Slack's signatures: `X-Slack-Signature: v0=<hex of HMAC-SHA256 over "v0:<timestamp>:<raw body>">`, the time beside
 * it in `X-Slack-Request-Timestamp`.
 * https://docs.slack.dev/authentication/verifying-requests-from-slack
 */
import { createFreshness, soleTimestamp } from './freshness.ts'
import {
  anyKeySigned,
  BELIEVED,
  type Claim,
  hexDigest,
  hmac,
  mismatch,
  refusal,
  signingKeys,
  soleHeader,
  type Verifier,
} from './verifier.ts'

interface SlackClaim extends Claim {
  readonly signature: Buffer
  /** As it was sent. */
  readonly timestamp: string
}

export const SLACK_SIGNATURE_HEADER = 'x-slack-signature'
export const SLACK_TIMESTAMP_HEADER = 'x-slack-request-timestamp'

const MALFORMED = refusal(
  'malformed',
  `the header ${SLACK_SIGNATURE_HEADER} is not a signature; it must be v0= followed by 64 hex digits`,
)
const WRONG = mismatch('"v0:<timestamp>:<body>"')

/** Throws a TypeError without a secret, or for an empty one. */
export function createSlackVerifier(secrets: readonly Uint8Array[], toleranceMs: number): Verifier {
  const keys = signingKeys(secrets)
  const freshness = createFreshness(toleranceMs)
  const verifier: Verifier<SlackClaim> = {
    examine({ headers }) {
      const value = soleHeader(headers, SLACK_SIGNATURE_HEADER)
      if (typeof value !== 'string') return value
      const signature = value.startsWith('v0=') ? hexDigest(value.slice(3)) : undefined
      if (signature === undefined) return MALFORMED
      const timestamp = soleTimestamp(headers, SLACK_TIMESTAMP_HEADER)
      return timestamp.ok ? { ok: true, signature, timestamp: timestamp.text } : timestamp
    },
    verify({ signature, timestamp }, rawBody, nowMs) {
      if (!anyKeySigned(keys, signature, `v0:${timestamp}:`, rawBody)) return WRONG
      return freshness.judge(Number(timestamp), nowMs) ?? BELIEVED
    },
  }
  return verifier
}

/** The value of `X-Slack-Signature` for a body signed at `timestamp` (unix seconds). */
export function signSlack(secret: Uint8Array, timestamp: number, rawBody: Uint8Array): string {
  return `v0=${hmac(secret, `v0:${timestamp}:`, rawBody).toString('hex')}`
}
