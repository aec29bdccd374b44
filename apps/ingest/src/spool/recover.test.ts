import { copyFile, mkdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Files, systemFiles } from './files.ts'
import { encodeSegmentHeader, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES } from './format.ts'
import { appendAll, drain, numbered, type SpoolWorld, withSpoolWorld } from './spool-bracket.ts'

const FIRST = 'spool-00000000000000000001.log'
const SEGMENT = /^spool-\d{20}\.log$/
const DAMAGED = /^damaged-/

/** Writes records with one spool, closes it, and gives back each segment's bytes. */
async function leave(world: SpoolWorld, texts: readonly string[], segmentBytes = 1e6): Promise<Buffer[]> {
  const spool = await world.open({ segmentBytes })
  await appendAll(spool, texts)
  await spool.close()
  const names = await world.names(SEGMENT)
  return Promise.all(names.map((name) => readFile(join(world.directory, name))))
}

/** A directory beside the others that holds just these segments, and the cursor of the first. */
async function laidOut(world: SpoolWorld, name: string, segments: readonly Buffer[]): Promise<string> {
  const directory = join(world.directory, name)
  await mkdir(directory)
  await copyFile(join(world.directory, 'cursor'), join(directory, 'cursor'))
  for (const [index, bytes] of segments.entries())
    await writeFile(join(directory, `spool-${String(index + 1).padStart(20, '0')}.log`), bytes)
  return directory
}

const damagedFiles = async (world: SpoolWorld): Promise<Buffer[]> =>
  Promise.all((await world.names(DAMAGED)).map((name) => readFile(join(world.directory, name))))

describe('a restart', () => {
  it('finds everything that was not released, in order', () =>
    withSpoolWorld(async (world) => {
      await leave(world, numbered(10), 120)
      const second = await world.open({ segmentBytes: 120 })
      expect(second.records).toBe(10)
      const batch = await second.next(1)
      await batch!.release(1)
      await appendAll(second, numbered(3, 10))
      await second.close()
      const third = await world.open({ segmentBytes: 120 })
      expect(third.records).toBe(12)
      expect(await drain(third)).toEqual(numbered(12, 1))
      expect(world.faults).toEqual([])
    }))

  it('repeats nothing that was released, wherever the drain stood', () =>
    withSpoolWorld(async (world) => {
      const texts = numbered(12)
      await leave(world, texts, 130)
      for (let released = 1; released <= texts.length; released++) {
        const spool = await world.open()
        const batch = await spool.next(1)
        expect(batch!.records.map(String)).toEqual([texts[released - 1]])
        await batch!.release(1)
        expect(spool.records).toBe(texts.length - released)
        await spool.close()
      }
      expect(await (await world.open()).next(1)).toBeUndefined()
      expect(await world.names(SEGMENT)).toEqual([])
    }))

  it('between release and the deletion of the segment deletes it, and repeats nothing', () =>
    withSpoolWorld(async (world) => {
      await leave(world, numbered(4), 70)
      const crash: Files = { ...systemFiles, remove: () => Promise.reject(new Error('killed here')) }
      const killed = await world.open({}, crash)
      expect(await drain(killed)).toEqual(numbered(4))
      await killed.close()
      expect((await world.names(SEGMENT)).length).toBeGreaterThan(1)
      const spool = await world.open()
      expect(spool.records).toBe(0)
      expect(await spool.next(1)).toBeUndefined()
      expect(await world.names(SEGMENT)).toEqual([])
    }))

  it('never uses a segment number again, also when the spool was empty', () =>
    withSpoolWorld(async (world) => {
      const first = await world.open()
      await appendAll(first, numbered(2))
      await drain(first)
      await first.close()
      const second = await world.open()
      await appendAll(second, numbered(2))
      expect(await world.names(SEGMENT)).toEqual(['spool-00000000000000000002.log'])
      expect(await drain(second)).toEqual(numbered(2))
    }))

  it('with a newer format refuses to start and touches nothing', () =>
    withSpoolWorld(async (world) => {
      const newer = encodeSegmentHeader({ header: 1, payload: 2 })
      newer.writeUInt32LE(2, 8)
      newer.writeUInt32LE(crc32(newer.subarray(0, 20)), 20)
      await writeFile(join(world.directory, FIRST), newer)
      await expect(world.open()).rejects.toMatchObject({
        code: 'SPOOL_IO',
        message: expect.stringContaining('format 2'),
      })
      expect(await readFile(join(world.directory, FIRST))).toEqual(newer)
    }))
})

