/**
 * What a keyring is made of, and what a place must do that keeps it. A tenant's keys are not stored: only the random salts
 * that they are derived from, together with the master key. Whoever destroys the salts of a tenant makes everything
 * unreadable that was ever encrypted for it; so the place must stand apart from the events, and outside their backups.
 *
 *   nobody ──first event──▶ one key ──rotate──▶ more keys, the last one writes ──forget──▶ fewer
 *                              └──destroy──▶ no keys, their ids remembered ──next event──▶ one key, a new one
 *
 * Every change replaces a tenant's whole entry by the next revision of it, if nobody was faster.
 */
import { NAME_PATTERN } from '../event.ts'
import { Fault } from '../faults.ts'

export interface KeyNote {
  /** 16 hex digits that stand in everything encrypted with it. They are derived with the key, and so prove the salt. */
  readonly id: string
  /** 32 random bytes, base64url. */
  readonly salt: string
  /** 8 hex digits: which master key it is derived from. */
  readonly master: string
  /** When it was made, ms since the epoch. */
  readonly at: number
}

/** A key that is gone, so that what it encrypted is known to be unreadable for ever. */
export interface DestroyedKey {
  readonly id: string
  /** ms since the epoch */
  readonly at: number
}

export interface TenantKeys {
  readonly tenant: string
  /** 1, and one more with each change. */
  readonly revision: number
  /** In the order in which they were made: the last one that a process can derive is the one it writes with. */
  readonly keys: readonly KeyNote[]
  readonly destroyed: readonly DestroyedKey[]
}

export interface StoredKeys {
  readonly tenants: ReadonlyMap<string, TenantKeys>
  /** Entries that cannot be read, by tenant: Faults KEYRING_CORRUPT. They stand in nobody else's way. */
  readonly damaged: ReadonlyMap<string, Fault>
}

export interface KeyStore {
  /** Where it is, for messages; without credentials. */
  readonly place: string
  /** The entries of all tenants. Throws Fault KEYRING_UNAVAILABLE when the place cannot be read. */
  readAll(): Promise<StoredKeys>
  /** One tenant's; undefined when there is none. Throws as `readAll`, and Fault KEYRING_CORRUPT. */
  read(tenant: string): Promise<TenantKeys | undefined>
  /**
   * Keeps it durably in place of revision `next.revision − 1` (1: of none), of which nothing remains. False when that is not
   * the stored one (any more). Throws Fault KEYRING_UNAVAILABLE; then nobody knows whether it was kept, nor whether something
   * of the one before is left, until the next change. Throws Fault KEYRING_CORRUPT, and changes nothing, when the stored
   * one or `next` is damaged.
   */
  replace(next: TenantKeys): Promise<boolean>
  /** Harmless when repeated. */
  close(): Promise<void>
}

const KEY_ID = /^[0-9a-f]{16}$/
const MASTER_ID = /^[0-9a-f]{8}$/
/** 32 bytes; the last character holds four bits. */
const SALT = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/

/** As it is stored. */
export function tenantKeysText({ tenant, revision, keys, destroyed }: TenantKeys): string {
  const key = ({ id, salt, master, at }: KeyNote) => ({ id, salt, master, at })
  const gone = ({ id, at }: DestroyedKey) => ({ id, at })
  return JSON.stringify({ v: 1, tenant, revision, keys: keys.map(key), destroyed: destroyed.map(gone) })
}

/**
 * Reads it back. Throws Fault KEYRING_CORRUPT for anything that is not the entry of this tenant.
 * @param where it was found, for the message
 */
export function readTenantKeys(text: string, tenant: string, where: string): TenantKeys {
  let found: Partial<Record<keyof TenantKeys | 'v', unknown>> | null
  try {
    found = JSON.parse(text)
  } catch (cause) {
    throw corrupt(where, 'is not JSON', cause)
  }
  if (typeof found !== 'object' || found === null) throw corrupt(where, 'is no object')
  if (found.v !== 1) throw corrupt(where, `has version ${JSON.stringify(found.v)}; this program reads 1`)
  if (found.tenant !== tenant || !NAME_PATTERN.test(tenant)) throw corrupt(where, `is not that of ${tenant}`)
  const { revision } = found
  if (!isCount(revision) || revision === 0) throw corrupt(where, 'has no revision')
  return {
    tenant,
    revision,
    keys: listOf(found.keys, keyOf, where),
    destroyed: listOf(found.destroyed, goneOf, where),
  }
}

function listOf<Item>(found: unknown, read: (item: object) => Item | undefined, where: string): Item[] {
  if (!Array.isArray(found)) throw corrupt(where, 'lacks a list of keys')
  return found.map((item: unknown) => {
    const key = typeof item === 'object' && item !== null ? read(item) : undefined
    if (key === undefined) throw corrupt(where, 'has a key that is none')
    return key
  })
}

function keyOf(item: Partial<Record<keyof KeyNote, unknown>>): KeyNote | undefined {
  const { id, salt, master, at } = item
  return matches(id, KEY_ID) && matches(salt, SALT) && matches(master, MASTER_ID) && isCount(at)
    ? { id, salt, master, at }
    : undefined
}

function goneOf(item: Partial<Record<keyof DestroyedKey, unknown>>): DestroyedKey | undefined {
  const { id, at } = item
  return matches(id, KEY_ID) && isCount(at) ? { id, at } : undefined
}

function matches(value: unknown, pattern: RegExp): value is string {
  return typeof value === 'string' && pattern.test(value)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function corrupt(where: string, what: string, cause?: unknown): Fault {
  return new Fault(
    'KEYRING_CORRUPT',
    `keyring: ${where} ${what}; bring that entry back from a copy of the keyring, or what was encrypted for its tenant stays unreadable`,
    { cause },
  )
}
