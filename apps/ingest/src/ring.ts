/**
 * A bounded memory of records, oldest out first, as bytes in one buffer.
 *
 * Keeping the records as objects cost 10 µs an event: each survived long enough to be copied by the garbage collector
 * twice. Here an event is written into memory that was there before, and leaves nothing to collect.
 *
 *   entry = u32 length of the text, text, bytes of the buffers in turn
 *   text  = for each value its length, `b` before a buffer's, comma-separated; `;`; the strings in turn
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
  /** While true, nothing leaves to make room: somebody is looking at the old ones. */
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
      let lengths = ''
      let strings = ''
      let bufferBytes = 0
      for (let i = 0; i < fields.length; i++) {
        const value = fields[i] as string | Buffer
        if (typeof value === 'string') {
          lengths += `${value.length},`
          strings += value
        } else {
          lengths += `b${value.length},`
          bufferBytes += value.length
        }
      }
      const text = `${lengths};${strings}`
      // At most three bytes for each UTF-16 unit.
      if (!makeRoom(4 + text.length * 3 + bufferBytes)) return false
      const start = writeAt
      const textBytes = store.write(text, start + 4)
      store.writeUInt32LE(textBytes, start)
      let end = start + 4 + textBytes
      for (let i = 0; i < fields.length; i++) {
        const value = fields[i] as string | Buffer
        if (typeof value !== 'string') end += value.copy(store, end)
      }
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

function readFields(store: Buffer, start: number): FieldList {
  const textEnd = start + 4 + store.readUInt32LE(start)
  const text = store.toString('utf8', start + 4, textEnd)
  const split = text.indexOf(';')
  const fields: (string | Buffer)[] = []
  let stringAt = split + 1
  let bufferAt = textEnd
  for (const length of text.slice(0, split).split(',').slice(0, -1)) {
    if (length.startsWith('b')) {
      const end = bufferAt + Number(length.slice(1))
      // A copy: the store's bytes will be another event's.
      fields.push(Buffer.from(store.subarray(bufferAt, end)))
      bufferAt = end
    } else {
      const end = stringAt + Number(length)
      fields.push(text.slice(stringAt, end))
      stringAt = end
    }
  }
  return fields
}
