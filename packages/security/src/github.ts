/**
 * GitHub's signatures: `X-Hub-Signature-256: sha256=<hex of HMAC-SHA256 over the raw body>`.
 * https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
 *
 * GitHub still sends `X-Hub-Signature` (SHA-1) beside it. It is never looked at: a request with that one alone is
 * refused as unsigned.
 */
import { createBodyVerifier } from './body-signature.ts'
import { hmac, parseSignature, type Verifier } from './verifier.ts'

export const GITHUB_SIGNATURE_HEADER = 'x-hub-signature-256'

/** Throws a TypeError without a secret, or for an empty one. */
export function createGithubVerifier(secrets: readonly Uint8Array[]): Verifier {
  return createBodyVerifier(secrets, GITHUB_SIGNATURE_HEADER, parseSignature)
}

/** The value of `X-Hub-Signature-256` for a body: for tests, the demo and `webhook-cli send`. */
export function signGithub(secret: Uint8Array, rawBody: Uint8Array): string {
  return `sha256=${hmac(secret, '', rawBody).toString('hex')}`
}
