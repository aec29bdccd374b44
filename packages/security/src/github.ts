/**
 * GitHub's signatures: `X-Hub-Signature-256: sha256=<hex of HMAC-SHA256 over the raw body>`.
 * https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
 *
 * GitHub still sends `X-Hub-Signature` (SHA-1) beside it. It is never looked at: a request with that one alone is
 * refused as unsigned.
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

export const GITHUB_SIGNATURE_HEADER = 'x-hub-signature-256'

/** Throws a TypeError without a secret, or for an empty one. */
export function createGithubVerifier(secrets: readonly Uint8Array[]): Verifier {
  const keys = signingKeys(secrets)
  return {
    examine(headers: SignedHeaders) {
      const value = soleHeader(headers, GITHUB_SIGNATURE_HEADER)
      if (typeof value !== 'string') return value
      const signature = parseSignature(value, GITHUB_SIGNATURE_HEADER)
      return Buffer.isBuffer(signature) ? { ok: true, signature, timestamp: '' } : signature
    },
    verify(claim, rawBody) {
      if (anyKeySigned(keys, claim.signature, '', rawBody)) return BELIEVED
      return refusal(
        'mismatch',
        'the signature does not belong to this body and our secret; compare the secret on both sides, and let nothing on the way change the body',
      )
    },
  }
}

/** The value of `X-Hub-Signature-256` for a body: for tests, the demo and `webhook-cli send`. */
export function signGithub(secret: Uint8Array, rawBody: Uint8Array): string {
  return `sha256=${hmac(secret, '', rawBody).toString('hex')}`
}
