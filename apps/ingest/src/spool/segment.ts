/**
 * One segment file as the running spool sees it, and how its records are read without ever passing over damage
 * silently: bytes that are not a record are copied beside the segment before the records behind them are used.
 */
import { join } from 'node:path'
import { Fault, messageOf } from '@weir/core/faults'
import type { Files } from './files.ts'
import { type ByteRange, type Seeds, type StoredRecord, scanRecords } from './format.ts'

export interface Segment {
  readonly number: number
  readonly path: string
  readonly seeds: Seeds
  /** Bytes that are synced and readable; what a failed write left behind them does not count. */
  end: number
  /** Offset up to which the records are released. */
  drained: number
  /** Records between `drained` and `end`. */
  records: number
  /** Damaged ranges already copied and reported, as `from-to`. */
  readonly reported: Set<string>
  /** Set when damage could not be copied: then the drained file is set aside instead of deleted. */
  keepWhole: boolean
}

export interface SegmentIo {
  readonly directory: string
  readonly files: Files
  readonly onFault: (fault: Fault) => void
}

const NAME = /^spool-(\d{20})\.log$/

export function segmentName(number: number): string {
  return `spool-${String(number).padStart(20, '0')}.log`
}

/** The number in a segment's file name; undefined for other files. Throws Fault SPOOL_IO past 2^53. */
export function segmentNumber(name: string): number | undefined {
  const digits = NAME.exec(name)?.[1]
  if (digits === undefined) return undefined
  const number = Number(digits)
  if (Number.isSafeInteger(number)) return number
  throw new Fault('SPOOL_IO', `${name} is numbered higher than any segment the spool writes; move it away`)
}

/** A segment whose bytes before `drained` are done with. */
export function createSegment(
  io: SegmentIo,
  at: { number: number; seeds: Seeds; drained: number; end: number },
): Segment {
  const path = join(io.directory, segmentName(at.number))
  return { ...at, path, records: 0, reported: new Set(), keepWhole: false }
}

export interface Contents {
  readonly records: readonly StoredRecord[]
  /** Where a record begins whose write never finished. */
  readonly tornAt: number | undefined
}

/**
 * The segment's sound records from `drained` to `end`. Damage is copied to `damaged-…` and reported first.
 * `mayBeTorn`: whether an unfinished write at the end is possible; where it is not, it is damage too.
 */
export async function readSegment(io: SegmentIo, segment: Segment, mayBeTorn: boolean): Promise<Contents> {
  const from = segment.drained
  const bytes = await readSurviving(io.files, segment.path, from, segment.end)
  const { records, damaged, torn } = scanRecords(bytes, from, segment.seeds)
  const ranges = torn === undefined || mayBeTorn ? damaged : [...damaged, torn]
  for (const range of ranges)
    await setAside(io, segment, range, bytes.subarray(range.from - from, range.to - from))
  return { records, tornAt: mayBeTorn ? torn?.from : undefined }
}

/** Copies a damaged range to its own file and reports it, once per range and run. */
export async function setAside(
  io: SegmentIo,
  segment: Segment,
  range: ByteRange,
  bytes: Buffer,
): Promise<void> {
  const key = `${range.from}-${range.to}`
  if (segment.reported.has(key)) return
  segment.reported.add(key)
  const what = `${segmentName(segment.number)}: bytes ${range.from} to ${range.to} are not what was written`
  const name = `damaged-${String(segment.number).padStart(20, '0')}-${key}.bin`
  try {
    await writeOnce(io, join(io.directory, name), bytes)
    io.onFault(
      new Fault(
        'RECORD_CORRUPT',
        `${what}; acknowledged events may be among them. Kept as ${name}, going on behind`,
      ),
    )
  } catch (error) {
    segment.keepWhole = true
    const kept = `damaged-${segmentName(segment.number)}`
    io.onFault(
      new Fault(
        'RECORD_CORRUPT',
        `${what} and could not be copied (${messageOf(error)}); the drained file will be kept as ${kept}`,
        { cause: error },
      ),
    )
  }
}

async function writeOnce(io: SegmentIo, path: string, bytes: Buffer): Promise<void> {
  const there = (await io.files.list(io.directory)).some((name) => join(io.directory, name) === path)
  // An earlier run copied it; a copy cut short by a crash is written again.
  if (there && (await io.files.size(path)) === bytes.length) return
  const file = await io.files.open(path, there ? 'existing' : 'create')
  try {
    await file.write([bytes], 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await io.files.syncDirectory(io.directory)
}

/** Deletes a drained segment, or sets it aside where damage in it could not be copied. */
export async function discardSegment(io: SegmentIo, segment: Segment): Promise<void> {
  if (!segment.keepWhole) return io.files.remove(segment.path)
  await io.files.rename(segment.path, join(io.directory, `damaged-${segmentName(segment.number)}`))
}

/** Unit in which an unreadable file is tried again, bytes: the usual disk block. */
const BLOCK_BYTES = 4096

/**
 * Reads a range. Where the disk cannot read a block (EIO), or a file was cut or deleted under us, there are zeros,
 * which are damage: they cost only their own records and are reported like any other.
 */
export async function readSurviving(files: Files, path: string, from: number, to: number): Promise<Buffer> {
  const bytes = Buffer.alloc(to - from)
  try {
    const whole = await files.read(path, from, to)
    if (whole.length === bytes.length) return whole
    whole.copy(bytes)
    return bytes
  } catch (error) {
    if (!isUnreadable(error)) throw error
  }
  for (let start = from; start < to; start = nextBlock(start)) {
    try {
      const block = await files.read(path, start, Math.min(nextBlock(start), to))
      block.copy(bytes, start - from)
    } catch (error) {
      if (!isUnreadable(error)) throw error
    }
  }
  return bytes
}

function nextBlock(offset: number): number {
  return offset - (offset % BLOCK_BYTES) + BLOCK_BYTES
}

function isUnreadable(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EIO' || error.code === 'ENOENT')
}
