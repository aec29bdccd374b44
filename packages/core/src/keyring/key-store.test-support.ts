/**
 * What every place of a keyring must do, whatever it is made of: the same specification for each kind.
 */
import { beforeEach, describe, expect, it } from 'vitest'
import { addKey, entryOf, keyNote, successorOf } from './entries.test-support.ts'
import { type KeyStore, type TenantKeys, tenantKeysText } from './key-store.ts'

export interface StorePlace {
  /** The place as another process sees it, with nothing in common but the place. */
  open(): Promise<KeyStore>
  /** Puts a text where the entry of this revision lies. */
  put(tenant: string, revision: number, text: string): Promise<void>
  /** Every name in the place, with all that is kept under it. */
  content(): Promise<ReadonlyMap<string, string>>
  makeUnavailable(): Promise<void>
}

export function specifyKeyStore(makePlace: () => Promise<StorePlace>): void {
  let place: StorePlace
  let store: KeyStore
  beforeEach(async () => {
    place = await makePlace()
    store = await place.open()
  })
  const opened = (count: number) => Promise.all(Array.from({ length: count }, () => place.open()))
  const everything = async () => [...(await place.content())].flat().join('\n')

  describe('as every key store', () => {
    it('is empty at first', async () => {
      expect(await store.read('acme')).toBeUndefined()
      expect(await store.readAll()).toEqual({ tenants: new Map(), damaged: new Map() })
    })

    it('keeps a first entry as revision 1, for everybody', async () => {
      const entry = entryOf('acme', 1, [keyNote(), keyNote()])
      expect(await store.replace(entry)).toBe(true)
      const other = await place.open()
      expect(await other.read('acme')).toEqual(entry)
      expect(await other.readAll()).toEqual({ tenants: new Map([['acme', entry]]), damaged: new Map() })
    })

    it('keeps the entries of tenants apart', async () => {
      const names = ['acme', 'acme-1', 'acme_1', '1', 'a'.repeat(63)]
      const entries = new Map(names.map((name) => [name, entryOf(name, 1)]))
      for (const entry of entries.values()) expect(await store.replace(entry)).toBe(true)
      const changed = successorOf(entries.get('acme'), 'acme')
      expect(await store.replace(changed)).toBe(true)
      expect((await store.readAll()).tenants).toEqual(entries.set('acme', changed))
    })

    it('refuses every revision but the next', async () => {
      for (const revision of [2, 3, 10]) expect(await store.replace(entryOf('acme', revision))).toBe(false)
      expect(await store.read('acme')).toBeUndefined()
      for (let last = 1; last <= 11; last++) {
        const entry = entryOf('acme', last)
        expect(await store.replace(entry)).toBe(true)
        for (const revision of [1, last - 1, last, last + 2, last * 10 + 1]) {
          if (revision > 0) expect(await store.replace(entryOf('acme', revision))).toBe(false)
        }
        expect(await store.read('acme')).toEqual(entry)
      }
    })

    it('of many who write the same revision at once, lets one win', async () => {
      const stores = await opened(20)
      for (const revision of [1, 2, 3]) {
        const entries = stores.map(() => entryOf('acme', revision))
        const won = await Promise.all(stores.map((each, i) => each.replace(entries[i]!)))
        expect(won.filter(Boolean)).toHaveLength(1)
        expect(await store.read('acme')).toEqual(entries[won.indexOf(true)])
        expect((await place.content()).size).toBe(1)
      }
    })

    it('loses no change of those who read and replace at once', async () => {
      const stores = await opened(5)
      const added = await Promise.all(
        stores.map(async (each) => {
          const revisions: number[] = []
          for (let i = 0; i < 8; i++) revisions.push((await addKey(each, 'acme')).revision)
          return revisions
        }),
      )
      expect(added.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1))
      const last = await store.read('acme')
      expect(last?.revision).toBe(40)
      expect(new Set(last?.keys.map(({ id }) => id)).size).toBe(40)
    })

    it('keeps nothing of what was replaced, nor of what was refused', async () => {
      const first = entryOf('acme', 1, [keyNote(), keyNote()])
      await store.replace(first)
      expect(await everything()).toContain(first.keys[0]!.salt)
      const refused = [entryOf('acme', 1), entryOf('acme', 3)]
      for (const entry of refused) expect(await store.replace(entry)).toBe(false)
      const gone: TenantKeys = {
        ...entryOf('acme', 2, []),
        destroyed: first.keys.map(({ id }) => ({ id, at: 5 })),
      }
      expect(await store.replace(gone)).toBe(true)
      const kept = await everything()
      for (const { salt } of [first, ...refused].flatMap(({ keys }) => keys)) expect(kept).not.toContain(salt)
      expect([...(await place.content()).values()]).toEqual([tenantKeysText(gone)])
    })

    it.each<[string, (good: TenantKeys) => string]>([
      ['half of it', (good) => tenantKeysText(good).slice(0, 100)],
      ['nothing', () => ''],
      ['zeros', (good) => '\0'.repeat(tenantKeysText(good).length)],
      ['no object', () => 'null'],
      ['a number', () => '7'],
      ['no revision', (good) => tenantKeysText({ ...good, revision: 'x' as unknown as number })],
      ['a salt too short', (good) => tenantKeysText(good).replace(/"salt":"../, '"salt":"')],
      ['the entry of another tenant', (good) => tenantKeysText({ ...good, tenant: 'other' })],
    ])('tells of an entry that is %s, beside good ones, and leaves it alone', async (_, damage) => {
      const good = entryOf('good', 1)
      await store.replace(good)
      const text = damage(entryOf('bad', 1))
      await place.put('bad', 1, text)
      const before = await place.content()
      const corrupt = expect.objectContaining({
        code: 'KEYRING_CORRUPT',
        message: expect.stringContaining('bad'),
      })
      expect(await store.readAll()).toEqual({
        tenants: new Map([['good', good]]),
        damaged: new Map([['bad', corrupt]]),
      })
      await expect(store.read('bad')).rejects.toEqual(corrupt)
      expect(await store.read('good')).toEqual(good)
      for (const revision of [1, 2]) {
        await expect(store.replace(entryOf('bad', revision))).rejects.toEqual(corrupt)
      }
      expect(await place.content()).toEqual(before)
      expect(await store.replace(successorOf(good, 'good'))).toBe(true)
    })

    it.each<[string, Partial<TenantKeys>]>([
      ['a key that is none', { keys: [{ ...keyNote(), salt: 'short' }] }],
      ['a destroyed key that is none', { destroyed: [{ id: 'x', at: 1 }] }],
      ['a tenant whose name is a path', { tenant: '../acme' }],
    ])('refuses to write %s', async (_, wrong) => {
      const entry = entryOf('acme', 1)
      await store.replace(entry)
      const next = { ...entryOf('acme', 2), ...wrong }
      await expect(store.replace(next)).rejects.toMatchObject({ code: 'KEYRING_CORRUPT' })
      expect([...(await place.content()).values()]).toEqual([tenantKeysText(entry)])
    })

    it('says that it cannot be reached, and why', async () => {
      const entry = entryOf('acme', 1)
      await store.replace(entry)
      await place.makeUnavailable()
      const unavailable = { code: 'KEYRING_UNAVAILABLE', cause: expect.any(Error) }
      await expect(store.read('acme')).rejects.toMatchObject(unavailable)
      await expect(store.readAll()).rejects.toMatchObject(unavailable)
      await expect(store.replace(successorOf(entry, 'acme'))).rejects.toMatchObject(unavailable)
    })

    it('may be closed twice', async () => {
      const other = await place.open()
      await other.close()
      await other.close()
      expect(await store.replace(entryOf('acme', 1))).toBe(true)
    })
  })
}
