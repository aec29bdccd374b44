/** Entries for the tests of keyrings, each with salts of its own. */
import { randomBytes } from 'node:crypto'
import type { KeyNote, KeyStore, TenantKeys } from './key-store.ts'

/** A key that nobody else has. */
export function keyNote(): KeyNote {
  return {
    id: randomBytes(8).toString('hex'),
    salt: randomBytes(32).toString('base64url'),
    master: '0123abcd',
    at: 1_700_000_000_000,
  }
}

export function entryOf(
  tenant: string,
  revision: number,
  keys: readonly KeyNote[] = [keyNote()],
): TenantKeys {
  return { tenant, revision, keys, destroyed: [] }
}

/** The next revision, with another key in the place of the last one. */
export function successorOf(entry: TenantKeys | undefined, tenant: string): TenantKeys {
  const { keys = [], revision = 0 } = entry ?? {}
  return entryOf(tenant, revision + 1, [...keys.slice(0, -1), keyNote()])
}

/** Adds a key, however often somebody else is faster. */
export async function addKey(store: KeyStore, tenant: string): Promise<TenantKeys> {
  for (;;) {
    const found = await store.read(tenant)
    const next = entryOf(tenant, (found?.revision ?? 0) + 1, [...(found?.keys ?? []), keyNote()])
    if (await store.replace(next)) return next
  }
}
