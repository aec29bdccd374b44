/**
 * Reads the reply of XREADGROUP from its bytes (RESP2): the entries of one stream.
 *
 * A record's fields come in a known order (record.ts), so their values are found by position: no buffers for names,
 * none for values that become strings anyway. An entry with other fields is read as a list of them.
 * The bytes of a record's body are not copied.
 */
import { createRecordReader, type EventRecord, FIELD_NAMES, OPTIONAL_FIELD_NAMES } from '../record.ts'
import type { ReplySink } from '../redis/divert.ts'
import type { DeliveredEntry } from './reclaim.ts'

/** A delivered entry; with its record, when that could be read. */
export type ReadEntry =
  | (DeliveredEntry & { readonly record?: undefined })
  | { readonly streamId: string; readonly record: EventRecord }

export interface EntryReader extends ReplySink {
  /** Forgets what came of a reply that never got to its end. */
  reset(): void
  /** The entries since the last call, in their order. Complete when `write` has returned true. */
  take(): ReadEntry[]
}

const CR = 0x0d
const LF = 0x0a
const ZERO = 0x30
const LIST = 0x2a
const STRING = 0x24
const MINUS = 0x2d
/** What a length says of a null. */
const NONE = -1
/** The bytes end before what is read does. */
const SHORT = -2
const NO_BYTES = Buffer.alloc(0)
/** `$2\r\nid\r\n` for the field `id`, and so on: those that every record has, then those that some have. */
const WRITTEN_NAMES = [...FIELD_NAMES, ...OPTIONAL_FIELD_NAMES].map((name) =>
  Buffer.from(`$${name.length}\r\n${name}\r\n`),
)
const ALWAYS = FIELD_NAMES.length
const AT_MOST = WRITTEN_NAMES.length

