/**
 * A bounded memory of records, oldest out first, as bytes in one buffer.
 *
 * Keeping the records as objects cost 10 µs an event: each survived long enough to be copied by the garbage collector
 * twice. Here an event is written into memory that was there before, and leaves nothing to collect.
 *
 *   entry = u8 number of values, then for each: u8 kind (a string, a buffer), u32 bytes, the bytes (strings in UTF-8)
 */
import type { FieldList } from '@weir/core/record'

export interface RingEntry {
  /** Position in the order of all that were ever pushed. */
  readonly index: number
  /** '' when Redis said only that it knows the event. */
  readonly streamId: string
  /** Which connection acknowledged it. */
  readonly connection: number
}

export interface Ring {
  /** Entries that are there and not dropped. */
  readonly size: number
  /** Bytes between the oldest and the newest. */
  readonly bytes: number
  /** Adds a record, making room if need be. False when it is too large, or when the oldest may not go (see `pinned`). */
  push(fields: FieldList, streamId: string, connection: number, at: number): boolean
  /** Lets everything go that is older than this. */
  expire(before: number): void
  /** While true, nothing leaves, neither of age nor to make room: the old ones are still to be looked at. */
  pinned: boolean
  /** Those of connections before this one, oldest first. */
  before(connection: number): RingEntry[]
  /** The record of an entry; undefined when it is gone. */
  fields(index: number): FieldList | undefined
  drop(index: number): void
  setConnection(index: number, connection: number): void
}

/** Columns of the index. */
const OFFSET = 0
const LENGTH = 1
const AT = 2
const CONNECTION = 3
const SID_MS = 4
const SID_SEQ = 5
const COLUMNS = 6

/** Stands in SID_MS where there is no stream id, and in LENGTH for a dropped entry. */
const NONE = -1
const DROPPED = 0

/** Bytes before a value: its kind and its length. */
const VALUE_HEAD = 5
const STRING = 0
const BUFFER = 1
/** UTF-16 units */
const SHORT = 64
const ASCII_END = 0x80

const FIRST_BYTES = 1024 * 1024
const FIRST_ENTRIES = 1024

