/**
 * The gateway's local journal: where events wait, fsynced, while Redis cannot take them.
 *
 *   append ──▶ writer (group commit) ──▶ segment files, oldest first ──▶ next ──▶ admission ──▶ release
 *
 * A record is *taken* (queued), *stored* (fsynced; `append` resolves), *out* (in the one batch that is out),
 * *released* (the cursor is behind it) and gone with its segment's file, which is deleted when all of its records
 * are released, also when it is the one being written, so that an empty spool takes no space. A batch that is
 * never released, because its taker failed, is offered again by the next `next`. Nothing else moves a record:
 * limits stop what comes in, they never throw away what is in. Format, promises and limits: docs/spool.md.
 */
import { mkdir } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Clock } from '@weir/core/clock'
import { Fault } from '@weir/core/faults'
import { type Files, systemFiles } from './files.ts'
import { MAX_PAYLOAD_BYTES, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, type StoredRecord } from './format.ts'
import { lockDirectory } from './lock.ts'
import { type Recovered, recover } from './recover.ts'
import { discardSegment, readSegment, type Segment, type SegmentIo } from './segment.ts'
import { createWriter, diskBytes, ioFault } from './writer.ts'

export interface SpoolOptions {
  /** A directory for this process alone; made (0700) if it is not there. Must not be on a RAM disk. */
  readonly directory: string
  /** Most bytes of segment files on disk; above it `append` is refused. */
  readonly maxBytes: number
  /** Bytes that others keep on disk under the same limit; default: nobody does. */
  readonly otherBytes?: () => number
  /** Age of the oldest record, ms, above which `append` is refused; `Infinity` for no limit. */
  readonly maxAgeMs: number
  /** Size at which a new segment is begun, bytes. Draining reads one segment into memory at a time. */
  readonly segmentBytes: number
  readonly clock: Clock
  /**
   * Told what an operator should know: SPOOL_IO and SPOOL_FULL when the disk refuses a write, RECORD_CORRUPT when
   * bytes are damaged. Reaching `maxBytes` or `maxAgeMs` is only told to the appender. Must not throw.
   */
  onFault(error: Fault): void
}

export interface SpoolBatch {
  /** The payloads as appended, oldest first; at least one. */
  readonly records: readonly Buffer[]
  /**
   * Marks exactly the first `count` records as drained; resolves when that is durable. Ends the batch: the others
   * are offered again by the next `next`. Rejects Fault SPOOL_IO or SPOOL_FULL when the mark cannot be written
   * (then nothing is marked and it may be called again), and an Error for a batch that a later `next` replaced.
   */
  release(count: number): Promise<void>
}

export interface Spool {
  /**
   * Resolves after the record is fsynced; its bytes must not change until then. Rejects Fault SPOOL_FULL (size or
   * age limit, or no space on the disk) or SPOOL_IO; a record refused by a failing disk may still turn up when
   * drained, if it reached the disk before a crash. A RangeError for an empty record or one above 256 MiB.
   */
  append(record: Buffer): Promise<void>
  /**
   * The oldest records not yet released, at most `max` (fewer at the end of a segment); undefined when empty. Only
   * one batch is out at a time: taking the next withdraws the one before it. Rejects Fault SPOOL_IO.
   */
  next(max: number): Promise<SpoolBatch | undefined>
  /** Stored records not yet released. */
  readonly records: number
  /** Bytes of segment files on disk, with what is released but not deleted yet. */
  readonly bytes: number
  /** ms since the epoch when the oldest unreleased record was appended. */
  readonly oldestAt: number | undefined
  /** Whether an append of the last one's size would be taken now: limits not reached, and the disk took the last write. */
  readonly accepting: boolean
  /** Waits for appends already taken, then lets go of the directory. Harmless when called twice. */
  close(): Promise<void>
}

/** After a failing write `accepting` is false this long, ms; then a try is worth it again. Appends always try. */
const FAILURE_PAUSE_MS = 1000

