/** What becomes of cold storage in a directory when a process, the disk or the power fails. */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { useProcesses } from '../../../../tests/support/use-processes.ts'
import { dyingFiles, steppingFiles } from '../../../core/src/keyring/stepping-files.test-support.ts'
import { useColdDirectory } from './cold-directory.test-support.ts'
import { numberOf, objectsOf } from './cold-objects.test-support.ts'

const HOUR_MS = 3_600_000
const EARLIER = Buffer.from('earlier')
const LATER = Buffer.from('later')

const processes = useProcesses()
const place = useColdDirectory()

const drafts = () => readdir(join(place.directory, '~new'))

function failing(step: string, code: string) {
  return steppingFiles(async (what) => {
    if (what === step) throw Object.assign(new Error(`${code}: it fails`), { code })
  })
}

describe('processes that are killed with SIGKILL in the middle of puts', () => {
  it.each([1, 2, 3, 4])('leave whole objects only, and all that were put (%i)', async (round) => {
    const children = ['a', 'b'].map((prefix) => {
      return processes.start('tests/cold/putter.ts', { args: [place.directory, prefix] })
    })
    await Promise.all(
      children.map(async (child, i) => {
        await child.waitForLine(new RegExp(`^put ${round * 3 + i * 5 + Math.floor(Math.random() * 10)}$`))
        await child.kill('SIGKILL')
      }),
    )
    const store = place.open(undefined, 2 * HOUR_MS)
    const found = new Set<string>()
    for await (const { name, bytes } of store.list('')) {
      const object = await store.get(name)
      expect(object?.length, name).toBe(bytes)
      const number = numberOf(object as Buffer)
      expect(number, name).toBeTypeOf('number')
      if (name !== 'shared') expect(name).toMatch(new RegExp(`^[ab]/${(number as number) % 10}/${number}$`))
      found.add(name)
    }
    for (const [i, child] of children.entries()) {
      const put = [...child.output().matchAll(/^put (\d+)$/gm)].map(([, number]) => Number(number))
      expect(put.length).toBeGreaterThan(0)
      for (const number of put) expect(found).toContain(`${'ab'[i]}/${number % 10}/${number}`)
    }
    expect(await drafts(), 'drafts that are old by now').toEqual([])
  })
})

describe('a process that dies', () => {
  it('before whichever step of a put: the earlier object or the later one is there, whole', async () => {
    let died = 0
    for (let finished = false; !finished; died++) {
      await rm(join(place.directory, '~new'), { recursive: true, force: true }) // each draft is a step more
      await place.open().put('a/b', EARLIER)
      const { files } = dyingFiles(died)
      const outcome = await place
        .open(files)
        .put('a/b', LATER)
        .catch((error: unknown) => error)
      finished = outcome === undefined
      const found = await place.open().get('a/b')
      expect([EARLIER, LATER]).toContainEqual(found)
      if (finished) expect(found).toEqual(LATER)
      else expect(outcome).toMatchObject({ code: 'COLD_UNAVAILABLE', cause: { code: 'EDEAD' } })
      expect(await objectsOf(place.open().list(''))).toEqual([{ name: 'a/b', bytes: found?.length }])
    }
    expect(died, 'steps of a put').toBeGreaterThan(10)
    await objectsOf(place.open(undefined, 2 * HOUR_MS).list(''))
    expect(await drafts()).toEqual([])
  })
})

describe('a power cut', () => {
  it('takes no object that was put: it is on the disk before its name, and the way to it before put is done', async () => {
    await place.open().put('z', EARLIER)
    const steps: string[] = []
    const files = steppingFiles(async (what, [path]) => {
      if (/^(open|rename|file\.(writeFile|sync))$/.test(what))
        steps.push(what.startsWith('file.') ? what : `${what} ${String(path).slice(place.directory.length)}`)
    })
    await place.open(files).put('a/b/c', LATER)
    const synced = (path: string) => [`open ${path}`, 'file.sync']
    expect(steps.map((step) => step.replace(/~new\/.*/, '~new/<draft>'))).toEqual([
      'open /~new/<draft>',
      'file.writeFile',
      'file.sync',
      'rename /~new/<draft>',
      ...synced('/a/b'),
      ...synced('/a'),
      ...synced(''),
    ])
  })

  it('takes not even the directory: what is above a new one is synced', async () => {
    const synced: string[] = []
    const files = steppingFiles(async (what, [path]) => {
      if (what === 'open') synced.push(String(path))
    })
    await place.open(files).put('a', LATER)
    for (const above of ['..', '../..']) expect(synced).toContain(join(place.directory, above))
  })

  it('brings no deleted object back', async () => {
    await place.open().put('a/b/c', LATER)
    await place.open().put('a/d', LATER)
    const steps: string[] = []
    const files = steppingFiles(async (what, [path]) => {
      steps.push(what.startsWith('file.') ? what : `${what} ${String(path).slice(place.directory.length)}`)
    })
    await place.open(files).delete('a/b/c')
    expect(steps).toEqual(['unlink /a/b/c', 'rmdir /a/b', 'rmdir /a', 'open /a', 'file.sync'])
  })
})

describe('a disk that fails', () => {
  it('because it is full: the put is unavailable, says so, and leaves nothing behind', async () => {
    await place.open().put('a/b', EARLIER)
    for (const [step, code] of [
      ['file.writeFile', 'ENOSPC'],
      ['file.sync', 'EDQUOT'],
      ['rename', 'ENOSPC'],
    ] as const) {
      await expect(place.open(failing(step, code)).put('a/b', LATER)).rejects.toMatchObject({
        code: 'COLD_UNAVAILABLE',
        message: `cold storage: ${place.directory}/a/b could not be written: the disk is full (${code}); make room on it`,
      })
      expect(await drafts()).toEqual([])
    }
    expect(await place.open().get('a/b')).toEqual(EARLIER)
  })

  it('because it may not be touched: somebody has to change that', async () => {
    await place.open().put('a/b', EARLIER)
    await expect(place.open(failing('open', 'EROFS')).put('a/b', LATER)).rejects.toMatchObject({
      code: 'COLD_REFUSED',
      message: expect.stringMatching(
        /EROFS.*; webhook\.context_lifecycle\.cold_directory must be a directory/,
      ),
    })
    await expect(place.open(failing('readFile', 'EACCES')).get('a/b')).rejects.toMatchObject({
      code: 'COLD_REFUSED',
    })
  })

  it.each([
    ['readFile', () => place.open(failing('readFile', 'EIO')).get('a/b')],
    ['unlink', () => place.open(failing('unlink', 'EIO')).delete('a/b')],
    ['stat', () => objectsOf(place.open(failing('stat', 'EIO')).list(''))],
  ])('in %s: that is unavailable, and no missing object', async (_, operation) => {
    await place.open().put('a/b', EARLIER)
    await expect(operation()).rejects.toMatchObject({ code: 'COLD_UNAVAILABLE', cause: { code: 'EIO' } })
    expect(await place.open().get('a/b')).toEqual(EARLIER)
  })
})
