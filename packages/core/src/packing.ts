/**
 * Packs an event's kept headers and raw body into one zstd frame, and opens it again.
 *
 * Inside the frame, which the record's `enc` tells:
 *   zstd     the headers as one line of JSON (`[["content-type","application/json"],…]`), a newline, the raw body
 *   folded   the same line, then the body without the names that recur in it (folding/fold.ts), for tools that have such
 * Together, because headers repeat from event to event and then cost next to nothing. The content without its frame is
 * `plain` and `folded-plain`: so many events lie in one larger frame (the warm tier of contexts).
 */
import { ADAPTERS } from './adapters/table.ts'
import type { DictionarySet } from './dictionaries.ts'
import { DEFAULT_TENANT, type Header } from './event.ts'
import { Fault, type FaultCode, isFault } from './faults.ts'
import { createFolder, type Folder } from './folding/fold.ts'
import { createFrameMaker, createFrameOpener } from './frames.ts'
import { NO_KEYRING, type Opener } from './keyring/keyring.ts'
import type { EventRecord, Frameless } from './record.ts'
import { openBody, type UnsealedBody } from './sealing.ts'

export interface UnpackedBody {
  readonly headers: readonly Header[]
  readonly body: Buffer
}

export interface Packer {
  /** Never throws for valid input. The frame's dictionary is that of tenant and tool, else the tool's, where there is one. */
  pack(tool: string, headers: readonly Header[], body: Buffer, tenant?: string): UnsealedBody
}

/** What is unpacked of a record. */
export type Packed = Pick<
  EventRecord,
  'id' | 'tenant' | 'tool' | 'type' | 'receivedAt' | 'encoding' | 'dictionary' | 'packed'
>

export interface Unpacker {
  /**
   * Into memory of its own. Throws Fault DICTIONARY_MISSING or KEY_MISSING (fetch it, then try again), KEY_DESTROYED,
   * RECORD_NEWER or RECORD_CORRUPT.
   */
  unpack(record: Packed): UnpackedBody
  /** The content without its frame and seal, in memory of its own. Throws as `unpack` does; what it holds is not looked at. */
  unframe(record: Packed): { readonly encoding: Frameless; readonly bytes: Buffer }
  /**
   * Into memory that is there already; the body then stands in `target` from `start` to `end`. undefined when it does not
   * fit. Throws as `unpack` does. (Buffers of their own cost the consumer a tenth of its time, most of it later.)
   */
  unpackInto(
    record: Packed,
    target: Buffer,
  ): { readonly headers: readonly Header[]; readonly start: number; readonly end: number } | undefined
}

/** Is this what an unpacker says of a record that it cannot open? */
export function isUnreadable(error: unknown): error is Fault {
  return isFault(error) && UNREADABLE.has(error.code)
}

const UNREADABLE: ReadonlySet<FaultCode> = new Set([
  'DICTIONARY_MISSING',
  'KEY_MISSING',
  'KEY_DESTROYED',
  'RECORD_NEWER',
  'RECORD_CORRUPT',
] as const)

/** What a packer keeps for the next event; a larger one has memory of its own, for once. */
const SCRATCH_BYTES = 256 * 1024

function isFrameless(encoding: string): encoding is Frameless {
  return encoding === 'plain' || encoding === 'folded-plain'
}

function isFolded(encoding: string): boolean {
  return encoding === 'folded' || encoding === 'folded-plain'
}

/** What is packed of an event. */
export interface Content {
  readonly encoding: 'zstd' | 'folded'
  /** In memory that the next call overwrites. */
  readonly bytes: Buffer
}

export type ContentMaker = (tool: string, headers: readonly Header[], body: Buffer) => Content

/** Puts an event's headers and body together as they are packed. */
export function createContentMaker(): ContentMaker {
  let folder: Folder | undefined
  // Memory that is there already, instead of a new buffer for each event: 14.4 µs against 15.4.
  const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
  return (tool, headers, body) => {
    const head = `${JSON.stringify(headers)}\n`
    const names = ADAPTERS.get(tool)?.recurringNames
    if (names !== undefined) {
      folder ??= createFolder()
      const folded = folder.fold(head, body, names)
      if (folded !== undefined) return { encoding: 'folded', bytes: folded }
    }
    const most = head.length * 3 + body.length
    const target = most > scratch.length ? Buffer.allocUnsafeSlow(most) : scratch
    const headBytes = target.write(head, 0)
    return { encoding: 'zstd', bytes: target.subarray(0, headBytes + body.copy(target, headBytes)) }
  }
}