/**
 * Opens the directory and checks every record that an earlier process left, one segment in memory at a time.
 * Rejects with Fault SPOOL_IO (in use, unreadable, of a newer format) or SPOOL_FULL (no space for a new cursor).
 * `files` is the seam for tests.
 */
export async function openSpool(options: SpoolOptions, files: Files = systemFiles): Promise<Spool> {
  const directory = resolve(options.directory)
  const io: SegmentIo = { directory, files, onFault: (fault) => options.onFault(fault) }
  try {
    await makeDirectory(directory, files)
    const lock = await lockDirectory(directory)
    try {
      return await createSpool(options, io, await recover(io), () => lock.release())
    } catch (error) {
      lock.release()
      throw error
    }
  } catch (error) {
    throw openFault(error, directory)
  }
}

/** Makes the directory and its missing parents, and their names durable. */
async function makeDirectory(directory: string, files: Files): Promise<void> {
  const first = await mkdir(directory, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let made = directory; made.length >= first.length; made = dirname(made))
    await files.syncDirectory(dirname(made))
}

function openFault(error: unknown, directory: string): Fault {
  if (error instanceof Fault) return error
  const { code, message } = ioFault(error)
  return new Fault(code, `cannot open the spool in ${directory}: ${message}`, { cause: error })
}

