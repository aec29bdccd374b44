/** A keyring in a directory, with a master key that nobody keeps and a key for the tenant `default`. */
import { randomBytes } from 'node:crypto'
import { systemClock } from '@weir/core/clock'
import { createDirectoryStore } from '@weir/core/keyring/directory-store'
import { createKeyring, type Keyring } from '@weir/core/keyring/keyring'
import { createTenantCipher } from '@weir/security/tenant-cipher'

export async function benchKeyring(directory: string): Promise<Keyring> {
  const keyring = createKeyring({
    store: createDirectoryStore(directory),
    cipher: createTenantCipher([randomBytes(36).toString('base64')]),
    maxTenants: 1,
    refreshMs: 10_000,
    clock: systemClock,
    tell: () => undefined,
  })
  await keyring.prepare('default')
  return keyring
}
