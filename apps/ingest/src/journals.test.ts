import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@weir/core/clock'
import { afterEach, describe, expect, it } from 'vitest'
import { createJournals, type Journals, journalDirectory, journalsIn } from './journals.ts'
import { openSpool, type Spool } from './spool/spool.ts'

const directories: string[] = []
const opened: Journals[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((journals) => journals.close()))
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
})

/** The journals of a directory, as main.ts opens them. */
async function open(directory: string, maxBytes = 1_000_000, several = true): Promise<Journals> {
  let all: ReadonlyMap<number, Spool> = new Map()
  const openOne = (partition: number) =>
    openSpool({
      directory: journalDirectory(directory, partition),
      maxBytes,
      otherBytes: () => {
        let bytes = 0
        for (const [other, journal] of all) if (other !== partition) bytes += journal.bytes
        return bytes
      },
      maxAgeMs: Number.POSITIVE_INFINITY,
      segmentBytes: 64 * 1024,
      clock: systemClock,
      onFault: (fault) => {
        throw fault
      },
    })
  const first = await openOne(0)
  const left = new Map<number, Spool>()
  for (const partition of journalsIn(directory)) left.set(partition, await openOne(partition))
  const journals = createJournals({
    first,
    openOne: several ? openOne : undefined,
    left,
    onJournals: (found) => {
      all = found
    },
    onOpen: () => undefined,
  })
  opened.push(journals)
  return journals
}

function directory(): string {
  const made = mkdtempSync(join(tmpdir(), 'weir-journals-'))
  directories.push(made)
  return made
}

const texts = async (journals: Journals, partition: number) =>
  (await journals.open.get(partition)?.next(100))?.records.map(String) ?? []

describe('the journals of the spool', () => {
  it('keep the events of each partition apart, oldest first, and a later process finds them', async () => {
    const path = directory()
    const journals = await open(path)
    await Promise.all(['a', 'b'].map((text) => journals.append(3, Buffer.from(text))))
    await journals.append(0, Buffer.from('c'))
    expect(journals.records).toBe(3)
    await journals.close()
    opened.length = 0
    const later = await open(path)
    expect([...later.open.keys()].sort()).toEqual([0, 3])
    expect(await texts(later, 3)).toEqual(['a', 'b'])
    expect(await texts(later, 0)).toEqual(['c'])
  })

  it('of a partition is opened once, however many events come first', async () => {
    const journals = await open(directory())
    await Promise.all(Array.from({ length: 20 }, (_, i) => journals.append(7, Buffer.from(`${i}`))))
    expect((await texts(journals, 7)).length).toBe(20)
  })

  it('are under one limit', async () => {
    const journals = await open(directory(), 20_000)
    const record = Buffer.alloc(6_000, 1)
    await journals.append(0, record)
    await journals.append(1, record)
    await journals.append(2, record)
    await expect(journals.append(3, record)).rejects.toMatchObject({ code: 'SPOOL_FULL' })
    expect(journals.bytes).toBeLessThan(20_000)
  })

  it('without a Cluster are one; what others left is still there to be drained', async () => {
    const path = directory()
    const before = await open(path)
    await before.append(2, Buffer.from('left'))
    await before.close()
    opened.length = 0
    const journals = await open(path, 1_000_000, false)
    await journals.append(0, Buffer.from('new'))
    expect(await texts(journals, 0)).toEqual(['new'])
    expect(await texts(journals, 2)).toEqual(['left'])
  })
})
