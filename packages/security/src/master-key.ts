/**
 * The key of everything that is encrypted at rest, and the keys of the tenants, which are derived from it and from a random
 * salt of theirs (HKDF with SHA-256, RFC 5869). Neither the master key nor a salt is of use without the other: so whoever
 * destroys a tenant's salt has destroyed what was encrypted for it, in every copy that does not hold the salt.
 *
 * A key's id is derived with it, so an id proves that salt, tenant and master key are the ones it was made from.
 */
import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'

export interface TenantKey {
  /** 16 hex digits that name it and tell nothing about it. */
  readonly id: string
  /** For AES-256. As an object, because Node takes 20 µs longer for bytes. */
  readonly secret: KeyObject
}

export interface MasterKey {
  /** 8 hex digits that name it and tell nothing about it. */
  readonly id: string
  /** The key of a tenant with this salt. Throws RangeError unless the salt has {@link SALT_BYTES}. */
  derive(tenant: string, salt: Uint8Array): TenantKey
}

export const SALT_BYTES = 32
const KEY_BYTES = 32
const KEY_ID_BYTES = 8
const MASTER_ID_BYTES = 4
const SHORTEST = 32
/** Less than this many bits, by the frequencies of its characters, is no random text of 32 characters. */
const LEAST_BITS = 90
const NO_SALT = new Uint8Array(0)

/** Why this text must not be used as a master key, as the end of "it …"; undefined when it may. It never says the text. */
export function masterKeyProblem(text: string): string | undefined {
  const { length } = text
  if (length < SHORTEST) return `has ${length} characters; it needs at least ${SHORTEST}`
  if (text.trim() !== text) return 'begins or ends with white space'
  const period = periodOf(text)
  if (period <= length / 2) return `only repeats ${period} character${period === 1 ? '' : 's'}`
  if (neighbours(text) > length / 2) return 'counts up or down'
  if (bitsOf(text) < LEAST_BITS) return 'has too few different characters'
  if (/change.?me|example|password|secret|\$\{/i.test(text)) return 'has words in it that stand in for a key'
  return undefined
}

/** Throws RangeError for a weak text; its message says why and what to do. */
export function createMasterKey(text: string): MasterKey {
  const problem = masterKeyProblem(text)
  if (problem !== undefined)
    throw new RangeError(`the master key ${problem}; make one with \`openssl rand -base64 48\``)
  const master = createSecretKey(text, 'utf8')
  return {
    id: hex(hkdfSync('sha256', master, NO_SALT, 'weir master key id 1', MASTER_ID_BYTES)),
    derive(tenant, salt) {
      if (salt.length !== SALT_BYTES)
        throw new RangeError(`a salt has ${SALT_BYTES} bytes, not ${salt.length}`)
      const derived = Buffer.from(
        hkdfSync('sha256', master, salt, `weir tenant key 1 ${tenant}`, KEY_BYTES + KEY_ID_BYTES),
      )
      const secret = createSecretKey(derived.subarray(0, KEY_BYTES))
      const id = derived.toString('hex', KEY_BYTES)
      derived.fill(0)
      return { id, secret }
    },
  }
}

function hex(bytes: ArrayBuffer): string {
  return Buffer.from(bytes).toString('hex')
}

/** The length of what a text repeats from its beginning to its end; its own length when it repeats nothing. */
function periodOf(text: string): number {
  for (let period = 1; period < text.length; period++) {
    if (text.startsWith(text.slice(period))) return period
  }
  return text.length
}

/** How many characters are the same as the one before, or next to it in the alphabet. */
function neighbours(text: string): number {
  let count = 0
  for (let i = 1; i < text.length; i++) {
    if (Math.abs(text.charCodeAt(i) - text.charCodeAt(i - 1)) <= 1) count++
  }
  return count
}

/** Shannon's estimate from the text's own frequencies. */
function bitsOf(text: string): number {
  const counts = new Map<string, number>()
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values()) bits += count * Math.log2(text.length / count)
  return bits
}
