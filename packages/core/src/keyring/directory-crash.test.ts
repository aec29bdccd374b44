/** What becomes of a keyring in a directory when a process, the disk or the power fails before any step of a change. */
import { link, readdir, unlink, writeFile } from 'node:fs/promises'
import { relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { startReplacer, wonBy } from '../../../../tests/support/replacers.ts'
import { useProcesses } from '../../../../tests/support/use-processes.ts'
import { useKeyringDirectory } from './directory.test-support.ts'
import { createDirectoryStore } from './directory-store.ts'
import { entryOf, keyNote, successorOf } from './entries.test-support.ts'
import { tenantKeysText } from './key-store.ts'
import { dyingFiles, steppingFiles } from './stepping-files.test-support.ts'

const processes = useProcesses()
const place = useKeyringDirectory()

describe('what a killed process left behind', () => {
  it('a published entry beside the earlier one and its draft: it counts, the rest goes with the next change', async () => {
    await place.replaced()
    const second = entryOf('acme', 2)
    await writeFile(place.draftOf('acme', 2), tenantKeysText(second))
    await link(place.draftOf('acme', 2), place.pathOf('acme', 2))
    expect(await place.store.read('acme')).toEqual(second)
    const [third] = await place.replaced()
    await place.expectOnly(third, 3)
  })

  it('a draft, or half of one, goes with the next change of its tenant; those of others stay', async () => {
    await place.replaced()
    await writeFile(place.draftOf('acme', 2), tenantKeysText(entryOf('acme', 2)).slice(0, 40))
    await writeFile(place.draftOf('acme', 1), '')
    // Somebody is about to replace what is being written now, and somebody else something else.
    await writeFile(place.draftOf('acme', 3), 'in use')
    await writeFile(place.draftOf('other', 1), 'in use')
    await place.replaced()
    const left = [
      'acme.2.json',
      ...[place.draftOf('acme', 3), place.draftOf('other', 1)].map((p) => relative(place.directory, p)),
    ]
    expect((await readdir(place.directory)).sort()).toEqual(left.sort())
  })

  it('is a readable ring, before whichever step it died, and nothing of it stays after the next change', async () => {
    let died = 0
    for (let finished = false; !finished; died++) {
      await place.empty()
      const [first] = await place.replaced()
      const second = entryOf('acme', 2)
      const { files } = dyingFiles(died)
      const outcome = await createDirectoryStore(place.directory, files)
        .replace(second)
        .catch((error: unknown) => error)
      finished = outcome === true
      if (!finished) expect(outcome).toMatchObject({ code: 'KEYRING_UNAVAILABLE', cause: { code: 'EDEAD' } })
      const found = await place.store.read('acme')
      expect([first, second]).toContainEqual(found)
      if (finished) expect(found).toEqual(second)
      expect(await place.store.readAll()).toEqual({ tenants: new Map([['acme', found]]), damaged: new Map() })
      const [next] = await place.replaced()
      await place.expectOnly(next, found!.revision + 1)
    }
    expect(died, 'steps of a change').toBeGreaterThan(15)
  })

  it.each([1, 2, 3, 4, 5, 6])('killed with SIGKILL in the middle of many changes (%i)', async (round) => {
    let revision = 0
    for (const tenant of ['acme', 'acme', 'other']) {
      const child = await startReplacer(processes, place.directory, tenant, 1_000_000)
      process.kill(child.pid, 'SIGUSR2')
      const lines = 1 + Math.floor(Math.random() * 15)
      const before = tenant === 'acme' ? revision : 0
      await child.waitForLine(new RegExp(`^won ${before + lines}$`))
      await child.kill('SIGKILL')
      const won = wonBy(child).at(-1)
      const found = await place.store.read(tenant)
      expect(found?.revision, `round ${round}`).toBeGreaterThanOrEqual(won!)
      expect(found?.keys).toHaveLength(1)
      expect((await place.store.readAll()).damaged.size).toBe(0)
      const next = successorOf(found, tenant)
      expect(await place.store.replace(next)).toBe(true)
      const left = [...(await place.content())].filter(([name]) => name.includes(tenant))
      expect(left).toEqual([[`${tenant}.${next.revision}.json`, tenantKeysText(next)]])
      revision = next.revision
    }
  })
})

describe('a disk that fails', () => {
  it('before a step of a change: the fault names the path, and the ring stays readable', async () => {
    let at = 0
    for (let failed = true; failed; at++) {
      await place.empty()
      const [first] = await place.replaced()
      const second = entryOf('acme', 2)
      let step = 0
      failed = false
      const files = steppingFiles(async () => {
        if (step++ !== at) return
        failed = true
        throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
      })
      const outcome = await createDirectoryStore(place.directory, files)
        .replace(second)
        .catch((error: unknown) => error)
      if (failed) {
        expect(outcome, `failed before step ${at}`).toMatchObject({
          code: 'KEYRING_UNAVAILABLE',
          message: expect.stringMatching(`^keyring: ${place.directory}.* could not be .*: EIO`),
          cause: { code: 'EIO' },
        })
      } else expect(outcome).toBe(true)
      const found = await place.store.read('acme')
      expect([first, second]).toContainEqual(found)
      const [next] = await place.replaced()
      await place.expectOnly(next, found!.revision + 1)
    }
    expect(at, 'steps of a change').toBeGreaterThan(15)
  })

  it('when the earlier revision is overwritten: that is removed all the same, and the fault tells of it', async () => {
    await place.replaced()
    const second = entryOf('acme', 2)
    const files = steppingFiles(async (what) => {
      if (what === 'file.write') throw Object.assign(new Error('ENOSPC: no space'), { code: 'ENOSPC' })
    })
    await expect(createDirectoryStore(place.directory, files).replace(second)).rejects.toMatchObject({
      code: 'KEYRING_UNAVAILABLE',
      message: expect.stringContaining(`${place.pathOf('acme', 1)} could not be erased: ENOSPC`),
    })
    await place.expectOnly(second, 2)
  })

  it('and said that it did not give the name, though it did: what is in force is not overwritten', async () => {
    await place.replaced()
    const second = entryOf('acme', 2)
    const files = steppingFiles(async (what, args) => {
      if (what !== 'link') return
      await link(String(args[0]), String(args[1]))
      throw Object.assign(new Error('EEXIST'), { code: 'EEXIST' })
    })
    expect(await createDirectoryStore(place.directory, files).replace(second)).toBe(false)
    expect(await place.store.read('acme')).toEqual(second)
  })

  it('a name that is removed by somebody else meanwhile is no failure', async () => {
    await place.replaced()
    const files = steppingFiles(async (what, args) => {
      const path = String(args[0])
      if (what === 'unlink' && path === place.pathOf('acme', 1)) await unlink(path)
    })
    const next = entryOf('acme', 2, [keyNote(), keyNote()])
    expect(await createDirectoryStore(place.directory, files).replace(next)).toBe(true)
    await place.expectOnly(next, 2)
  })
})

describe('a power cut', () => {
  it('takes nothing: a change erases the earlier revision, with zeros first, when the next one and its name are on the disk', async () => {
    const [first] = await place.replaced()
    const steps: string[] = []
    const files = steppingFiles(async (what, args) => void steps.push(`${what} ${args[0]} ${args[1]}`))
    await createDirectoryStore(place.directory, files).replace(successorOf(first, 'acme'))
    const published = steps.findIndex((step) => step.startsWith('link '))
    const synced = steps.indexOf('file.sync undefined undefined', published)
    const erased = steps.indexOf(`open ${place.pathOf('acme', 1)} r+`)
    const written = steps.findIndex((step) => step.startsWith('file.writeFile '))
    expect(steps[written + 1]).toBe('file.sync undefined undefined')
    expect(written).toBeLessThan(published)
    expect(steps[synced - 1]).toBe(`open ${place.directory} r`)
    expect(synced).toBeLessThan(erased)
    expect(steps.slice(erased)).toEqual([
      ...[`open ${place.pathOf('acme', 1)} r+`, 'file.stat undefined undefined'],
      `file.write ${Buffer.alloc(tenantKeysText(first!).length)} 0`,
      ...['file.sync undefined undefined', `unlink ${place.pathOf('acme', 1)} undefined`],
      ...[`open ${place.directory} r`, 'file.sync undefined undefined'],
    ])
  })

  it('a reader makes sure that what it found is on the disk, before somebody builds on it', async () => {
    await place.replaced()
    const steps: string[] = []
    const files = steppingFiles(async (what, args) => void steps.push(`${what} ${args[0]}`))
    const reader = createDirectoryStore(place.directory, files)
    for (const read of [() => reader.read('acme'), () => reader.readAll()]) {
      steps.length = 0
      await read()
      expect(steps.slice(-2)).toEqual([`open ${place.directory}`, 'file.sync undefined'])
      expect(steps.findIndex((step) => step.startsWith('readFile'))).toBeLessThan(steps.length - 2)
    }
  })
})
