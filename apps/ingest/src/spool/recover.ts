/**
 * Opening what an earlier process left behind.
 *
 * What can have been acknowledged? A record is, once the fdatasync after its write returned; the file then holds
 * all of its bytes. So an unfinished record at the very end of the newest segment (a process killed in the middle
 * of a write) was never acknowledged and is cut off without a word. So is a file too short for its header. Anything
 * else that is not a record may once have been acknowledged: it is set aside and reported. A whole record whose
 * fsync was not waited for is a record: its sender got no answer, and its repetition will be recognised.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { Fault } from '@weir/core/faults'
import { type Cursor, openCursor } from './cursor.ts'
import { decodeSegmentHeader, FORMAT_VERSION, SEGMENT_HEADER_BYTES, type Seeds } from './format.ts'
import {
  createSegment,
  readSegment,
  readSurviving,
  type Segment,
  type SegmentIo,
  segmentName,
  segmentNumber,
  setAside,
} from './segment.ts'

export interface Recovered {
  readonly cursor: Cursor
  /** Oldest first. Nothing is ever appended to them: a new process writes a new segment. */
  readonly segments: Segment[]
  /** Number for the next segment: above every one that is there or that the cursor has seen. */
  readonly nextNumber: number
}

interface Found {
  readonly number: number
  readonly size: number
  readonly header: Buffer
  /** Undefined when the header is damaged. */
  readonly seeds: Seeds | undefined
}

/** Reads the directory. Rejects with Fault SPOOL_IO for a newer format, or with the file system's error. */
export async function recover(io: SegmentIo): Promise<Recovered> {
  const found = await findSegments(io)
  const known = found.findLast((segment) => segment.seeds !== undefined)?.seeds
  const { cursor, found: cursorFound } = await openCursor(io.directory, io.files, known ?? randomSeeds())
  try {
    if (cursorFound === 'unreadable')
      io.onFault(
        new Fault(
          'RECORD_CORRUPT',
          'the drain position (cursor) is unreadable: all records are offered again, known ones are recognised',
        ),
      )
    return await readAll(io, found, cursor)
  } catch (error) {
    await cursor.close()
    throw error
  }
}

async function findSegments(io: SegmentIo): Promise<Found[]> {
  const names = await io.files.list(io.directory)
  const numbers = names.map(segmentNumber).filter((number) => number !== undefined)
  const found: Found[] = []
  for (const number of numbers.sort((a, b) => a - b)) {
    const path = join(io.directory, segmentName(number))
    const size = await io.files.size(path)
    const header = await readSurviving(io.files, path, 0, Math.min(size, SEGMENT_HEADER_BYTES))
    const decoded = decodeSegmentHeader(header)
    if (decoded.kind === 'foreign-version')
      throw new Fault(
        'SPOOL_IO',
        `${segmentName(number)} has format ${decoded.version}, this version reads ${FORMAT_VERSION}; drain it with the version that wrote it`,
      )
    found.push({ number, size, header, seeds: decoded.kind === 'sound' ? decoded.seeds : undefined })
  }
  return found
}

async function readAll(io: SegmentIo, found: readonly Found[], cursor: Cursor): Promise<Recovered> {
  const segments: Segment[] = []
  const newest = found.at(-1)?.number
  for (const { number, size, header, seeds } of found) {
    if (number < cursor.position.segment || size < SEGMENT_HEADER_BYTES) {
      await io.files.remove(join(io.directory, segmentName(number)))
      continue
    }
    const released = number === cursor.position.segment ? cursor.position.offset : SEGMENT_HEADER_BYTES
    const drained = Math.min(Math.max(released, SEGMENT_HEADER_BYTES), size)
    const segment = createSegment(io, { number, seeds: seeds ?? cursor.seeds, drained, end: size })
    if (seeds === undefined) await setAside(io, segment, { from: 0, to: SEGMENT_HEADER_BYTES }, header)
    const { records, tornAt } = await readSegment(io, segment, number === newest)
    if (tornAt !== undefined) await cut(io, segment, tornAt)
    segment.records = records.length
    segments.push(segment)
  }
  return { cursor, segments, nextNumber: Math.max(newest ?? 0, cursor.position.segment) + 1 }
}

/** Durably, since the next start sees an older segment, where an unfinished record would count as damage. */
async function cut(io: SegmentIo, segment: Segment, at: number): Promise<void> {
  const file = await io.files.open(segment.path, 'existing')
  try {
    await file.truncate(at)
    await file.sync()
  } finally {
    await file.close()
  }
  segment.end = at
}

function randomSeeds(): Seeds {
  const bytes = randomBytes(8)
  return { header: bytes.readUInt32LE(0), payload: bytes.readUInt32LE(4) }
}
