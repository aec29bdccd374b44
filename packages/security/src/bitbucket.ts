/**
 * Bitbucket's signatures: `X-Hub-Signature: sha256=<hex of HMAC-SHA256 over the raw body>`; the name is that of
 * GitHub's old header, the digest is not.
 * https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/ ("Secure webhooks")
 */
import { createBodyVerifier } from './body-signature.ts'
import { hmac, parseSignature, type Verifier } from './verifier.ts'

export const HUB_SIGNATURE_HEADER = 'x-hub-signature'

/** Throws a TypeError without a secret, or for an empty one. */
export function createBitbucketVerifier(secrets: readonly Uint8Array[]): Verifier {
  return createBodyVerifier(secrets, HUB_SIGNATURE_HEADER, parseSignature)
}

/** The value of `X-Hub-Signature` for a body. */
export function signBitbucket(secret: Uint8Array, rawBody: Uint8Array): string {
  return `sha256=${hmac(secret, '', rawBody).toString('hex')}`
}
