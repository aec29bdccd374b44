/**
 * The keys of Standard Webhooks, whose prefix says which kind they are: `whsec_` a shared secret, `whpk_` the public
 * and `whsk_` the private half of an ed25519 pair, each with its base64 behind it.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#signature-scheme
 */
import { createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from 'node:crypto'
import { usableSecrets } from './verifier.ts'

export interface StandardKeys {
  /** For `v1`. */
  readonly shared: readonly KeyObject[]
  /** For `v1a`. */
  readonly publics: readonly KeyObject[]
}

const SHARED = 'whsec_'
const PUBLIC = 'whpk_'
const PRIVATE = 'whsk_'

/** Length of an ed25519 public key, and of the seed that a private one is made from. */
const ED25519_BYTES = 32
/** What PKCS #8 puts before the seed of an ed25519 key (RFC 8410, 7). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

/** Is it a secret in the form of Standard Webhooks, or at least meant to be one? */
export function isSharedKey(secret: Uint8Array): boolean {
  return textOf(secret).startsWith(SHARED)
}

/** What verifies. Throws a TypeError, which says what to do, for a secret that is none of these. */
export function verifyingKeys(secrets: readonly Uint8Array[]): StandardKeys {
  const shared: KeyObject[] = []
  const publics: KeyObject[] = []
  for (const secret of usableSecrets(secrets)) {
    const text = textOf(secret)
    if (text.startsWith(SHARED)) shared.push(sharedKey(text))
    else if (text.startsWith(PUBLIC)) publics.push(publicKey(text))
    else if (text.startsWith(PRIVATE))
      throw new TypeError(
        'whsk_ is the private key, which belongs to the sender alone; configure the public one, whpk_',
      )
    else
      throw new TypeError(
        'a secret must begin with whsec_, or whpk_ when it is a public key; where the sender shows the base64 alone, write whsec_ before it',
      )
  }
  return { shared, publics }
}

/** What signs: the shared secret or the private key. Throws a TypeError for anything else. */
export function signingKey(secret: Uint8Array): KeyObject {
  const text = textOf(secret)
  if (text.startsWith(SHARED)) return sharedKey(text)
  if (!text.startsWith(PRIVATE))
    throw new TypeError('signing needs a secret that begins with whsec_, or whsk_ when it is a private key')
  const bytes = bytesBehind(PRIVATE, text)
  // Some write the seed, others the seed and the public key that follows from it.
  if (bytes.length !== ED25519_BYTES && bytes.length !== 2 * ED25519_BYTES)
    throw new TypeError('behind whsk_ must stand 32 or 64 bytes in base64; copy the key whole')
  const der = Buffer.concat([PKCS8_PREFIX, bytes.subarray(0, ED25519_BYTES)])
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
}

function sharedKey(text: string): KeyObject {
  return createSecretKey(bytesBehind(SHARED, text))
}

function publicKey(text: string): KeyObject {
  const bytes = bytesBehind(PUBLIC, text)
  if (bytes.length !== ED25519_BYTES)
    throw new TypeError('behind whpk_ must stand 32 bytes in base64; copy the key whole')
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') }
  return createPublicKey({ key: jwk, format: 'jwk' })
}

function bytesBehind(prefix: string, text: string): Buffer {
  const base64 = text.slice(prefix.length)
  const bytes = Buffer.from(base64, 'base64')
  // Buffer.from skips what is not base64, and would make a short key of a damaged one. Padding may be left out.
  if (bytes.length === 0 || unpadded(bytes.toString('base64')) !== unpadded(base64))
    throw new TypeError(
      `behind ${prefix} must stand base64; copy the secret whole, as the sender shows it, without quotes or line breaks`,
    )
  return bytes
}

function unpadded(base64: string): string {
  return base64.replace(/={1,2}$/, '')
}

function textOf(secret: Uint8Array): string {
  return Buffer.from(secret.buffer, secret.byteOffset, secret.byteLength).toString('latin1')
}
