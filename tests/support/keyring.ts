/** Keyrings for tests: a place of its own for each test, and as many processes that look at it as a test wants. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@weir/core/clock'
import { createDirectoryStore } from '@weir/core/keyring/directory-store'
import type { KeyStore } from '@weir/core/keyring/key-store'
import { createKeyring, type Keyring } from '@weir/core/keyring/keyring'
import { createTenantCipher } from '@weir/security/tenant-cipher'
import { afterEach, beforeEach } from 'vitest'

export const MASTER_KEY = 'Zk3v0qXo9dT1uB7sYw5LmN8rHc2JfPgAeQiKtVx4'

export interface TestKeyrings {
  /** Of the keyring; a new one for each test. */
  readonly directory: string
  readonly store: KeyStore
  /** The keyring of one more process; not started: entries are read when they are asked for. */
  open(): Keyring
}

export function useKeyrings(): TestKeyrings {
  let directory = ''
  const opened: Keyring[] = []
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'weir-keyring-'))
  })
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((keyring) => keyring.stop()))
    rmSync(directory, { recursive: true, force: true })
  })
  return {
    get directory() {
      return directory
    },
    get store() {
      return createDirectoryStore(directory)
    },
    open() {
      const keyring = createKeyring({
        store: createDirectoryStore(directory),
        cipher: createTenantCipher([MASTER_KEY]),
        maxTenants: 100,
        refreshMs: 10_000,
        clock: systemClock,
        tell: () => undefined,
      })
      opened.push(keyring)
      return keyring
    },
  }
}
