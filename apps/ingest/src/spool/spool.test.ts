import { mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Files, systemFiles } from './files.ts'
import { RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES } from './format.ts'
import { appendAll, drain, numbered, withSpoolWorld } from './spool-bracket.ts'

const SEGMENT = /^spool-\d{20}\.log$/

describe('appending and draining', () => {
  it('gives records back byte for byte, oldest first, over many segments', () =>
    withSpoolWorld(async (world) => {
      const spool = await world.open({ segmentBytes: 200 })
      const written = Array.from({ length: 50 }, (_, n) => Buffer.from([0, 255, n, ...Array(n).fill(n)]))
      for (const record of written) await spool.append(record)
      expect(spool.records).toBe(50)
      expect((await world.names(SEGMENT)).length).toBeGreaterThan(5)
      const drained: Buffer[] = []
      for (let batch = await spool.next(7); batch; batch = await spool.next(7)) {
        expect(batch.records.length).toBeLessThanOrEqual(7)
        drained.push(...batch.records)
        await batch.release(batch.records.length)
      }
      expect(drained).toEqual(written)
      expect(world.faults).toEqual([])
    }))

  it('keeps the order of the calls, also of appends made at once', () =>
    withSpoolWorld(async (world) => {
      const spool = await world.open({ segmentBytes: 1000 })
      const texts = numbered(300)
      await Promise.all(texts.map((text) => spool.append(Buffer.from(text))))
      expect(await drain(spool, 11)).toEqual(texts)
    }))

  it('says undefined when empty, and takes no space then', () =>
    withSpoolWorld(async (world) => {
      const spool = await world.open()
      expect(await spool.next(10)).toBeUndefined()
      for (let round = 0; round < 5; round++) {
        await appendAll(spool, numbered(4))
        expect(spool.bytes).toBeGreaterThan(0)
        await drain(spool)
        expect(await world.names(SEGMENT)).toEqual([])
        expect({ ...spool }).toMatchObject({ records: 0, bytes: 0, oldestAt: undefined, accepting: true })
      }
      expect(await world.names(/./)).toEqual(['cursor', 'lock'])
    }))

  it('counts the bytes that its files have', () =>
    withSpoolWorld(async (world) => {
      const spool = await world.open({ segmentBytes: 150 })
      await appendAll(spool, numbered(20))
      const sizes = (await world.names(SEGMENT)).map((name) => stat(join(world.directory, name)))
      const onDisk = (await Promise.all(sizes)).reduce((sum, file) => sum + file.size, 0)
      expect(spool.bytes).toBe(onDisk)
    }))

  it('releases exactly the first `count`; the others are offered again', () =>
    withSpoolWorld(async (world) => {
      const spool = await world.open()
      await appendAll(spool, numbered(5))
      const batch = await spool.next(4)
      await batch!.release(1)
      expect(spool.records).toBe(4)
      const again = await spool.next(10)
      expect(again!.records.map(String)).toEqual(numbered(4, 1))
      await again!.release(0)
      expect(await drain(spool)).toEqual(numbered(4, 1))
    }))

  it('offers a batch again whose taker never released it; the withdrawn batch releases nothing', () =>
    withSpoolWorld(async (world) => {
      const spool = await world.open()
      await appendAll(spool, numbered(4))
      const lost = await spool.next(2)
      const second = await spool.next(2)
      expect(second!.records).toEqual(lost!.records)
      await expect(lost!.release(2)).rejects.toThrow('replaced')
      await second!.release(2)
      await expect(second!.release(2)).rejects.toThrow('released')
      expect(await drain(spool)).toEqual(numbered(2, 2))
    }))

  it('refuses counts and records that make no sense', () =>
    withSpoolWorld(async (world) => {
      const spool = await world.open()
      await appendAll(spool, numbered(2))
      await expect(spool.append(Buffer.alloc(0))).rejects.toThrow(RangeError)
      await expect(spool.next(0)).rejects.toThrow(RangeError)
      const batch = await spool.next(2)
      await expect(batch!.release(3)).rejects.toThrow(RangeError)
      await expect(batch!.release(-1)).rejects.toThrow(RangeError)
      await batch!.release(2)
      expect(spool.records).toBe(0)
    }))

  it('takes new records while it is drained, and loses none between', () =>
    withSpoolWorld(async (world) => {
      const spool = await world.open({ segmentBytes: 300 })
      const texts = numbered(400)
      const appending = (async () => {
        for (let n = 0; n < texts.length; n += 4)
          await Promise.all(texts.slice(n, n + 4).map((text) => spool.append(Buffer.from(text))))
      })()
      const drained: string[] = []
      await expect
        .poll(async () => {
          drained.push(...(await drain(spool, 5)))
          return drained.length
        })
        .toBe(texts.length)
      await appending
      expect(drained).toEqual(texts)
      expect(await world.names(SEGMENT)).toEqual([])
    }))
})

