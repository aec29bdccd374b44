/**
 * Sealing bytes with AES-256-GCM (NIST SP 800-38D), so that they can neither be read nor changed, nor put in the place of
 * others: what they belong to (tenant, event id, …) is authenticated with them and must be said again to open them.
 *
 *   byte 0       version, 1
 *        1 – 8   id of the key
 *        9 – 20  nonce
 *       21 –     ciphertext, as long as the plain bytes
 *   last 16      tag
 *
 * A nonce must never be used twice with one key. Each sealer draws 8 random bytes and counts through the other 4: some
 * 2³² sealers may share a key before two of them are likely to have drawn alike, and each draws anew after 2³² messages. (With
 * 12 random bytes each time, a key would be spent after 2³² messages: 50 days at 1,000 events a second.)
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { TenantKey } from './master-key.ts'

const VERSION = 1
const KEY_ID_AT = 1
const NONCE_AT = 9
const NONCE_BYTES = 12
const COUNTER_AT = 8
const LAST_COUNT = 0xffff_ffff
const CONTENT_AT = NONCE_AT + NONCE_BYTES
const TAG_BYTES = 16
/** What sealing adds, bytes. */
export const SEAL_OVERHEAD = CONTENT_AT + TAG_BYTES

const ALGORITHM = 'aes-256-gcm'
/** Without it Node takes a tag of 4 bytes for a whole one. */
const FULL_TAG = { authTagLength: TAG_BYTES } as const

export interface Sealer {
  /**
   * Seals bytes, into memory of their own.
   * @param belongs what they belong to; to open them it must be the same
   */
  seal(key: TenantKey, belongs: string, bytes: Uint8Array): Buffer
}

/**
 * @param random so many random bytes
 * @param firstCount where it begins to count
 */
export function createSealer(random: (bytes: number) => Buffer = randomBytes, firstCount = 0): Sealer {
  const nonce = Buffer.alloc(NONCE_BYTES)
  random(COUNTER_AT).copy(nonce)
  let count = firstCount - 1
  return {
    seal(key, belongs, bytes) {
      if (count === LAST_COUNT) {
        random(COUNTER_AT).copy(nonce)
        count = 0
      } else count++
      nonce.writeUInt32BE(count, COUNTER_AT)
      const cipher = createCipheriv(ALGORITHM, key.secret, nonce, FULL_TAG)
      cipher.setAAD(Buffer.from(belongs))
      const content = cipher.update(bytes)
      cipher.final()
      const sealed = Buffer.allocUnsafe(SEAL_OVERHEAD + content.length)
      sealed[0] = VERSION
      sealed.write(key.id, KEY_ID_AT, 'hex')
      nonce.copy(sealed, NONCE_AT)
      content.copy(sealed, CONTENT_AT)
      cipher.getAuthTag().copy(sealed, CONTENT_AT + content.length)
      return sealed
    },
  }
}

/** The id of the key that these bytes are sealed with; undefined when they are not sealed at all. */
export function sealedWith(sealed: Buffer): string | undefined {
  if (sealed.length < SEAL_OVERHEAD || sealed[0] !== VERSION) return undefined
  return sealed.toString('hex', KEY_ID_AT, NONCE_AT)
}

/**
 * The plain bytes, in memory of their own; undefined when they were changed, belong to something else, or were sealed with
 * another key.
 */
export function openSealed(key: TenantKey, belongs: string, sealed: Buffer): Buffer | undefined {
  if (sealedWith(sealed) !== key.id) return undefined
  const end = sealed.length - TAG_BYTES
  const decipher = createDecipheriv(ALGORITHM, key.secret, sealed.subarray(NONCE_AT, CONTENT_AT), FULL_TAG)
  decipher.setAAD(Buffer.from(belongs))
  decipher.setAuthTag(sealed.subarray(end))
  const bytes = decipher.update(sealed.subarray(CONTENT_AT, end))
  try {
    decipher.final()
  } catch {
    // The one thing that final does is to compare the tags.
    return undefined
  }
  return bytes
}
