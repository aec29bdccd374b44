/** Cold storage in a directory: what it does besides what every cold store does. */
import { mkdir, readdir, rmdir, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { steppingFiles } from '../../../core/src/keyring/stepping-files.test-support.ts'
import { useColdDirectory } from './cold-directory.test-support.ts'
import { objectsOf } from './cold-objects.test-support.ts'
import { specifyColdStore } from './cold-store.test-support.ts'

const HOUR_MS = 3_600_000
const BYTES = Buffer.from('what happened')

const place = useColdDirectory()

specifyColdStore(async () => ({ open: () => place.open() }))

describe('cold storage in a directory', () => {
  it('makes nothing before something is put', async () => {
    const store = place.open()
    await store.get('a/b')
    await store.delete('a/b')
    await objectsOf(store.list(''))
    await expect(stat(dirname(place.directory))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('is for the user of the process alone', async () => {
    await place.open().put('a/b/c', BYTES)
    const modes = new Map<string, string>()
    for (const path of ['', 'a', 'a/b', '~new', 'a/b/c']) {
      modes.set(path, ((await stat(join(place.directory, path))).mode & 0o777).toString(8))
    }
    expect(Object.fromEntries(modes)).toEqual({
      '': '700',
      a: '700',
      'a/b': '700',
      '~new': '700',
      'a/b/c': '600',
    })
  })

  it('keeps nothing of what was deleted, not even the names of directories', async () => {
    const store = place.open()
    await store.put('contexts/acme/2026/1', BYTES)
    await store.put('contexts/other/2026/1', BYTES)
    await store.delete('contexts/acme/2026/1')
    const other = ['contexts/', 'contexts/other/', 'contexts/other/2026/', 'contexts/other/2026/1']
    expect(await place.content()).toEqual([...other, '~new/'])
    await store.delete('contexts/other/2026/1')
    expect(await place.content()).toEqual(['~new/'])
  })

  it('passes over what others put there', async () => {
    const store = place.open()
    await store.put('a/b', BYTES)
    await mkdir(join(place.directory, 'lost+found'))
    await writeFile(join(place.directory, 'lost+found', 'x'), '')
    await writeFile(join(place.directory, 'a', 'b~'), '')
    await symlink(join(place.directory, 'a', 'b'), join(place.directory, 'a', 'c'))
    expect((await objectsOf(store.list(''))).map(({ name }) => name)).toEqual(['a/b'])
  })

  it('says that an object cannot lie where there is a directory, nor the reverse', async () => {
    const store = place.open()
    await store.put('a/b', BYTES)
    for (const name of ['a', 'a/b/c']) {
      await expect(store.put(name, BYTES)).rejects.toMatchObject({
        code: 'COLD_REFUSED',
        message: expect.stringContaining('a file lies where a directory should be'),
      })
    }
    expect(await place.content()).toEqual(['a/', 'a/b', '~new/'])
  })

  it('reads no directory that can hold nothing of what a list asks for', async () => {
    const store = place.open()
    for (const name of ['a/1/x', 'a/2/x', 'a/3/x', 'b/1/x']) await store.put(name, BYTES)
    const read = new Set<string>()
    const files = steppingFiles(async (what, [path]) => {
      if (what === 'readdir') read.add(String(path).slice(place.directory.length))
    })
    await objectsOf(place.open(files).list('a/', 'a/2/x'))
    expect([...read].sort()).toEqual(['', '/a', '/a/2', '/a/3', '/~new'])
  })
})

describe('a draft that a killed process left behind', () => {
  const draft = () => join(place.directory, '~new', 'left')
  const leave = async () => {
    await place.open().put('a', BYTES)
    await writeFile(draft(), BYTES.subarray(0, 3))
  }

  it('is no object', async () => {
    await leave()
    expect(await objectsOf(place.open().list(''))).toEqual([{ name: 'a', bytes: BYTES.length }])
  })

  it.each([
    ['list', () => objectsOf(place.open(undefined, HOUR_MS + 60_000).list(''))],
    ['put', () => place.open(undefined, HOUR_MS + 60_000).put('b', BYTES)],
  ])('goes with the first %s of a process, when it is old', async (_, first) => {
    await leave()
    await first()
    expect(await readdir(join(place.directory, '~new'))).toEqual([])
  })

  it('stays while it may be the work of another process', async () => {
    await leave()
    await place.open(undefined, HOUR_MS - 60_000).put('b', BYTES)
    expect(await readdir(join(place.directory, '~new'))).toEqual(['left'])
  })
})

describe('a directory that is removed as empty while an object is put into it', () => {
  it('is made again', async () => {
    let removed = 0
    const files = steppingFiles(async (what, [, to]) => {
      if (what === 'rename' && removed++ < 3) await rmdir(dirname(String(to)))
    })
    await place.open(files).put('a/b/c', BYTES)
    expect(removed).toBe(4)
    expect(await place.open().get('a/b/c')).toEqual(BYTES)
  })

  it('again and again: the put gives up, and leaves no draft', async () => {
    const files = steppingFiles(async (what, [, to]) => {
      if (what === 'rename') await rmdir(dirname(String(to)))
    })
    await expect(place.open(files).put('a/b', BYTES)).rejects.toMatchObject({
      code: 'COLD_UNAVAILABLE',
      message: expect.stringContaining('was removed 20 times'),
    })
    expect(await place.content()).toEqual(['~new/'])
  })
})
