/**
 * Shopify's signatures: `X-Shopify-Hmac-SHA256: <base64 of HMAC-SHA256 over the raw body>`, keyed with the app's
 * client secret. Neither the shop's name nor the topic is signed: those headers are the sender's word only.
 * https://shopify.dev/docs/apps/build/webhooks/subscribe/https#step-2-validate-the-origin-of-your-webhook-to-ensure-its-coming-from-shopify
 */
import { createBodyVerifier } from './body-signature.ts'
import { base64Digest, hmac, refusal, type Verifier } from './verifier.ts'

export const SHOPIFY_SIGNATURE_HEADER = 'x-shopify-hmac-sha256'

/** Throws a TypeError without a secret, or for an empty one. */
export function createShopifyVerifier(secrets: readonly Uint8Array[]): Verifier {
  return createBodyVerifier(
    secrets,
    SHOPIFY_SIGNATURE_HEADER,
    (value, header) =>
      base64Digest(value) ??
      refusal(
        'malformed',
        `the header ${header} is not a signature; it must be 32 bytes in base64, 44 characters`,
      ),
  )
}

/** The value of `X-Shopify-Hmac-SHA256` for a body. */
export function signShopify(secret: Uint8Array, rawBody: Uint8Array): string {
  return hmac(secret, '', rawBody).toString('base64')
}
