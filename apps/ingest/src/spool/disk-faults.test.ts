import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Files, type OpenFile, systemFiles } from './files.ts'
import { appendAll, drain, numbered, withSpoolWorld } from './spool-bracket.ts'

const SEGMENT = /spool-\d{20}\.log$/

function diskError(code: string): Error {
  return Object.assign(new Error(`${code}: the disk said so`), { code })
}

/** The real file system, with segment files (or those `which` names) changed by `change`. */
function filesWith(change: (file: OpenFile, path: string) => Partial<OpenFile>, which = SEGMENT): Files {
  return {
    ...systemFiles,
    open: async (path, mode) => {
      const file = await systemFiles.open(path, mode)
      return which.test(path) ? { ...file, ...change(file, path) } : file
    },
  }
}

/** A fault that is switched on and off. */
function fails(code: string): { on: boolean; check(): void } {
  const fault = {
    on: false,
    check: () => {
      if (fault.on) throw diskError(code)
    },
  }
  return fault
}

describe('a failing fsync', () => {
  it('rejects all that wait, is reported once, and the segment is never written again', () =>
    withSpoolWorld(async (world) => {
      const disk = fails('EIO')
      const written: string[] = []
      const files = filesWith((file, path) => ({
        write: (buffers, position) => {
          written.push(path.slice(-6))
          return file.write(buffers, position)
        },
        sync: async () => {
          disk.check()
          await file.sync()
        },
      }))
      const spool = await world.open({}, files)
      await appendAll(spool, ['kept'])
      disk.on = true
      const results = await Promise.allSettled(numbered(5).map((text) => spool.append(Buffer.from(text))))
      const codes = results.map((result) => result.status === 'rejected' && result.reason.code)
      expect(codes).toEqual(Array(5).fill('SPOOL_IO'))
      expect(spool.accepting).toBe(false)
      disk.on = false
      await appendAll(spool, ['after'])
      // Segment 1: header, 'kept', the failed group. Segment 2: header, 'after'.
      expect(written).toEqual(['01.log', '01.log', '01.log', '02.log', '02.log'])
      expect(await drain(spool)).toEqual(['kept', 'after'])
      expect(world.faults.map((fault) => fault.code)).toEqual(['SPOOL_IO'])
    }))

  it('leaves nothing that was refused, once the segment could be cut back', () =>
    withSpoolWorld(async (world) => {
      let failing = 0
      const files = filesWith((file) => ({
        sync: async () => {
          if (failing-- > 0) throw diskError('EIO')
          await file.sync()
        },
      }))
      const spool = await world.open({}, files)
      await appendAll(spool, ['kept'])
      failing = 1
      await expect(spool.append(Buffer.from('refused'))).rejects.toMatchObject({ code: 'SPOOL_IO' })
      await spool.close()
      expect(world.faults).toHaveLength(1)
      expect(await drain(await world.open())).toEqual(['kept'])
      expect(world.faults).toHaveLength(1)
    }))

  it('that cannot be cut back is not drained by this process, and loses nothing in the next', () =>
    withSpoolWorld(async (world) => {
      const disk = fails('EIO')
      const files = filesWith((file) => ({
        sync: async () => {
          disk.check()
          await file.sync()
        },
        truncate: () => Promise.reject(diskError('EIO')),
      }))
      const spool = await world.open({}, files)
      await appendAll(spool, ['kept'])
      disk.on = true
      await expect(spool.append(Buffer.from('refused'))).rejects.toMatchObject({ code: 'SPOOL_IO' })
      disk.on = false
      await appendAll(spool, ['after'])
      expect(world.faults.map((fault) => fault.code)).toEqual(['SPOOL_IO', 'SPOOL_IO'])
      const batch = await spool.next(10)
      expect(batch!.records.map(String)).toEqual(['kept'])
      await spool.close()
      // The refused one did reach the disk here; its sender may have sent it again, which admission recognises.
      expect(await drain(await world.open())).toEqual(['kept', 'refused', 'after'])
    }))

  it('is tried again: accepting after a pause', () =>
    withSpoolWorld(async (world) => {
      const disk = fails('EIO')
      const spool = await world.open(
        {},
        filesWith((file) => ({
          sync: async () => {
            disk.check()
            await file.sync()
          },
        })),
      )
      disk.on = true
      await expect(spool.append(Buffer.from('refused'))).rejects.toMatchObject({ code: 'SPOOL_IO' })
      expect(spool.accepting).toBe(false)
      world.advance(1000)
      expect(spool.accepting).toBe(true)
    }))

  it('time after time leaves no files behind', () =>
    withSpoolWorld(async (world) => {
      const files = filesWith(() => ({ sync: () => Promise.reject(diskError('EIO')) }))
      const spool = await world.open({}, files)
      for (let n = 0; n < 10; n++) await expect(spool.append(Buffer.from('x'))).rejects.toThrow('EIO')
      await spool.close()
      expect(await world.names(SEGMENT)).toEqual([])
      expect({ ...spool }).toMatchObject({ records: 0, bytes: 0 })
    }))
})