async function createSpool(
  options: SpoolOptions,
  io: SegmentIo,
  left: Recovered,
  unlock: () => void,
): Promise<Spool> {
  const { clock, maxBytes, maxAgeMs } = options
  const { cursor, segments } = left
  let oldestAt: number | undefined
  /** Verified records at the drain position, all of the oldest segment. */
  let ahead: readonly StoredRecord[] = []
  let batchOut: symbol | undefined
  /** Bytes of the last record offered that could ever fit: by its like `accepting` is judged. */
  let usualBytes = RECORD_HEADER_BYTES + 1
  let closing: Promise<void> | undefined
  let turn: Promise<unknown> = Promise.resolve()

  const writer = createWriter({
    io,
    clock,
    seeds: cursor.seeds,
    firstNumber: left.nextNumber,
    segmentBytes: options.segmentBytes,
    onSegment: (segment) => void segments.push(segment),
    onStored: (at, count) => {
      // Alone: whatever was oldest before is released.
      if (records() === count) oldestAt = at
    },
    onDiscarded: forget,
  })

  const bytes = (): number => segments.reduce((sum, segment) => sum + segment.end, 0)
  /** With what is under way and `more`; a segment may have to be begun for it. */
  const others = options.otherBytes ?? (() => 0)
  const bytesWith = (more: number): number =>
    bytes() + writer.pendingBytes + SEGMENT_HEADER_BYTES + more + others()
  const records = (): number => segments.reduce((sum, segment) => sum + segment.records, 0)
  const ageMs = (): number => (oldestAt === undefined ? 0 : clock.now() - oldestAt)

  /** One drain operation at a time, in the order of the calls. */
  function inTurn<T>(operation: () => Promise<T>): Promise<T> {
    const result = turn.then(operation)
    turn = result.catch(() => undefined)
    return result
  }

  async function append(record: Buffer): Promise<void> {
    if (closing !== undefined) throw closedFault()
    if (record.length === 0 || record.length > MAX_PAYLOAD_BYTES)
      throw new RangeError(`a spool record has 1 to ${MAX_PAYLOAD_BYTES} bytes, not ${record.length}`)
    if (ageMs() > maxAgeMs)
      throw new Fault(
        'SPOOL_FULL',
        `the oldest event in the spool has waited ${ageMs()} ms, more than the age limit of ${maxAgeMs} ms; new ones are taken again once it is drained`,
      )
    const size = diskBytes(record)
    if (size + SEGMENT_HEADER_BYTES <= maxBytes) usualBytes = size
    const total = bytesWith(size)
    if (total > maxBytes)
      throw new Fault(
        'SPOOL_FULL',
        `the spool would take ${total} bytes, more than its size limit of ${maxBytes}; new events are taken again once some are drained`,
      )
    await writer.append(record)
  }

  async function next(max: number): Promise<SpoolBatch | undefined> {
    if (!Number.isInteger(max) || max < 1) throw new RangeError(`a batch has at least 1 record, not ${max}`)
    batchOut = undefined
    await lookAhead()
    const batch = ahead.slice(0, max)
    if (batch.length === 0) return undefined
    const id = Symbol('batch')
    batchOut = id
    return {
      records: batch.map((record) => record.payload),
      release: (count) => inTurn(() => release(id, batch, count)),
    }
  }

  async function release(id: symbol, batch: readonly StoredRecord[], count: number): Promise<void> {
    if (batchOut !== id) throw new Error('this batch was released, or replaced by a later one')
    if (!Number.isInteger(count) || count < 0 || count > batch.length)
      throw new RangeError(`of ${batch.length} records ${count} cannot be released`)
    const last = batch[count - 1]
    if (last !== undefined) await moveBehind(last, count)
    batchOut = undefined
    // Already released: what fails from here on is the next batch's matter.
    await lookAhead().catch((error: unknown) => io.onFault(ioFault(error)))
  }

  async function moveBehind(last: StoredRecord, count: number): Promise<void> {
    const segment = segments[0]!
    try {
      await cursor.move({ segment: segment.number, offset: last.end })
    } catch (error) {
      throw ioFault(error)
    }
    segment.drained = last.end
    segment.records -= count
    ahead = ahead.slice(count)
  }

  async function lookAhead(): Promise<void> {
    await fillAhead()
    // Nothing ahead although there are records: they were stored just now, and onStored took their time.
    oldestAt = ahead[0]?.at ?? (records() === 0 ? undefined : oldestAt)
  }

  /** Fills `ahead` if there is anything to drain, deleting the drained segments in front of it. */
  async function fillAhead(): Promise<void> {
    while (ahead.length === 0) {
      const segment = segments[0]
      if (segment === undefined) return
      if (segment.records === 0) {
        if (!(await drop(segment))) return
        continue
      }
      const expected = segment.records
      const { records: found } = await readSegment(io, segment, false)
      // Fewer than were stored: damage since, set aside by readSegment.
      segment.records -= expected - found.length
      ahead = found
    }
  }

  /** Deletes a drained segment; false while the writer is adding to it. */
  async function drop(segment: Segment): Promise<boolean> {
    if (!(await writer.retire(segment))) return false
    forget(segment)
    // The cursor is behind it: a file that cannot be deleted now is deleted by the next start.
    await discardSegment(io, segment).catch((error: unknown) => io.onFault(ioFault(error)))
    return true
  }

  function forget(segment: Segment): void {
    const index = segments.indexOf(segment)
    if (index >= 0) segments.splice(index, 1)
  }

  async function close(): Promise<void> {
    try {
      await writer.close()
      await turn
      await cursor.close()
    } finally {
      unlock()
    }
  }

  try {
    await lookAhead()
  } catch (error) {
    await cursor.close()
    throw error
  }
  return {
    append,
    next: (max) =>
      inTurn(async () => {
        if (closing !== undefined) throw closedFault()
        try {
          return await next(max)
        } catch (error) {
          throw error instanceof RangeError ? error : ioFault(error)
        }
      }),
    get records() {
      return records()
    },
    get bytes() {
      return bytes()
    },
    get oldestAt() {
      return oldestAt
    },
    get accepting() {
      const { failedAt } = writer
      const well = failedAt === undefined || clock.monotonic() - failedAt >= FAILURE_PAUSE_MS
      const fits = bytesWith(usualBytes) <= maxBytes
      return closing === undefined && well && fits && ageMs() <= maxAgeMs
    },
    close: () => (closing ??= close()),
  }
}

function closedFault(): Fault {
  return new Fault('SPOOL_IO', 'the spool is closed')
}
