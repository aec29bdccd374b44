/**
 * Group commit: one write and one fdatasync for all appends that arrived while the last one was under way.
 *
 *   no segment ──an append──▶ open ──full, or retired once drained──▶ no segment
 *                              └──a write or sync fails──▶ sealed ──▶ no segment
 *
 * After a failed fsync the kernel may have marked the lost pages clean, so a second fsync proves nothing
 * (https://wiki.postgresql.org/wiki/Fsync_Errors): the segment is cut back to what was acknowledged and never
 * written again, everyone who waits is told, and the next append begins a fresh segment.
 */
import type { Clock } from '@weir/core/clock'
import { Fault, messageOf } from '@weir/core/faults'
import type { OpenFile } from './files.ts'
import {
  encodeRecordHeader,
  encodeSegmentHeader,
  RECORD_HEADER_BYTES,
  SEGMENT_HEADER_BYTES,
  type Seeds,
} from './format.ts'
import { createSegment, discardSegment, type Segment, type SegmentIo } from './segment.ts'

export interface WriterOptions {
  readonly io: SegmentIo
  readonly clock: Clock
  readonly seeds: Seeds
  /** Number of the first segment to make. */
  readonly firstNumber: number
  readonly segmentBytes: number
  /** A segment was made: empty, newer than all others. */
  onSegment(segment: Segment): void
  /** `count` more records are durable; the oldest of them was appended at `at`, ms since the epoch. */
  onStored(at: number, count: number): void
  /** A broken segment without records was deleted. */
  onDiscarded(segment: Segment): void
}

export interface Writer {
  /** Resolves when the record is durable; rejects with Fault SPOOL_IO or SPOOL_FULL (no space on the device). */
  append(payload: Buffer): Promise<void>
  /** Bytes taken but not yet durable. */
  readonly pendingBytes: number
  /** When a write last failed, monotonic ms. */
  readonly failedAt: number | undefined
  /** Stops writing to this segment if it does; false when a group is being written to it. */
  retire(segment: Segment): Promise<boolean>
  /** Waits for the appends that were taken, then closes the segment. */
  close(): Promise<void>
}

interface Waiting {
  readonly payload: Buffer
  readonly at: number
  resolve(): void
  reject(fault: Fault): void
}

/** Most bytes in one group: bounds the time of one write, and so the wait of the next group. */
const GROUP_BYTES = 8 * 1024 * 1024

export function createWriter(options: WriterOptions): Writer {
  const { io, clock, seeds } = options
  let queue: Waiting[] = []
  let group: readonly Waiting[] = []
  let pendingBytes = 0
  let active: { readonly segment: Segment; readonly file: OpenFile } | undefined
  let nextNumber = options.firstNumber
  let failedAt: number | undefined
  let work: Promise<void> | undefined

  async function run(): Promise<void> {
    while (queue.length > 0) {
      try {
        await commit()
      } catch (error) {
        await fail(error)
      }
    }
    work = undefined
  }

  async function commit(): Promise<void> {
    const room = (segment: Segment): number => options.segmentBytes - segment.end
    const first = diskBytes(queue[0]!.payload)
    if (active !== undefined && first > room(active.segment)) await closeActive()
    active ??= await begin()
    const { segment, file } = active
    group = takeGroup(Math.min(GROUP_BYTES, room(segment)))
    const buffers = group.flatMap(({ payload, at }) => [encodeRecordHeader(payload, at, seeds), payload])
    const bytes = buffers.reduce((sum, buffer) => sum + buffer.length, 0)
    await file.write(buffers, segment.end)
    await file.sync()
    const stored = group
    group = []
    segment.end += bytes
    segment.records += stored.length
    pendingBytes -= bytes
    options.onStored(stored[0]!.at, stored.length)
    for (const each of stored) each.resolve()
  }

  /** The first of the queue, and what fits behind it. */
  function takeGroup(limit: number): readonly Waiting[] {
    let count = 0
    for (let bytes = 0; count < queue.length; count++) {
      bytes += diskBytes(queue[count]!.payload)
      if (count > 0 && bytes > limit) break
    }
    const taken = queue.slice(0, count)
    queue = queue.slice(count)
    return taken
  }

  async function begin(): Promise<{ segment: Segment; file: OpenFile }> {
    const number = nextNumber++
    const start = { number, seeds, drained: SEGMENT_HEADER_BYTES, end: SEGMENT_HEADER_BYTES }
    const segment = createSegment(io, start)
    const file = await io.files.open(segment.path, 'create')
    try {
      // The header becomes durable with the first group's sync; the name has to by itself.
      await file.write([encodeSegmentHeader(seeds)], 0)
      await io.files.syncDirectory(io.directory)
    } catch (error) {
      await closeQuietly(file)
      await discardQuietly(segment)
      throw error
    }
    options.onSegment(segment)
    return { segment, file }
  }

  async function fail(error: unknown): Promise<void> {
    const fault = ioFault(error)
    const refused = [...group, ...queue]
    const broken = active
    group = []
    queue = []
    pendingBytes = 0
    active = undefined
    failedAt = clock.monotonic()
    io.onFault(fault)
    for (const each of refused) each.reject(fault)
    if (broken !== undefined) await seal(broken.segment, broken.file)
  }

  async function seal(segment: Segment, file: OpenFile): Promise<void> {
    try {
      await file.truncate(segment.end)
      await file.sync()
    } catch (error) {
      // Harmless while this process runs, which reads only to `end`; the next start sets the rest aside.
      io.onFault(ioFault(error))
    }
    await closeQuietly(file)
    if (segment.records > 0) return
    await discardQuietly(segment)
    options.onDiscarded(segment)
  }

  async function closeActive(): Promise<void> {
    const full = active
    active = undefined
    if (full !== undefined) await closeQuietly(full.file)
  }

  /** Everything acknowledged is synced before, so a failing close is reported but changes nothing. */
  async function closeQuietly(file: OpenFile): Promise<void> {
    await file.close().catch((error: unknown) => io.onFault(ioFault(error)))
  }

  async function discardQuietly(segment: Segment): Promise<void> {
    await discardSegment(io, segment).catch((error: unknown) => io.onFault(ioFault(error)))
  }

  return {
    append: (payload) =>
      new Promise((resolve, reject) => {
        queue.push({ payload, at: clock.now(), resolve, reject })
        pendingBytes += diskBytes(payload)
        work ??= run()
      }),
    get pendingBytes() {
      return pendingBytes
    },
    get failedAt() {
      return failedAt
    },
    retire: async (segment) => {
      if (active?.segment !== segment) return true
      if (group.length > 0) return false
      await closeActive()
      return true
    },
    close: async () => {
      await work
      await closeActive()
    },
  }
}

/** Bytes that a payload takes in a segment. */
export function diskBytes(payload: Buffer): number {
  return payload.length + RECORD_HEADER_BYTES
}

const NO_SPACE: readonly unknown[] = ['ENOSPC', 'EDQUOT']

/** The fault for an error of the file system. */
export function ioFault(error: unknown): Fault {
  if (error instanceof Fault) return error
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (NO_SPACE.includes(code))
    return new Fault('SPOOL_FULL', `the spool's disk has no space left (${messageOf(error)})`, {
      cause: error,
    })
  return new Fault('SPOOL_IO', `the spool's disk failed: ${messageOf(error)}`, { cause: error })
}
