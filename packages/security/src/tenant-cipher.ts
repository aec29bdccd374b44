/** Makes the keys of tenants out of what a keyring keeps (salts), and seals and opens with them. */
import { randomBytes } from 'node:crypto'
import { createSealer, openSealed, sealedWith } from './envelope.ts'
import { createMasterKey, SALT_BYTES, type TenantKey } from './master-key.ts'

/** What is kept of a key: without its master key it is of no use. */
export interface KeptKey {
  readonly id: string
  /** base64url */
  readonly salt: string
  /** Id of the master key. */
  readonly master: string
}

export interface TenantCipher {
  /** Ids of the master keys; the first one is for new keys. */
  readonly masters: readonly string[]
  /** A key that nobody had before. */
  create(tenant: string): { readonly kept: KeptKey; readonly key: TenantKey }
  /** `no-master`: its master key is not among ours. `damaged`: what is kept does not prove its id. */
  derive(tenant: string, kept: KeptKey): TenantKey | 'no-master' | 'damaged'
  seal(key: TenantKey, belongs: string, bytes: Uint8Array): Buffer
  /** undefined: changed, of something else, or of another key. */
  open(key: TenantKey, belongs: string, sealed: Buffer): Buffer | undefined
  /** undefined: not sealed. */
  keyOf(sealed: Buffer): string | undefined
}

/**
 * @param masters texts of the master keys, the one for new keys first
 * Throws RangeError for one that is weak; its message tells which.
 */
export function createTenantCipher(masters: readonly [string, ...string[]]): TenantCipher {
  const keys = masters.map(createMasterKey)
  const [first] = keys
  if (first === undefined) throw new RangeError('there is no master key')
  const { seal } = createSealer()
  return {
    masters: keys.map(({ id }) => id),
    create(tenant) {
      const salt = randomBytes(SALT_BYTES)
      const key = first.derive(tenant, salt)
      return { kept: { id: key.id, salt: salt.toString('base64url'), master: first.id }, key }
    },
    derive(tenant, { id, salt, master }) {
      const known = keys.find((key) => key.id === master)
      if (known === undefined) return 'no-master'
      const bytes = Buffer.from(salt, 'base64url')
      if (bytes.length !== SALT_BYTES) return 'damaged'
      const key = known.derive(tenant, bytes)
      return key.id === id ? key : 'damaged'
    },
    seal,
    open: openSealed,
    keyOf: sealedWith,
  }
}