describe('group commit', () => {
  it('shares one write and one fsync among the appends that came while the last was under way', () =>
    withSpoolWorld(async (world) => {
      const gate = Promise.withResolvers<void>()
      const counts = { writes: 0, syncs: 0 }
      const files: Files = {
        ...systemFiles,
        open: async (path, mode) => {
          const file = await systemFiles.open(path, mode)
          if (!SEGMENT.test(path.slice(world.directory.length + 1))) return file
          return {
            ...file,
            write: (buffers, position) => {
              counts.writes++
              return file.write(buffers, position)
            },
            sync: async () => {
              counts.syncs++
              if (counts.syncs === 1) await gate.promise
              await file.sync()
            },
          }
        },
      }
      const spool = await world.open({}, files)
      const first = spool.append(Buffer.from('first'))
      await expect.poll(() => counts.syncs).toBe(1)
      const others = numbered(100).map((text) => spool.append(Buffer.from(text)))
      expect(spool.records).toBe(0)
      gate.resolve()
      await Promise.all([first, ...others])
      // One more write for the segment's header.
      expect(counts).toEqual({ writes: 3, syncs: 2 })
      expect(await drain(spool)).toEqual(['first', ...numbered(100)])
    }))

  it('counts a record only once its fsync has returned', () =>
    withSpoolWorld(async (world) => {
      const gate = Promise.withResolvers<void>()
      const syncing = Promise.withResolvers<void>()
      const files: Files = {
        ...systemFiles,
        open: async (path, mode) => {
          const file = await systemFiles.open(path, mode)
          const sync = async (): Promise<void> => {
            syncing.resolve()
            await gate.promise
            await file.sync()
          }
          return path.endsWith('.log') ? { ...file, sync } : file
        },
      }
      const spool = await world.open({}, files)
      const append = spool.append(Buffer.from('not yet'))
      await syncing.promise
      expect(spool.records).toBe(0)
      expect(await spool.next(1)).toBeUndefined()
      gate.resolve()
      await append
      expect(await drain(spool)).toEqual(['not yet'])
    }))
})

