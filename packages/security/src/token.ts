/**
 * Secrets that are sent as they are. Their digests are compared, not they themselves: digests are equally long, so
 * the time of comparing them tells neither the length of the secret nor how much of it was guessed.
 *
 * Such a scheme proves who knows the secret, and nothing about the bytes: whoever sees one request can send any other.
 */
import { hash, timingSafeEqual } from 'node:crypto'

/** The field values of RFC 9110, 5.5, as Node hands them out: one character for each byte. */
const FIELD_VALUE = /^[ -~\u0080-\u00ff]+$/

/**
 * A header's value as the bytes that were sent; undefined when it is empty or holds what no header can. Characters
 * beyond a byte are refused, not cut: cut, some would become the very letter that they resemble.
 */
export function headerBytes(value: string): Buffer | undefined {
  return FIELD_VALUE.test(value) ? Buffer.from(value, 'latin1') : undefined
}

/** Can a header carry it? White space around it is cut off on the way. */
export function fitsHeader(secret: Uint8Array): boolean {
  const bytes = Buffer.from(secret)
  return headerBytes(bytes.toString('latin1')) !== undefined && bytes[0] !== SPACE && bytes.at(-1) !== SPACE
}

const SPACE = 0x20

export function tokenDigest(bytes: Uint8Array): Buffer {
  return hash('sha256', bytes, 'buffer')
}

/** Is this the digest of one of ours? */
export function isOurs(digest: Buffer, ours: readonly Buffer[]): boolean {
  return ours.some((own) => timingSafeEqual(own, digest))
}
