/** What operators change in a keyring. Each is one replacement of a tenant's entry; processes follow within keyring_refresh. */
import { Fault } from '../faults.ts'
import type { KeyStore, TenantKeys } from './key-store.ts'
import type { KeyCipher } from './keyring.ts'

/** How often somebody else may be faster. */
const MAX_TRIES = 10

/**
 * Replaces the entry by what `change` makes of it; undefined = leave it, and the result is undefined too. Throws Fault
 * KEYRING_UNAVAILABLE or KEYRING_CORRUPT.
 */
async function changeEntry(
  store: KeyStore,
  tenant: string,
  change: (entry: TenantKeys) => Pick<TenantKeys, 'keys' | 'destroyed'> | undefined,
): Promise<TenantKeys | undefined> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const stored = await store.read(tenant)
    const changed = stored && change(stored)
    if (stored === undefined || changed === undefined) return undefined
    const next = { tenant, revision: stored.revision + 1, ...changed }
    if (await store.replace(next)) return next
  }
  throw new Fault(
    'KEYRING_UNAVAILABLE',
    `keyring ${store.place}: others kept changing the entry of ${tenant}`,
  )
}

/**
 * Gives a tenant another key, derived from the first master key, that new events are sealed with. The ones before stay, to
 * read with. undefined when the tenant has no entry.
 */
export function rotateKeys(
  store: KeyStore,
  cipher: KeyCipher,
  tenant: string,
  at: number,
): Promise<TenantKeys | undefined> {
  return changeEntry(store, tenant, ({ keys, destroyed }) => ({
    keys: [...keys, { ...cipher.create(tenant).kept, at }],
    destroyed,
  }))
}

/**
 * Destroys all keys of a tenant: nobody can read any more what was encrypted for it, anywhere, except with a copy of the
 * keyring from before. undefined when the tenant has no entry.
 *
 * Where there are none left the entry is replaced all the same: what a change before, that was broken off, has left behind
 * in the place goes with it.
 */
export function destroyKeys(store: KeyStore, tenant: string, at: number): Promise<TenantKeys | undefined> {
  return changeEntry(store, tenant, ({ keys, destroyed }) => ({
    keys: [],
    destroyed: [...destroyed, ...keys.map(({ id }) => ({ id, at }))],
  }))
}

/** Destroys the keys with these ids; never the last one in the list, which new events are sealed with. undefined when none was there. */
export function forgetKeys(
  store: KeyStore,
  tenant: string,
  ids: ReadonlySet<string>,
  at: number,
): Promise<TenantKeys | undefined> {
  return changeEntry(store, tenant, ({ keys, destroyed }) => {
    const gone = keys.slice(0, -1).filter(({ id }) => ids.has(id))
    if (gone.length === 0) return undefined
    return {
      keys: keys.filter((key) => !gone.includes(key)),
      destroyed: [...destroyed, ...gone.map(({ id }) => ({ id, at }))],
    }
  })
}
