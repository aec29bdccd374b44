/** Several processes at the same keyring in a directory: held up before any step, and really at once. */
import { describe, expect, it } from 'vitest'
import { startReplacer, wonBy } from '../../../../tests/support/replacers.ts'
import { useProcesses } from '../../../../tests/support/use-processes.ts'
import { useKeyringDirectory } from './directory.test-support.ts'
import { createDirectoryStore } from './directory-store.ts'
import { entryOf, successorOf } from './entries.test-support.ts'
import { type KeyStore, type TenantKeys, tenantKeysText } from './key-store.ts'
import { dyingFiles, heldUpFiles, steppingFiles } from './stepping-files.test-support.ts'

const processes = useProcesses()
const place = useKeyringDirectory()

/** Steps of a change: from before its draft is written until after it has its name. */
const DRAFT_STEPS = Array.from({ length: 8 }, (_, i) => i + 6)
/** From before that until after its end, but for those that only read. */
const LATE_STEPS = [11, 12, 13, 15, ...Array.from({ length: 12 }, (_, i) => i + 17)]

async function replaceAndDie(died: number): Promise<void> {
  const next = successorOf(await place.store.read('acme'), 'acme')
  const { files } = dyingFiles(died)
  await createDirectoryStore(place.directory, files)
    .replace(next)
    .catch((error: unknown) => expect(error).toMatchObject({ cause: { code: 'EDEAD' } }))
}

describe('several at once', () => {
  it.each([1, 2, 3])(
    'one that is held up before any step, while others replace %i times, wins no revision that they won',
    async (times) => {
      let at = 0
      let lost = 0
      for (let steps = 1; at < steps; at++) {
        await place.empty()
        await place.replaced(2)
        const won: TenantKeys[] = []
        const held = heldUpFiles(at, async () => void won.push(...(await place.replaced(times))))
        const mine = entryOf('acme', 3)
        if (await createDirectoryStore(place.directory, held.files).replace(mine)) won.unshift(mine)
        else lost++
        expect(won.map(({ revision }) => revision)).toEqual(won.map((_, i) => 3 + i))
        const last = won.at(-1)
        expect(await place.store.read('acme'), `held up before step ${at}`).toEqual(last)
        await place.expectOnly(last, 2 + won.length)
        steps = held.steps.length
      }
      expect(at).toBeGreaterThan(15)
      expect(lost).toBeGreaterThan(5)
    },
  )

  it('one that is too late overwrites what it had written', async () => {
    const [first] = await place.replaced()
    const written: unknown[] = []
    const files = steppingFiles(async (what, [data]) => {
      if (what === 'link') await place.replaced()
      if (what.startsWith('file.write')) written.push(data)
    })
    const late = successorOf(first, 'acme')
    expect(await createDirectoryStore(place.directory, files).replace(late)).toBe(false)
    const text = tenantKeysText(late)
    expect(written).toEqual([text, Buffer.alloc(text.length)])
  })

  it('one that is held up wins nothing that was won, nor when another one dies while it erases', async () => {
    for (const died of LATE_STEPS) {
      for (const at of DRAFT_STEPS) {
        await place.empty()
        await place.replaced(2)
        const others: TenantKeys[] = []
        const held = heldUpFiles(at, async () => {
          others.push(...(await place.replaced()))
          await replaceAndDie(died)
        })
        const won = await createDirectoryStore(place.directory, held.files).replace(entryOf('acme', 3))
        expect(others[0]?.revision, `at ${at}, died ${died}`).toBe(won ? 4 : 3)
        const found = await place.store.read('acme')
        expect(found!.revision).toBeGreaterThanOrEqual(others[0]!.revision)
        const [next] = await place.replaced()
        await place.expectOnly(next, found!.revision + 1)
      }
    }
  })

  it.each<[string, (reader: KeyStore) => Promise<TenantKeys | undefined>]>([
    ['one entry', (reader) => reader.read('acme')],
    ['all', async (reader) => (await reader.readAll()).tenants.get('acme')],
  ])(
    'a reader of %s, held up before any step, finds it while it is replaced or its replacer dies',
    async (_, read) => {
      const meanwhiles = [1, 2, 3].map(
        (times) => async (): Promise<void> => void (await place.replaced(times)),
      )
      meanwhiles.push(...LATE_STEPS.map((died) => () => replaceAndDie(died)))
      for (const meanwhile of meanwhiles) {
        for (let at = 0, steps = 1; at < steps; at++) {
          await place.empty()
          const [first] = await place.replaced()
          const held = heldUpFiles(at, meanwhile)
          const found = await read(createDirectoryStore(place.directory, held.files))
          expect([first, await place.store.read('acme')]).toContainEqual(found)
          steps = held.steps.length
        }
      }
    },
  )

  it('a reader under which it is replaced all the time gives up, and says so', async () => {
    await place.replaced()
    const files = steppingFiles(async (what) => {
      if (what === 'readFile') await place.replaced()
    })
    await expect(createDirectoryStore(place.directory, files).read('acme')).rejects.toMatchObject({
      code: 'KEYRING_UNAVAILABLE',
      message: expect.stringContaining('was replaced 100 times while it was being read'),
    })
  })

  it('processes: every revision is won once', async () => {
    const children = await Promise.all(
      [1, 2, 3].map(() => startReplacer(processes, place.directory, 'acme', 40)),
    )
    for (const { pid } of children) process.kill(pid, 'SIGUSR2')
    await Promise.all(children.map((child) => child.exit))
    const won = children.flatMap(wonBy)
    expect(won.sort((a, b) => a - b)).toEqual(Array.from({ length: 120 }, (_, i) => i + 1))
    const last = await place.store.read('acme')
    await place.expectOnly(last, 120)
  })
})