/** @param maxBytes memory for the records; grows to it as needed */
export function createRing(maxBytes: number): Ring {
  let store = Buffer.allocUnsafeSlow(Math.min(maxBytes, FIRST_BYTES))
  let index = new Float64Array(FIRST_ENTRIES * COLUMNS)
  let capacity = FIRST_ENTRIES
  /** Entries `first` (inclusive) to `next` (exclusive) are there; their rows are at `i % capacity`. */
  let first = 0
  let next = 0
  let dropped = 0
  /** Where the next entry is written. */
  let writeAt = 0
  let pinned = false

  const row = (i: number): number => (i % capacity) * COLUMNS
  const column = (i: number, which: number): number => index[row(i) + which] as number
  const oldestOffset = (): number => column(first, OFFSET)

  /** Room for `need` bytes in one piece, from `writeAt` or from the beginning; false when it is not there. */
  function place(need: number): boolean {
    if (first === next) {
      writeAt = 0
      return need <= store.length
    }
    const oldest = oldestOffset()
    if (writeAt > oldest) {
      if (need <= store.length - writeAt) return true
      if (need >= oldest) return false
      writeAt = 0
      return true
    }
    return need < oldest - writeAt
  }

  function letGo(): void {
    if (column(first, LENGTH) === DROPPED) dropped--
    first++
  }

  /** A larger store with the same entries in one run. */
  function grow(need: number): void {
    const size = Math.min(maxBytes, Math.max(store.length * 2, need * 2))
    const larger = Buffer.allocUnsafeSlow(size)
    let at = 0
    for (let i = first; i < next; i++) {
      const length = column(i, LENGTH)
      store.copy(larger, at, column(i, OFFSET), column(i, OFFSET) + length)
      index[row(i) + OFFSET] = at
      at += length
    }
    store = larger
    writeAt = at
  }

  function growIndex(): void {
    const larger = new Float64Array(capacity * 2 * COLUMNS)
    for (let i = first; i < next; i++) {
      const to = (i % (capacity * 2)) * COLUMNS
      for (let c = 0; c < COLUMNS; c++) larger[to + c] = column(i, c)
    }
    index = larger
    capacity *= 2
  }

  function makeRoom(need: number): boolean {
    if (need > maxBytes) return false
    while (!place(need)) {
      if (store.length < maxBytes) grow(need)
      else if (pinned) return false
      else letGo()
    }
    return true
  }

  return {
    get size() {
      return next - first - dropped
    },
    get bytes() {
      if (first === next) return 0
      const used = writeAt - oldestOffset()
      return used > 0 ? used : store.length + used
    },
    get pinned() {
      return pinned
    },
    set pinned(value) {
      pinned = value
    },
    push(fields, streamId, connection, at) {
      let most = 1
      for (let i = 0; i < fields.length; i++) {
        const value = fields[i] as string | Buffer
        // At most three bytes for each UTF-16 unit.
        most += VALUE_HEAD + (typeof value === 'string' ? value.length * 3 : value.length)
      }
      if (!makeRoom(most)) return false
      const start = writeAt
      const end = writeFields(store, start, fields)
      if (next - first === capacity) growIndex()
      const to = row(next)
      const dash = streamId.indexOf('-')
      index[to + OFFSET] = start
      index[to + LENGTH] = end - start
      index[to + AT] = at
      index[to + CONNECTION] = connection
      index[to + SID_MS] = dash < 0 ? NONE : Number(streamId.slice(0, dash))
      index[to + SID_SEQ] = dash < 0 ? NONE : Number(streamId.slice(dash + 1))
      next++
      writeAt = end
      return true
    },
    expire(before) {
      if (pinned) return
      while (first < next && column(first, AT) < before) letGo()
    },
    before(connection) {
      const entries: RingEntry[] = []
      for (let i = first; i < next; i++) {
        if (column(i, LENGTH) === DROPPED || column(i, CONNECTION) >= connection) continue
        const ms = column(i, SID_MS)
        const streamId = ms === NONE ? '' : `${ms}-${column(i, SID_SEQ)}`
        entries.push({ index: i, streamId, connection: column(i, CONNECTION) })
      }
      return entries
    },
    fields(at) {
      if (at < first || at >= next || column(at, LENGTH) === DROPPED) return undefined
      return readFields(store, column(at, OFFSET))
    },
    drop(at) {
      if (at < first || at >= next || column(at, LENGTH) === DROPPED) return
      index[row(at) + LENGTH] = DROPPED
      dropped++
    },
    setConnection(at, connection) {
      if (at >= first && at < next) index[row(at) + CONNECTION] = connection
    },
  }
}

/** Where the next entry may begin. */
function writeFields(store: Buffer, start: number, fields: FieldList): number {
  let at = start
  store[at++] = fields.length
  for (let i = 0; i < fields.length; i++) {
    const value = fields[i] as string | Buffer
    const from = at + VALUE_HEAD
    let end: number
    if (typeof value === 'string') end = writeText(store, from, value)
    else {
      store.set(value, from)
      end = from + value.length
    }
    store[at] = typeof value === 'string' ? STRING : BUFFER
    const length = end - from
    store[at + 1] = length
    store[at + 2] = length >>> 8
    store[at + 3] = length >>> 16
    store[at + 4] = length >>> 24
    at = end
  }
  return at
}

/** Most values are short and ASCII; those are written without leaving JavaScript, which takes a third of the time. */
function writeText(store: Buffer, start: number, text: string): number {
  if (text.length > SHORT) return start + store.write(text, start)
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit >= ASCII_END) return start + store.write(text, start)
    store[start + i] = unit
  }
  return start + text.length
}

function readFields(store: Buffer, start: number): FieldList {
  const count = store[start] as number
  const fields: (string | Buffer)[] = []
  let at = start + 1
  for (let i = 0; i < count; i++) {
    const from = at + VALUE_HEAD
    const end = from + store.readUInt32LE(at + 1)
    // A copy: the store's bytes will be another event's.
    fields.push(
      store[at] === BUFFER ? Buffer.from(store.subarray(from, end)) : store.toString('utf8', from, end),
    )
    at = end
  }
  return fields
}
