/**
 * The bytes of a segment (all integers little-endian; docs/spool.md shows the same table).
 *
 *   segment = header record*
 *   header  = "WEIRSPOL" u32 version, u32 header seed, u32 payload seed, u32 CRC-32 of the 20 bytes before it
 *   record  = u32 payload length, u32 CRC-32 of the payload, u64 append time (ms since the epoch),
 *             u32 CRC-32 of the 16 bytes before it, payload
 *
 * A record's header has its own checksum, so that "the write never finished" (a sound header that asks for more
 * bytes than there are) and "the bytes changed afterwards" can be told apart: the first was never acknowledged.
 * Both checksums start from random seeds, so that record-shaped bytes *inside* a payload, which a sender could
 * choose, are never taken for a record when the scan has to find its way again after damage.
 */
import { crc32 } from 'node:zlib'

const MAGIC = Buffer.from('WEIRSPOL', 'latin1')
export const FORMAT_VERSION = 1
/** Bytes before a segment's first record. */
export const SEGMENT_HEADER_BYTES = 24
/** Bytes that a record takes beside its payload. */
export const RECORD_HEADER_BYTES = 20
/** The longest payload, bytes; a length above it is damage. */
export const MAX_PAYLOAD_BYTES = 256 * 1024 * 1024

/** Start values of the two checksums, the same for all segments of one spool directory. */
export interface Seeds {
  readonly header: number
  readonly payload: number
}

export type SegmentHeader =
  | { readonly kind: 'sound'; readonly seeds: Seeds }
  | { readonly kind: 'foreign-version'; readonly version: number }
  | { readonly kind: 'damaged' }

/** The first bytes of a segment. */
export function encodeSegmentHeader(seeds: Seeds): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES)
  MAGIC.copy(bytes)
  bytes.writeUInt32LE(FORMAT_VERSION, 8)
  bytes.writeUInt32LE(seeds.header, 12)
  bytes.writeUInt32LE(seeds.payload, 16)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 20)), 20)
  return bytes
}

/** Reads what `encodeSegmentHeader` wrote; fewer bytes than a header are `damaged`. */
export function decodeSegmentHeader(bytes: Buffer): SegmentHeader {
  if (bytes.length < SEGMENT_HEADER_BYTES || !bytes.subarray(0, 8).equals(MAGIC)) return { kind: 'damaged' }
  if (crc32(bytes.subarray(0, 20)) !== bytes.readUInt32LE(20)) return { kind: 'damaged' }
  const version = bytes.readUInt32LE(8)
  if (version !== FORMAT_VERSION) return { kind: 'foreign-version', version }
  return { kind: 'sound', seeds: { header: bytes.readUInt32LE(12), payload: bytes.readUInt32LE(16) } }
}

/** The bytes that go before `payload` on disk. `at` is ms since the epoch. */
export function encodeRecordHeader(payload: Buffer, at: number, seeds: Seeds): Buffer {
  const bytes = Buffer.allocUnsafe(RECORD_HEADER_BYTES)
  bytes.writeUInt32LE(payload.length, 0)
  bytes.writeUInt32LE(crc32(payload, seeds.payload), 4)
  bytes.writeBigUInt64LE(BigInt(Math.trunc(at)), 8)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 16), seeds.header), 16)
  return bytes
}

/** A range of a segment's bytes, `to` exclusive. */
export interface ByteRange {
  readonly from: number
  readonly to: number
}

export interface StoredRecord {
  /** Offset in the segment just behind the record: the drain position once it is released. */
  readonly end: number
  /** When it was appended, ms since the epoch. */
  readonly at: number
  /** A view into the scanned bytes. */
  readonly payload: Buffer
}

export interface Scan {
  /** Every sound record, in the order of the file. */
  readonly records: readonly StoredRecord[]
  /** What lies between them and is not a record, in order, never adjacent. */
  readonly damaged: readonly ByteRange[]
  /** A record at the very end whose write never finished; it cannot have been acknowledged. */
  readonly torn: ByteRange | undefined
}

/** Reads the records in `bytes`, which begin at offset `base` of their segment, at a record's first byte. */
export function scanRecords(bytes: Buffer, base: number, seeds: Seeds): Scan {
  const records: StoredRecord[] = []
  const damaged: { from: number; to: number }[] = []
  let torn: ByteRange | undefined
  const damage = (from: number, to: number): void => {
    const before = damaged.at(-1)
    if (before?.to === base + from) before.to = base + to
    else damaged.push({ from: base + from, to: base + to })
  }
  let position = 0
  while (position < bytes.length) {
    if (bytes.length - position < RECORD_HEADER_BYTES) {
      torn = { from: base + position, to: base + bytes.length }
      break
    }
    const length = soundLength(bytes, position, seeds)
    if (length === undefined) {
      const next = findRecord(bytes, position + 1, seeds) ?? bytes.length
      damage(position, next)
      position = next
      continue
    }
    const end = position + RECORD_HEADER_BYTES + length
    if (end > bytes.length) {
      torn = { from: base + position, to: base + bytes.length }
      break
    }
    const payload = bytes.subarray(position + RECORD_HEADER_BYTES, end)
    if (crc32(payload, seeds.payload) === bytes.readUInt32LE(position + 4))
      records.push({ end: base + end, at: Number(bytes.readBigUInt64LE(position + 8)), payload })
    else damage(position, end)
    position = end
  }
  return { records, damaged, torn }
}

/** The payload length that a record's header at `position` states, or undefined where no sound header is. */
function soundLength(bytes: Buffer, position: number, seeds: Seeds): number | undefined {
  const length = bytes.readUInt32LE(position)
  if (length === 0 || length > MAX_PAYLOAD_BYTES) return undefined
  const header = bytes.subarray(position, position + 16)
  return crc32(header, seeds.header) === bytes.readUInt32LE(position + 16) ? length : undefined
}

/**
 * The next offset, from `from` on, where a whole sound record stands. Here the payload must be right too: a
 * header that matches by chance would otherwise swallow real records with its made-up length.
 */
function findRecord(bytes: Buffer, from: number, seeds: Seeds): number | undefined {
  for (let position = from; position + RECORD_HEADER_BYTES < bytes.length; position++) {
    // Cheap test first: most offsets of a damaged range state an impossible length.
    const stated = bytes.readUInt32LE(position)
    if (stated === 0 || stated > bytes.length - position - RECORD_HEADER_BYTES) continue
    if (soundLength(bytes, position, seeds) === undefined) continue
    const start = position + RECORD_HEADER_BYTES
    const checksum = crc32(bytes.subarray(start, start + stated), seeds.payload)
    if (checksum === bytes.readUInt32LE(position + 4)) return position
  }
  return undefined
}