/** @param level zstd level, 1–19 */
export function createPacker(dictionaries: DictionarySet, level: number): Packer {
  const frame = createFrameMaker(level)
  const contentOf = createContentMaker()
  return {
    pack(tool, headers, body, tenant = DEFAULT_TENANT) {
      const dictionary = dictionaries.forEvent(tenant, tool)
      const { encoding, bytes } = contentOf(tool, headers, body)
      return {
        encoding,
        dictionary: dictionary?.id ?? '',
        packed: frame(bytes, dictionary),
      }
    },
  }
}

export interface UnpackerOptions {
  /** The largest content that a frame may claim to hold. */
  readonly maxBytes?: number
  /** For what is encrypted. */
  readonly opener?: Opener
}

export function createUnpacker(dictionaries: DictionarySet, options: UnpackerOptions = {}): Unpacker {
  const { maxBytes = 64 * 1024 * 1024, opener = NO_KEYRING } = options
  const frames = createFrameOpener(dictionaries, maxBytes)
  const sizeOf = ({ id, encoding, packed }: Packed): number => {
    if (isFrameless(encoding)) return packed.length
    if (encoding !== 'zstd' && encoding !== 'folded') {
      throw new Fault(
        'RECORD_NEWER',
        `event ${id} is packed as ${encoding}, which this version does not know; upgrade this program, or go back with the gateways`,
      )
    }
    const size = frames.sizeOf(packed)
    if (size === undefined)
      throw corrupt(id, `its body is not one zstd frame with a checksum of at most ${maxBytes} bytes`)
    return size
  }
  /** @param target as long as the content is */
  const fill = ({ id, encoding, dictionary, packed }: Packed, target: Buffer): void => {
    if (isFrameless(encoding)) {
      packed.copy(target)
      return
    }
    const wrong = frames.fill(packed, dictionary, target)
    if (wrong !== undefined) throw corrupt(id, `its body ${wrong}`)
  }
  let folder: Folder | undefined
  /** The body is in memory that the next call overwrites. */
  const unfold = (record: Packed): UnpackedBody => {
    const { id } = record
    folder ??= createFolder()
    const { input } = folder
    const size = sizeOf(record)
    if (size > input.length) throw corrupt(id, `its folded body has ${size} bytes`)
    const content = input.subarray(0, size)
    fill(record, content)
    const newline = content.indexOf(NEWLINE)
    const headers = headersOf(id, content, newline)
    const body = folder.unfold(newline + 1, size)
    if (body === undefined || body.length > maxBytes) throw corrupt(id, 'its body cannot be unfolded')
    return { headers, body }
  }
  return {
    unpack(stored) {
      const record = openBody(opener, stored)
      if (isFolded(record.encoding)) {
        const { headers, body } = unfold(record)
        return { headers, body: Buffer.from(body) }
      }
      const content = Buffer.allocUnsafe(sizeOf(record))
      fill(record, content)
      const newline = content.indexOf(NEWLINE)
      return { headers: headersOf(record.id, content, newline), body: content.subarray(newline + 1) }
    },
    unframe(stored) {
      const record = openBody(opener, stored)
      const content = Buffer.allocUnsafe(sizeOf(record))
      fill(record, content)
      return { encoding: isFolded(record.encoding) ? 'folded-plain' : 'plain', bytes: content }
    },
    unpackInto(stored, target) {
      const record = openBody(opener, stored)
      if (isFolded(record.encoding)) {
        const { headers, body } = unfold(record)
        if (body.length > target.length) return undefined
        return { headers, start: 0, end: body.copy(target) }
      }
      const end = sizeOf(record)
      if (end > target.length) return undefined
      const content = target.subarray(0, end)
      fill(record, content)
      const newline = content.indexOf(NEWLINE)
      return { headers: headersOf(record.id, content, newline), start: newline + 1, end }
    },
  }
}

const NEWLINE = 0x0a

function headersOf(id: string, content: Buffer, newline: number): readonly Header[] {
  if (newline < 0) throw corrupt(id, 'its body has no header line')
  let headers: unknown
  try {
    headers = JSON.parse(content.toString('utf8', 0, newline))
  } catch (cause) {
    throw corrupt(id, 'its header line is not JSON', cause)
  }
  if (!isHeaderList(headers)) throw corrupt(id, 'its header line is not a list of names and values')
  return headers
}

function corrupt(id: string, what: string, cause?: unknown): Fault {
  return new Fault('RECORD_CORRUPT', `event ${id}: ${what}`, { cause })
}

function isHeaderList(value: unknown): value is readonly Header[] {
  return (
    Array.isArray(value) &&
    value.every(
      (pair: unknown) =>
        Array.isArray(pair) &&
        pair.length === 2 &&
        typeof pair[0] === 'string' &&
        typeof pair[1] === 'string',
    )
  )
}
