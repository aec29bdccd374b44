/**
 * What all signature schemes share: two looks at a request. The first needs only the head, so that a request without
 * a usable signature is refused before its body is read; the second needs every byte.
 *
 * Verification works on the raw bytes. Decoding them first would change some of them (invalid UTF-8), and then
 * what is verified is not what is stored.
 */
import { createHmac, createSecretKey, type Hmac, type KeyObject, timingSafeEqual } from 'node:crypto'

/**
 * Headers by lower-case name. A list stands for a header that came more than once (as in Node's `headersDistinct`);
 * one joined by commas (Node's `headers`) is refused as malformed.
 */
export type SignedHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

/** The head of a request, as it was received. */
export interface SignedRequest {
  readonly method: string
  /** Path and query. */
  readonly url: string
  readonly headers: SignedHeaders
}

export type RefusalReason = 'missing' | 'malformed' | 'duplicated' | 'mismatch' | 'stale' | 'future'

/** Why a request is not believed. `detail` says what the sender can do, and repeats nothing that it sent. */
export interface Refusal {
  readonly ok: false
  readonly reason: RefusalReason
  readonly detail: string
}

/** What the head claims, well-formed but not yet believed. Each scheme adds what it needs to know. */
export interface Claim {
  readonly ok: true
}

export type Verdict = { readonly ok: true } | Refusal

/** Outside of its scheme nobody looks into a claim; it goes back to the verifier that it came from. */
export interface Verifier<Claimed extends Claim = Claim> {
  /** Presence and exact grammar of the signature headers. Never throws. */
  examine(request: SignedRequest): Claimed | Refusal
  /**
   * Whether the claim holds for these bytes, in time that does not depend on how wrong it is. Never throws.
   * @param nowMs wall clock, ms since the epoch
   */
  verify(claim: Claimed, rawBody: Buffer, nowMs: number): Verdict
}

export const BELIEVED: Verdict = { ok: true }

/** Of senders that are known by credentials or a token. */
export const AUTHORIZATION_HEADER = 'authorization'

/**
 * How many signatures one request may carry. Senders send two while they rotate a secret; a list without end would be
 * work without end.
 */
export const MAX_SIGNATURES = 8

export function refusal(reason: RefusalReason, detail: string): Refusal {
  return { ok: false, reason, detail }
}

/** The refusal of a signature that is well-formed and wrong. */
export function mismatch(signed: string): Refusal {
  return refusal(
    'mismatch',
    `the signature does not belong to ${signed} and our secret; compare the secret on both sides, and let nothing on the way change the body`,
  )
}

/** One header's value: a refusal when it is missing or repeated. */
export function soleHeader(headers: SignedHeaders, name: string): string | Refusal {
  const value = headers[name]
  if (typeof value === 'string') return value
  if (value === undefined || value.length === 0) {
    return refusal('missing', `the header ${name} is missing; configure the sender to sign its requests`)
  }
  if (value.length > 1)
    return refusal('duplicated', `the header ${name} came ${value.length} times; send it once`)
  return value[0] as string
}

/** Did the request come with this header at all? An empty one is there, and wrong. */
export function hasHeader(headers: SignedHeaders, name: string): boolean {
  const value = headers[name]
  return typeof value === 'string' || (value !== undefined && value.length > 0)
}

// 64 hex digits are checked before decoding: Buffer.from('zz', 'hex') is empty, and empty equals empty.
const HEX_SHA256 = /^[0-9a-fA-F]{64}$/
// 32 bytes: 43 characters and one `=`. The last character holds four bits; any other would be a second spelling.
const BASE64_SHA256 = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/

/** 64 hex digits in either case, as bytes; undefined for anything else. */
export function hexDigest(digits: string): Buffer | undefined {
  return HEX_SHA256.test(digits) ? Buffer.from(digits, 'hex') : undefined
}

/** 32 bytes in the one spelling that base64 has for them; undefined for anything else. */
export function base64Digest(text: string): Buffer | undefined {
  return BASE64_SHA256.test(text) ? Buffer.from(text, 'base64') : undefined
}

/** `sha256=` and 64 hex digits, in either case; a refusal for anything else. */
export function parseSignature(value: string, header: string): Buffer | Refusal {
  const signature = value.startsWith('sha256=') ? hexDigest(value.slice(7)) : undefined
  return (
    signature ??
    refusal(
      'malformed',
      `the header ${header} is not a signature; it must be sha256= followed by 64 hex digits`,
    )
  )
}

/**
 * The keys of a tool, several while a secret is being rotated. Throws a TypeError when there is none or one is
 * empty: Node accepts an empty HMAC key, and then anybody can sign.
 */
export function signingKeys(secrets: readonly Uint8Array[]): readonly KeyObject[] {
  return usableSecrets(secrets).map((secret) => createSecretKey(secret))
}

/** The secrets themselves. Throws a TypeError when there is none or one is empty. */
export function usableSecrets(secrets: readonly Uint8Array[]): readonly Uint8Array[] {
  if (secrets.length === 0) throw new TypeError('a verifier needs at least one secret')
  if (secrets.some((secret) => secret.length === 0))
    throw new TypeError('a secret must not be empty: with an empty one anybody can sign')
  return secrets
}

export type HmacAlgorithm = 'sha256' | 'sha384' | 'sha512'

/** The digest that is compared: as a string and written here it costs half a microsecond less than in a Buffer of its own. */
const EXPECTED: Readonly<Record<HmacAlgorithm, Buffer>> = {
  sha256: Buffer.alloc(32),
  sha384: Buffer.alloc(48),
  sha512: Buffer.alloc(64),
}

/** Does one of the keys give one of these signatures over `prefix` and the body? All are as long as the digest. */
export function anyKeySigned(
  keys: readonly KeyObject[],
  signatures: Buffer | readonly Buffer[],
  prefix: string,
  rawBody: Uint8Array,
  algorithm: HmacAlgorithm = 'sha256',
): boolean {
  const expected = EXPECTED[algorithm]
  for (const key of keys) {
    expected.write(macOf(key, prefix, rawBody, algorithm).digest('binary'), 'latin1')
    const same = Buffer.isBuffer(signatures)
      ? timingSafeEqual(expected, signatures)
      : signatures.some((signature) => timingSafeEqual(expected, signature))
    // Stopping at the first match tells an onlooker only which of our keys a valid sender uses.
    if (same) return true
  }
  return false
}

/** HMAC over `prefix` and the body; SHA-256, 32 bytes, unless told otherwise. */
export function hmac(
  key: KeyObject | Uint8Array,
  prefix: string,
  rawBody: Uint8Array,
  algorithm: HmacAlgorithm = 'sha256',
): Buffer {
  return macOf(key, prefix, rawBody, algorithm).digest()
}

function macOf(
  key: KeyObject | Uint8Array,
  prefix: string,
  rawBody: Uint8Array,
  algorithm: HmacAlgorithm,
): Hmac {
  const mac = createHmac(algorithm, key)
  if (prefix !== '') mac.update(prefix)
  return mac.update(rawBody)
}
