import * as systemFiles from 'node:fs/promises'
import { chmod, mkdir, readdir, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { useKeyringDirectory } from './directory.test-support.ts'
import { createDirectoryStore, type DirectoryFiles } from './directory-store.ts'
import { entryOf, successorOf } from './entries.test-support.ts'
import { specifyKeyStore } from './key-store.test-support.ts'
import { tenantKeysText } from './key-store.ts'
import { steppingFiles } from './stepping-files.test-support.ts'

const place = useKeyringDirectory()

specifyKeyStore(async () => ({
  open: async () => createDirectoryStore(place.directory),
  put: async (tenant, revision, text) => {
    await mkdir(place.directory, { recursive: true })
    await writeFile(place.pathOf(tenant, revision), text)
  },
  content: place.content,
  makeUnavailable: async () => {
    await rename(place.directory, `${place.directory}.away`)
    await writeFile(place.directory, 'a file')
  },
}))

describe('a directory', () => {
  it('is made when something is first written, and is for its owner only, with all in it', async () => {
    await place.store.read('acme')
    await place.store.readAll()
    expect(await readdir(place.above)).toEqual([])
    await place.store.replace(entryOf('acme', 1))
    expect((await stat(place.directory)).mode & 0o777).toBe(0o700)
    expect((await stat(join(place.above, 'deep'))).mode & 0o777).toBe(0o700)
    expect((await stat(place.pathOf('acme', 1))).mode & 0o777).toBe(0o600)
    expect(place.store.place).toBe(place.directory)
  })

  it.each([
    ['a link to itself', () => symlink(place.directory, place.directory), 'ELOOP'],
    [
      'below a file',
      () => rm(place.above, { recursive: true }).then(() => writeFile(place.above, '')),
      'ENOTDIR',
    ],
  ])('that is %s cannot be used; the fault names it, the reason and what to do', async (_, make, code) => {
    await mkdir(join(place.above, 'deep'))
    await make()
    for (const use of [
      () => place.store.read('acme'),
      () => place.store.readAll(),
      () => place.store.replace(entryOf('acme', 1)),
    ]) {
      await expect(use()).rejects.toMatchObject({
        code: 'KEYRING_UNAVAILABLE',
        message: expect.stringMatching(
          `^keyring: ${place.directory} could not be listed: ${code}.*; ${place.directory} must be a directory on a working disk`,
        ),
        cause: { code },
      })
    }
  })

  it('that this user may not read or write cannot be used', async () => {
    const [entry] = await place.replaced()
    for (const mode of [0o000, 0o500]) {
      await chmod(place.directory, mode)
      await asOrdinaryUser(() =>
        expect(place.store.replace(successorOf(entry, 'acme'))).rejects.toMatchObject({
          code: 'KEYRING_UNAVAILABLE',
          cause: { code: 'EACCES' },
        }),
      )
    }
    await chmod(place.directory, 0o700)
    expect(await place.store.read('acme')).toEqual(entry)
  })

  it('with an entry that is no file cannot be read', async () => {
    await mkdir(place.pathOf('acme', 1), { recursive: true })
    await expect(place.store.read('acme')).rejects.toMatchObject({
      code: 'KEYRING_UNAVAILABLE',
      message: expect.stringContaining(`${place.pathOf('acme', 1)} could not be read: EISDIR`),
    })
  })

  it('may hold other files; they are neither read nor touched', async () => {
    const [entry] = await place.replaced()
    const others = [
      ...['README', 'acme.json', 'acme.02.json', 'acme.0.json', 'acme.-1.json', 'acme.3.json.bak'],
      ...['Acme.9.json', 'acme.9.JSON', '.acme.9.json', '.acme.9.part', 'acme.99999999999999999.json'],
      ...[
        'acme.9007199254740993.json',
        '.acme.2.not-a-draft',
        basename(place.draftOf('acme', 3)).replace('.3.', '.x.'),
        '_acme.9.json',
      ],
    ]
    for (const name of others) await writeFile(join(place.directory, name), 'something else')
    const next = successorOf(entry, 'acme')
    expect(await place.store.replace(next)).toBe(true)
    expect(await place.store.readAll()).toEqual({ tenants: new Map([['acme', next]]), damaged: new Map() })
    expect((await readdir(place.directory)).sort()).toEqual([...others, 'acme.2.json'].sort())
  })

  it('is on the disk before something in it counts, with those above it', async () => {
    const opened: unknown[] = []
    const files = steppingFiles(async (what, [path]) => {
      if (what === 'open') opened.push(path)
    })
    await createDirectoryStore(place.directory, files).replace(entryOf('acme', 1))
    expect(opened.slice(0, 3)).toEqual([
      join(place.above, 'deep'),
      place.above,
      expect.stringContaining('.acme.1.'),
    ])
  })

  it('is not written to for a revision that is not the next one', async () => {
    await place.replaced(2)
    const steps: string[] = []
    const files = steppingFiles(async (what) => void steps.push(what))
    const writer = createDirectoryStore(place.directory, files)
    for (const revision of [1, 2, 4]) expect(await writer.replace(entryOf('acme', revision))).toBe(false)
    expect(new Set(steps)).toEqual(new Set(['readdir', 'readFile', 'open', 'file.sync']))
  })

  it('is looked at twice: a look may miss what is replaced meanwhile', async () => {
    const [entry] = await place.replaced()
    let looks = 0
    const sparse = async (path: string) => (looks++ % 2 === 0 ? [] : readdir(path))
    const files = { ...systemFiles, readdir: sparse } as unknown as DirectoryFiles
    const other = createDirectoryStore(place.directory, files)
    expect(await other.read('acme')).toEqual(entry)
    expect((await other.readAll()).tenants).toEqual(new Map([['acme', entry]]))
    expect(await other.replace(entryOf('acme', 1))).toBe(false)
  })

  it('that holds many revisions, as after a crash, is cleared from the lowest one on', async () => {
    await place.replaced()
    for (const revision of [7, 10, 2, 9, 11, 3, 5]) {
      await writeFile(place.pathOf('acme', revision), tenantKeysText(entryOf('acme', revision)))
    }
    const unlinked: unknown[] = []
    const files = steppingFiles(async (what, [path]) => {
      if (what === 'unlink') unlinked.push(path)
    })
    expect(await createDirectoryStore(place.directory, files).replace(entryOf('acme', 12))).toBe(true)
    const earlier = [1, 2, 3, 5, 7, 9, 10, 11].map((revision) => place.pathOf('acme', revision))
    expect(unlinked).toEqual([expect.stringContaining('.acme.12.'), ...earlier])
  })

  it('with a file that holds another revision than its name says has a damaged entry', async () => {
    await place.replaced(2)
    await rename(place.pathOf('acme', 2), place.pathOf('acme', 3))
    await expect(place.store.read('acme')).rejects.toMatchObject({
      code: 'KEYRING_CORRUPT',
      message: expect.stringContaining(`${place.pathOf('acme', 3)} holds revision 2`),
    })
    expect((await place.store.readAll()).damaged.size).toBe(1)
  })

  it('with a damaged highest revision does not go back to the one before it', async () => {
    const [first] = await place.replaced()
    await writeFile(place.pathOf('acme', 2), tenantKeysText(entryOf('acme', 2)).slice(0, 99))
    await expect(place.store.read('acme')).rejects.toMatchObject({ code: 'KEYRING_CORRUPT' })
    await expect(place.store.replace(entryOf('acme', 2))).rejects.toMatchObject({ code: 'KEYRING_CORRUPT' })
    expect([...(await place.content()).values()]).toContain(tenantKeysText(first!))
  })
})

/** Modes of files mean nothing to root. */
async function asOrdinaryUser(use: () => Promise<void>): Promise<void> {
  if (process.getuid?.() !== 0) return use()
  process.seteuid?.(65_534)
  try {
    await use()
  } finally {
    process.seteuid?.(0)
  }
}