describe('a write that never finished', () => {
  it('cut at every byte: the whole records before it survive, silently, and new ones go behind them', () =>
    withSpoolWorld(async (world) => {
      const texts = ['a', 'bb'.repeat(9), 'ccc'.repeat(5), 'd']
      const [bytes] = await leave(world, texts)
      const ends = texts.map((_, n) =>
        texts
          .slice(0, n + 1)
          .reduce((end, text) => end + RECORD_HEADER_BYTES + text.length, SEGMENT_HEADER_BYTES),
      )
      expect(ends.at(-1)).toBe(bytes!.length)
      for (let cut = 0; cut <= bytes!.length; cut++) {
        const directory = await laidOut(world, `cut-${cut}`, [bytes!.subarray(0, cut)])
        const whole = texts.filter((_, n) => ends[n]! <= cut)
        const spool = await world.open({ directory })
        expect(spool.records).toBe(whole.length)
        await appendAll(spool, ['later'])
        await spool.close()
        // Twice: what was cut off stays cut off, now that a newer segment stands behind it.
        const again = await world.open({ directory })
        expect(await drain(again)).toEqual([...whole, 'later'])
        await again.close()
      }
      expect(world.faults).toEqual([])
      expect(await damagedFiles(world)).toEqual([])
    }))

  it('in a segment that was finished long ago is damage: kept and reported', () =>
    withSpoolWorld(async (world) => {
      await leave(world, numbered(6), 90)
      await truncate(join(world.directory, FIRST), SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES + 3)
      const spool = await world.open()
      expect(world.faults).toMatchObject([{ code: 'RECORD_CORRUPT' }])
      expect(await drain(spool)).toEqual(numbered(4, 2))
      expect(
        (await damagedFiles(world)).map((bytes) => bytes.subarray(RECORD_HEADER_BYTES).toString()),
      ).toEqual(['eve'])
    }))

  it.each([
    ['nothing', 0],
    ['half a header', SEGMENT_HEADER_BYTES / 2],
  ])('that left %s of a file leaves nothing behind', (_, length) =>
    withSpoolWorld(async (world) => {
      await writeFile(
        join(world.directory, FIRST),
        encodeSegmentHeader({ header: 1, payload: 2 }).subarray(0, length),
      )
      const spool = await world.open()
      expect({ ...spool }).toMatchObject({ records: 0, bytes: 0 })
      expect(await world.names(SEGMENT)).toEqual([])
      await appendAll(spool, numbered(2))
      expect(await drain(spool)).toEqual(numbered(2))
      expect(world.faults).toEqual([])
    }),
  )
})