/** For any number of replies, one after the other. */
export function createEntryReader(): EntryReader {
  const records = createRecordReader()
  /** Where the values of an entry begin and end. */
  const places = new Int32Array(2 * AT_MOST)
  let entries: ReadEntry[] = []
  /** What has come of the reply and was not read yet. */
  let bytes: Buffer = NO_BYTES
  let at = 0
  /** Chunks behind `bytes`, until there are enough of them. */
  let later: Buffer[] = []
  let laterBytes = 0
  /** How many bytes there must be before it is worth reading on. */
  let needed = 0
  /** Entries still to come; undefined before the reply's head was read. */
  let left: number | undefined

  /** Reads `*12\r\n` or `$12\r\n`: the length. */
  const length = (type: number): number => {
    let i = at
    const end = bytes.length
    if (i >= end) return short(end + 1)
    if (bytes[i++] !== type) throw wrong()
    if (i < end && bytes[i] === MINUS) {
      if (i + 4 > end) return short(i + 4)
      at = i + 4 // -1\r\n
      return NONE
    }
    let number = 0
    for (; i < end; i++) {
      const byte = bytes[i] as number
      if (byte === CR) {
        if (i + 2 > end) return short(i + 2)
        if (bytes[i + 1] !== LF) throw wrong()
        at = i + 2
        return number
      }
      if (byte < ZERO || byte > ZERO + 9) throw wrong()
      number = number * 10 + byte - ZERO
    }
    return short(end + 1)
  }
  const short = (atLeast: number): typeof SHORT => {
    needed = atLeast
    return SHORT
  }
  const wrong = () => new Error('the reply of XREADGROUP is not what the protocol says')

  /** Reads one string: puts the place at which it ends, without its line end, behind `at`. Its beginning is returned. */
  let stringEnd = 0
  const string = (): number => {
    const size = length(STRING)
    if (size < 0) return size
    const begin = at
    stringEnd = begin + size
    if (stringEnd + 2 > bytes.length) return short(stringEnd + 2)
    at = stringEnd + 2
    return begin
  }

  /** `*1\r\n*2\r\n$14\r\nwebhook-events\r\n*100\r\n` */
  const head = (): boolean => {
    const begun = at
    const streams = length(LIST)
    if (streams !== SHORT && streams !== 1) throw wrong()
    if (streams === SHORT || length(LIST) === SHORT || string() === SHORT) {
      at = begun
      return false
    }
    const count = length(LIST)
    if (count === SHORT) {
      at = begun
      return false
    }
    left = Math.max(0, count)
    return true
  }

  /** The values of a record's so many fields in their order; SHORT, or NONE when these are other fields. */
  const values = (count: number): number => {
    let left = count
    for (let field = 0; field < AT_MOST; field++) {
      const name = WRITTEN_NAMES[field] as Buffer
      const found = left === 0 ? 0 : begins(name)
      if (found === SHORT) return SHORT
      if (found === 0) {
        if (field < ALWAYS) return NONE
        places[2 * field] = places[2 * field + 1] = 0
        continue
      }
      at += name.length
      const begin = string()
      if (begin < 0) return begin
      places[2 * field] = begin
      places[2 * field + 1] = stringEnd
      left--
    }
    return left === 0 ? 0 : NONE
  }
  /** 1 when these bytes come next, 0 when others do, or SHORT. */
  const begins = (expected: Buffer): number => {
    const end = at + expected.length
    const there = Math.min(end, bytes.length)
    for (let i = 0; at + i < there; i++) if (bytes[at + i] !== expected[i]) return 0
    return end > bytes.length ? short(end) : 1
  }

  const list = (count: number): Buffer[] | undefined => {
    const fields: Buffer[] = []
    for (let i = 0; i < count; i++) {
      const begin = string()
      if (begin === SHORT) return undefined
      fields.push(begin === NONE ? NO_BYTES : bytes.subarray(begin, stringEnd))
    }
    return fields
  }

  /** Reads one entry; undefined (and nothing is read) when it is not there as a whole. */
  const entry = (): ReadEntry | undefined => {
    const begun = at
    const parts = length(LIST)
    if (parts !== SHORT && parts !== 2) throw wrong()
    const idAt = parts === SHORT ? SHORT : string()
    if (idAt < 0) {
      at = begun
      return undefined
    }
    const streamId = bytes.toString('latin1', idAt, stringEnd)
    const count = length(LIST)
    if (count === NONE) return { streamId, fields: null }
    const fieldsAt = at
    if (count >= 2 * ALWAYS && count <= 2 * AT_MOST && count % 2 === 0) {
      const found = values(count / 2)
      if (found === 0) {
        const record = records.read(bytes, places)
        if (record !== undefined) return { streamId, record }
      }
      if (found === SHORT) {
        at = begun
        return undefined
      }
      at = fieldsAt
    }
    const fields = count === SHORT ? undefined : list(count)
    if (fields !== undefined) return { streamId, fields }
    at = begun
    return undefined
  }

  const gather = (chunk: Buffer): boolean => {
    if (bytes.length === at && laterBytes === 0) {
      bytes = chunk
      at = 0
      return true
    }
    later.push(chunk)
    laterBytes += chunk.length
    // A body of megabytes comes in hundreds of chunks: they are joined once.
    if (bytes.length + laterBytes < needed) return false
    bytes = Buffer.concat([at === 0 ? bytes : bytes.subarray(at), ...later])
    at = 0
    later = []
    laterBytes = 0
    return true
  }

  return {
    reset() {
      entries = []
      bytes = NO_BYTES
      at = 0
      later = []
      laterBytes = 0
      left = undefined
    },
    write(chunk) {
      if (!gather(chunk)) return false
      needed = 0
      if (left === undefined && !head()) return false
      while ((left as number) > 0) {
        const read = entry()
        if (read === undefined) return false
        entries.push(read)
        left = (left as number) - 1
      }
      if (at !== bytes.length) throw wrong()
      left = undefined
      bytes = NO_BYTES
      at = 0
      return true
    },
    take() {
      const taken = entries
      entries = []
      return taken
    },
  }
}
