/**
 * What all signature schemes share: two looks at a request. The first needs only the headers, so that a request
 * without a usable signature is refused before its body is read; the second needs every byte.
 *
 * Verification works on the raw bytes. Decoding them first would change some of them (invalid UTF-8), and then
 * what is verified is not what is stored.
 */
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'

/**
 * Headers by lower-case name. A list stands for a header that came more than once (as in Node's `headersDistinct`);
 * one joined by commas (Node's `headers`) is refused as malformed.
 */
export type SignedHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

export type RefusalReason = 'missing' | 'malformed' | 'duplicated' | 'mismatch' | 'stale' | 'future'

/** Why a request is not believed. `detail` says what the sender can do, and repeats nothing that it sent. */
export interface Refusal {
  readonly ok: false
  readonly reason: RefusalReason
  readonly detail: string
}

/** What the headers claim, well-formed but not yet believed. */
export interface Claim {
  readonly ok: true
  /** The signature, 32 bytes. */
  readonly signature: Buffer
  /** The signed timestamp as it was sent; '' where the scheme has none. */
  readonly timestamp: string
}

export type Verdict = { readonly ok: true } | Refusal

export interface Verifier {
  /** Presence and exact grammar of the signature headers. Never throws. */
  examine(headers: SignedHeaders): Claim | Refusal
  /**
   * Whether the claim holds for these bytes, in time that does not depend on how wrong it is.
   * @param nowMs wall clock, ms since the epoch
   */
  verify(claim: Claim, rawBody: Buffer, nowMs: number): Verdict
}

export const BELIEVED: Verdict = { ok: true }

export function refusal(reason: RefusalReason, detail: string): Refusal {
  return { ok: false, reason, detail }
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

// 64 hex digits are checked before decoding: Buffer.from('zz', 'hex') is empty, and empty equals empty.
const SIGNATURE = /^sha256=([0-9a-fA-F]{64})$/

/** `sha256=` and 64 hex digits, in either case; a refusal for anything else. */
export function parseSignature(value: string, header: string): Buffer | Refusal {
  const match = SIGNATURE.exec(value)
  if (match === null) {
    return refusal(
      'malformed',
      `the header ${header} is not a signature; it must be sha256= followed by 64 hex digits`,
    )
  }
  return Buffer.from(match[1] as string, 'hex')
}

/**
 * The keys of a tool, several while a secret is being rotated. Throws a TypeError when there is none or one is
 * empty: Node accepts an empty HMAC key, and then anybody can sign.
 */
export function signingKeys(secrets: readonly Uint8Array[]): readonly KeyObject[] {
  if (secrets.length === 0) throw new TypeError('a verifier needs at least one secret')
  return secrets.map((secret) => {
    if (secret.length === 0)
      throw new TypeError('a secret must not be empty: with an empty one anybody can sign')
    return createSecretKey(secret)
  })
}

/** Does one of the keys give this signature over `prefix` and the body? */
export function anyKeySigned(
  keys: readonly KeyObject[],
  signature: Buffer,
  prefix: string,
  rawBody: Buffer,
): boolean {
  for (const key of keys) {
    // Stopping at the first match tells an onlooker only which of our keys a valid sender uses.
    if (timingSafeEqual(hmac(key, prefix, rawBody), signature)) return true
  }
  return false
}

/** HMAC-SHA256 over `prefix` and the body, 32 bytes. */
export function hmac(key: KeyObject | Uint8Array, prefix: string, rawBody: Uint8Array): Buffer {
  const mac = createHmac('sha256', key)
  if (prefix !== '') mac.update(prefix)
  return mac.update(rawBody).digest()
}