describe('damage', () => {
  it('by a flipped bit anywhere is reported, its bytes are kept, and the other records survive', () =>
    withSpoolWorld(async (world) => {
      const texts = numbered(5)
      const segments = await leave(world, texts, 90)
      expect(segments).toHaveLength(3)
      let round = 0
      await fc.assert(
        fc.asyncProperty(fc.nat(), fc.nat(), async (where, which) => {
          const segment = where % segments.length
          const damaged = segments.map((bytes) => Buffer.from(bytes))
          const bit = which % (damaged[segment]!.length * 8)
          damaged[segment]![bit >> 3]! ^= 1 << (bit & 7)
          const directory = await laidOut(world, `flip-${round++}`, damaged)
          world.faults.length = 0
          const spool = await world.open({ directory })
          expect(world.faults).toMatchObject([{ code: 'RECORD_CORRUPT' }])
          const drained = await drain(spool)
          await spool.close()
          const inHeader = bit >> 3 < SEGMENT_HEADER_BYTES
          expect(drained).toHaveLength(texts.length - (inHeader ? 0 : 1))
          expect(drained).toEqual(texts.filter((text) => drained.includes(text)))
          const kept = (await systemFiles.list(directory)).filter((name) => DAMAGED.test(name))
          expect(kept).toHaveLength(1)
          const keptBytes = await readFile(join(directory, kept[0]!))
          expect(damaged[segment]!.includes(keptBytes)).toBe(true)
          expect(keptBytes).toHaveLength(
            inHeader ? SEGMENT_HEADER_BYTES : RECORD_HEADER_BYTES + texts[0]!.length,
          )
        }),
        { numRuns: 120 },
      )
    }))

  it('of the last record’s length, which then looks like an unfinished write, is not cut off silently', () =>
    withSpoolWorld(async (world) => {
      const [bytes] = await leave(world, numbered(2))
      const lastHeader = SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES + numbered(1)[0]!.length
      bytes![lastHeader + 2]! ^= 0x40
      await writeFile(join(world.directory, FIRST), bytes!)
      const spool = await world.open()
      expect(world.faults).toMatchObject([
        { code: 'RECORD_CORRUPT', message: expect.stringContaining(FIRST) },
      ])
      expect(await damagedFiles(world)).toEqual([bytes!.subarray(lastHeader)])
      expect(await drain(spool)).toEqual(numbered(1))
    }))

  it('of a segment’s header costs no record: the seeds are in the cursor too', () =>
    withSpoolWorld(async (world) => {
      const [bytes] = await leave(world, numbered(3))
      bytes!.fill(0, 0, SEGMENT_HEADER_BYTES)
      await writeFile(join(world.directory, FIRST), bytes!)
      const spool = await world.open()
      expect(await drain(spool)).toEqual(numbered(3))
      expect(world.faults).toMatchObject([{ code: 'RECORD_CORRUPT' }])
    }))

  it('of the cursor offers everything again rather than losing anything; one sound slot is enough', () =>
    withSpoolWorld(async (world) => {
      await leave(world, numbered(4))
      const before = await world.open()
      for (let n = 0; n < 2; n++) {
        const batch = await before.next(1)
        await batch!.release(1)
      }
      await before.close()
      const path = join(world.directory, 'cursor')
      const cursor = await readFile(path)
      // The second release is in slot 0: without it the position is one batch older.
      await writeFile(path, Buffer.from(cursor).fill(0, 0, 44))
      const older = await world.open()
      expect(world.faults).toEqual([])
      expect(older.records).toBe(3)
      await older.close()
      await writeFile(path, 'rubbish')
      const spool = await world.open()
      expect(world.faults).toMatchObject([
        { code: 'RECORD_CORRUPT', message: expect.stringContaining('cursor') },
      ])
      expect(await drain(spool)).toEqual(numbered(4))
    }))

  it('in front of the drain position is of no interest any more', () =>
    withSpoolWorld(async (world) => {
      const [bytes] = await leave(world, numbered(4))
      const before = await world.open()
      const batch = await before.next(2)
      await batch!.release(2)
      await before.close()
      bytes!.fill(0xff, SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES + 40)
      await writeFile(join(world.directory, FIRST), bytes!)
      expect(await drain(await world.open())).toEqual(numbered(2, 2))
      expect(world.faults).toEqual([])
    }))

  it('that comes while the spool is open is found when it is drained', () =>
    withSpoolWorld(async (world) => {
      const spool = await world.open({ segmentBytes: 90 })
      await appendAll(spool, numbered(6))
      const path = join(world.directory, 'spool-00000000000000000002.log')
      const bytes = await readFile(path)
      bytes[SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES]! ^= 1
      await writeFile(path, bytes)
      expect(await drain(spool)).toEqual(['event 0', 'event 1', 'event 3', 'event 4', 'event 5'])
      expect({ ...spool }).toMatchObject({ records: 0, bytes: 0, oldestAt: undefined })
      expect(world.faults).toMatchObject([{ code: 'RECORD_CORRUPT' }])
      expect(await damagedFiles(world)).toHaveLength(1)
    }))

  it('by someone who deletes or cuts a segment of an open spool is reported, and draining goes on', () =>
    withSpoolWorld(async (world) => {
      const spool = await world.open({ segmentBytes: 90 })
      await appendAll(spool, numbered(8))
      await systemFiles.remove(join(world.directory, 'spool-00000000000000000002.log'))
      // Between two records, where nothing looks torn.
      const afterFirst = SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES + 'event 4'.length
      await truncate(join(world.directory, 'spool-00000000000000000003.log'), afterFirst)
      expect(await drain(spool)).toEqual(['event 0', 'event 1', 'event 4', 'event 6', 'event 7'])
      expect(world.faults.map((fault) => fault.code)).toEqual(['RECORD_CORRUPT', 'RECORD_CORRUPT'])
      expect(spool.records).toBe(0)
    }))
})