describe('limits', () => {
  it('refuses what would pass the size limit, throws nothing away, and takes it again after a drain', () =>
    withSpoolWorld(async (world) => {
      const record = Buffer.alloc(80, 'r')
      const perSegment = SEGMENT_HEADER_BYTES + 2 * (RECORD_HEADER_BYTES + record.length)
      const spool = await world.open({
        segmentBytes: perSegment,
        maxBytes: 2 * perSegment + SEGMENT_HEADER_BYTES,
      })
      for (let n = 0; n < 4; n++) await spool.append(record)
      expect(spool.accepting).toBe(false)
      await expect(spool.append(record)).rejects.toMatchObject({
        code: 'SPOOL_FULL',
        message: expect.stringContaining('size limit'),
      })
      expect(spool.records).toBe(4)
      const batch = await spool.next(2)
      await batch!.release(2)
      expect(spool.accepting).toBe(true)
      await spool.append(record)
      expect(spool.bytes).toBeLessThanOrEqual(2 * perSegment)
    }))

  it('counts appends under way against the size limit', () =>
    withSpoolWorld(async (world) => {
      const spool = await world.open({ maxBytes: 1000 })
      const results = await Promise.allSettled(
        Array.from({ length: 50 }, () => spool.append(Buffer.alloc(80))),
      )
      expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(spool.records)
      expect(spool.bytes).toBeLessThanOrEqual(1000)
      expect(spool.records).toBe(9)
    }))

  it('is still accepting after one record that could never fit', () =>
    withSpoolWorld(async (world) => {
      const spool = await world.open({ maxBytes: 1000 })
      await expect(spool.append(Buffer.alloc(1001))).rejects.toMatchObject({ code: 'SPOOL_FULL' })
      expect(spool.accepting).toBe(true)
    }))

  it('refuses, naming the age, while the oldest record is older than allowed; keeps all', () =>
    withSpoolWorld(async (world) => {
      const spool = await world.open({ maxAgeMs: 60_000 })
      const start = world.now()
      await spool.append(Buffer.from('old'))
      world.advance(59_000)
      await spool.append(Buffer.from('young'))
      expect(spool.oldestAt).toBe(start)
      world.advance(1_001)
      expect(spool.accepting).toBe(false)
      await expect(spool.append(Buffer.from('late'))).rejects.toMatchObject({
        code: 'SPOOL_FULL',
        message: expect.stringContaining('age limit'),
      })
      const batch = await spool.next(10)
      expect(batch!.records.map(String)).toEqual(['old', 'young'])
      await batch!.release(1)
      expect(spool.oldestAt).toBe(start + 59_000)
      expect(spool.accepting).toBe(true)
      await spool.append(Buffer.from('again'))
      expect(await drain(spool)).toEqual(['young', 'again'])
    }))

  it('knows the age of the oldest record after a restart', () =>
    withSpoolWorld(async (world) => {
      const before = await world.open()
      await before.append(Buffer.from('old'))
      const at = world.now()
      await before.close()
      world.advance(90_000)
      const spool = await world.open({ maxAgeMs: 60_000 })
      expect(spool.oldestAt).toBe(at)
      expect(spool.accepting).toBe(false)
      expect(await drain(spool)).toEqual(['old'])
      expect(spool.accepting).toBe(true)
    }))
})

describe('the directory', () => {
  it('and its files are for their owner only', () =>
    withSpoolWorld(async (world) => {
      const directory = join(world.directory, 'data', 'spool')
      const spool = await world.open({ directory })
      await spool.append(Buffer.from('private'))
      const modes = async (path: string) => ((await stat(path)).mode & 0o777).toString(8)
      expect(await modes(directory)).toBe('700')
      const names = await readdir(directory)
      expect(names.sort()).toEqual(['cursor', 'lock', 'spool-00000000000000000001.log'])
      for (const name of names) expect([name, await modes(join(directory, name))]).toEqual([name, '600'])
    }))

  it('is refused to a second spool, and free again after close', () =>
    withSpoolWorld(async (world) => {
      const first = await world.open()
      await expect(world.open()).rejects.toMatchObject({
        code: 'SPOOL_IO',
        message: expect.stringContaining('another process uses the spool directory'),
      })
      await appendAll(first, ['still works'])
      await first.close()
      expect(await drain(await world.open())).toEqual(['still works'])
    }))

  it('that is not one is refused with its name', () =>
    withSpoolWorld(async (world) => {
      const directory = join(world.directory, 'file')
      await writeFile(directory, '')
      await expect(world.open({ directory })).rejects.toMatchObject({
        code: 'SPOOL_IO',
        message: expect.stringContaining(directory),
      })
    }))

  it('may hold files of others, which stay', () =>
    withSpoolWorld(async (world) => {
      await mkdir(join(world.directory, 'lost+found'))
      await writeFile(join(world.directory, 'spool-7.log'), 'not a segment')
      const spool = await world.open()
      await appendAll(spool, numbered(2))
      await drain(spool)
      expect(await world.names(/lost|spool/)).toEqual(['lost+found', 'spool-7.log'])
    }))
})

describe('close', () => {
  it('waits for appends that were taken, refuses later ones, and may be called twice', () =>
    withSpoolWorld(async (world) => {
      const spool = await world.open()
      const appends = numbered(20).map((text) => spool.append(Buffer.from(text)))
      const closed = spool.close()
      await expect(spool.append(Buffer.from('late'))).rejects.toMatchObject({ code: 'SPOOL_IO' })
      await Promise.all([...appends, closed, spool.close()])
      await expect(spool.next(1)).rejects.toMatchObject({ code: 'SPOOL_IO' })
      expect(spool.accepting).toBe(false)
      expect(await drain(await world.open())).toEqual(numbered(20))
    }))
})