describe('a full disk', () => {
  it('is SPOOL_FULL, keeps what is there, and is no obstacle to draining', () =>
    withSpoolWorld(async (world) => {
      const disk = fails('ENOSPC')
      const files = filesWith((file) => ({
        write: async (buffers, position) => {
          disk.check()
          await file.write(buffers, position)
        },
      }))
      const spool = await world.open({}, files)
      await appendAll(spool, numbered(3))
      disk.on = true
      await expect(spool.append(Buffer.from('no room'))).rejects.toMatchObject({
        code: 'SPOOL_FULL',
        message: expect.stringContaining('no space left'),
        cause: { code: 'ENOSPC' },
      })
      expect(world.faults.map((fault) => fault.code)).toEqual(['SPOOL_FULL'])
      expect(await drain(spool)).toEqual(numbered(3))
      disk.on = false
      await appendAll(spool, ['room again'])
      expect(await drain(spool)).toEqual(['room again'])
    }))

  it('in the middle of a group: what was half written is cut off, later records are readable', () =>
    withSpoolWorld(async (world) => {
      const disk = fails('ENOSPC')
      const files = filesWith((file) => ({
        write: async (buffers, position) => {
          const bytes = Buffer.concat(buffers)
          if (disk.on) await file.write([bytes.subarray(0, bytes.length - 4)], position)
          disk.check()
          await file.write([bytes], position)
        },
      }))
      const spool = await world.open({}, files)
      await appendAll(spool, ['before'])
      disk.on = true
      await expect(spool.append(Buffer.from('half written'))).rejects.toMatchObject({ code: 'SPOOL_FULL' })
      disk.on = false
      await appendAll(spool, ['behind'])
      await spool.close()
      world.faults.length = 0
      expect(await drain(await world.open())).toEqual(['before', 'behind'])
      expect(world.faults).toEqual([])
    }))

  it('while a segment is begun leaves no half-made file', () =>
    withSpoolWorld(async (world) => {
      const disk = fails('ENOSPC')
      disk.on = true
      const files: Files = {
        ...systemFiles,
        syncDirectory: async (path) => {
          if ((await systemFiles.list(path)).some((name) => SEGMENT.test(name))) disk.check()
          await systemFiles.syncDirectory(path)
        },
      }
      const spool = await world.open({}, files)
      await expect(spool.append(Buffer.from('x'))).rejects.toMatchObject({ code: 'SPOOL_FULL' })
      expect(await world.names(SEGMENT)).toEqual([])
      disk.on = false
      await appendAll(spool, ['y'])
      expect(await drain(spool)).toEqual(['y'])
    }))
})

describe('a drain position that cannot be written', () => {
  it('marks nothing: release rejects, may be repeated, and the records are offered again', () =>
    withSpoolWorld(async (world) => {
      const disk = fails('EIO')
      const files = filesWith(
        (file) => ({
          sync: async () => {
            disk.check()
            await file.sync()
          },
        }),
        /cursor$/,
      )
      const spool = await world.open({}, files)
      await appendAll(spool, numbered(3))
      const batch = await spool.next(2)
      disk.on = true
      await expect(batch!.release(2)).rejects.toMatchObject({ code: 'SPOOL_IO' })
      expect(spool.records).toBe(3)
      disk.on = false
      await batch!.release(1)
      expect(await drain(spool)).toEqual(numbered(2, 1))
    }))
})

describe('blocks that cannot be read', () => {
  it('cost only the records in them', () =>
    withSpoolWorld(async (world) => {
      const texts = Array.from({ length: 20 }, (_, n) => `${n} `.padEnd(1000, '.'))
      const before = await world.open()
      await appendAll(before, texts)
      await before.close()
      const files: Files = {
        ...systemFiles,
        read: (path, from, to) => {
          const bad = SEGMENT.test(path) && from < 12_288 && to > 8192
          return bad ? Promise.reject(diskError('EIO')) : systemFiles.read(path, from, to)
        },
      }
      const drained = await drain(await world.open({}, files))
      const record = 1020
      const readable = texts.filter((_, n) => 24 + (n + 1) * record <= 8192 || 24 + n * record >= 12_288)
      expect(drained).toEqual(readable)
      expect(world.faults).toMatchObject([{ code: 'RECORD_CORRUPT' }])
    }))

  it('are an answer, not a loss, when the whole file cannot be opened', () =>
    withSpoolWorld(async (world) => {
      const disk = fails('EMFILE')
      const files: Files = {
        ...systemFiles,
        read: async (path, from, to) => {
          disk.check()
          return systemFiles.read(path, from, to)
        },
      }
      const spool = await world.open({}, files)
      await appendAll(spool, numbered(2))
      disk.on = true
      await expect(spool.next(2)).rejects.toMatchObject({ code: 'SPOOL_IO' })
      disk.on = false
      expect(await drain(spool)).toEqual(numbered(2))
    }))
})

describe('damage that cannot be copied', () => {
  it('keeps the whole drained file instead', () =>
    withSpoolWorld(async (world) => {
      const before = await world.open()
      await appendAll(before, numbered(3))
      await before.close()
      const path = join(world.directory, 'spool-00000000000000000001.log')
      const bytes = await readFile(path)
      bytes[50]! ^= 1
      const segment = await systemFiles.open(path, 'existing')
      await segment.write([bytes], 0)
      await segment.close()
      const files = filesWith(() => ({ write: () => Promise.reject(diskError('ENOSPC')) }), /damaged-/)
      const spool = await world.open({}, files)
      expect(world.faults).toMatchObject([
        { code: 'RECORD_CORRUPT', message: expect.stringContaining('will be kept') },
      ])
      expect(await drain(spool)).toEqual(numbered(2, 1))
      expect(await readFile(join(world.directory, 'damaged-spool-00000000000000000001.log'))).toEqual(bytes)
    }))
})
