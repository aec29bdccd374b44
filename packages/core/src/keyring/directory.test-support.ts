/** A directory for each test, in which a keyring may lie. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect } from 'vitest'
import { createDirectoryStore } from './directory-store.ts'
import { successorOf } from './entries.test-support.ts'
import { type KeyStore, type TenantKeys, tenantKeysText } from './key-store.ts'

const DRAFT_ID = '0a1b2c3d-0000-4000-8000-0a1b2c3d4e5f'

export interface KeyringDirectory {
  /** Of the keyring: two levels below `above`; neither is there yet. */
  readonly directory: string
  /** Is there, and is removed after the test. */
  readonly above: string
  /** In `directory`, with the real file system. */
  readonly store: KeyStore
  pathOf(tenant: string, revision: number): string
  /** Of a draft that somebody else writes, or wrote. */
  draftOf(tenant: string, revision: number): string
  /** Every file with its text. */
  content(): Promise<Map<string, string>>
  /** Expects that nothing lies in the directory but this entry, of this revision: no draft, nothing earlier. */
  expectOnly(entry: TenantKeys | undefined, revision: number): Promise<void>
  empty(): Promise<void>
  /** Replaces the entry of `acme` so many times; returns those entries. */
  replaced(times?: number): Promise<TenantKeys[]>
}

export function useKeyringDirectory(): KeyringDirectory {
  let above = ''
  let directory = ''
  let store: KeyStore
  beforeEach(async () => {
    above = await mkdtemp(join(tmpdir(), 'weir-keyring-'))
    directory = join(above, 'deep', 'keyring')
    store = createDirectoryStore(directory)
  })
  afterEach(() => rm(above, { recursive: true, force: true }))

  const content = async () => {
    const texts = new Map<string, string>()
    for (const name of await readdir(directory)) {
      texts.set(name, await readFile(join(directory, name), 'utf8'))
    }
    return texts
  }
  return {
    get directory() {
      return directory
    },
    get above() {
      return above
    },
    get store() {
      return store
    },
    pathOf: (tenant, revision) => join(directory, `${tenant}.${revision}.json`),
    draftOf: (tenant, revision) => join(directory, `.${tenant}.${revision}.${DRAFT_ID}`),
    content,
    async expectOnly(entry, revision) {
      if (entry === undefined) throw new Error('there is no entry')
      expect(entry.revision).toBe(revision)
      expect(await content()).toEqual(new Map([[`${entry.tenant}.${revision}.json`, tenantKeysText(entry)]]))
    },
    empty: () => rm(directory, { recursive: true, force: true }),
    async replaced(times = 1) {
      const won: TenantKeys[] = []
      for (let i = 0; i < times; i++) {
        const next = successorOf(await store.read('acme'), 'acme')
        expect(await store.replace(next)).toBe(true)
        won.push(next)
      }
      return won
    },
  }
}
