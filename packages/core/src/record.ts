/**
 * The event record: one stream entry, binary-safe, the same fields in the same order in nearly every entry (Redis
 * stores the names of equal field lists only once per stream node).
 *
 *   v     record version, '1'; of a later one an event waits for those who know it, as long as the other fields say what they do here
 *   id    event id
 *   tenant, tool, type
 *   at    received at the gateway, ms since the epoch
 *   enc   'folded', 'zstd', 'plain' or 'folded-plain': how `body` is packed; 'sealed-…': and then encrypted (sealing.ts); newer versions
 *         may know others
 *   dict  id of the zstd dictionary, or ''
 *   body  kept headers and raw body, packed together (see packing.ts and ADR 0002)
 *
 * and, where they say something (each field costs Redis half a microsecond, ADR 0016):
 *
 *   k     evidence locator, 16 bytes; not there when it is the id's own bytes (derived ids)
 *   tp    traceparent of a traced event
 *   n     attempts made so far; dead letters have it
 */
import type { Dictionary } from './dictionaries.ts'
import { EVENT_ID_PATTERN, type EventId, eventIdBytes, NAME_PATTERN, type WebhookEvent } from './event.ts'
import { Fault, isFault } from './faults.ts'

export const RECORD_VERSION = '1'

/** Content without a frame of its own (packing.ts). */
export type Frameless = 'plain' | 'folded-plain'
export type Packing = 'folded' | 'zstd' | Frameless
export type Encoding = Packing | `sealed-${Packing}`

export interface EventRecord {
  readonly id: EventId
  readonly tenant: string
  readonly tool: string
  readonly type: string
  /** ms since the epoch */
  readonly receivedAt: number
  readonly locator: Buffer
  readonly derived: boolean
  /** An {@link Encoding}, or one of a newer version; `v2` for a record of version 2, whatever that one calls it. */
  readonly encoding: string
  readonly dictionary: Dictionary['id'] | ''
  readonly packed: Buffer
  readonly traceparent: string
  readonly attempts: number
}

export type FieldList = readonly (string | Buffer)[]

/** What packing.ts makes of an event's headers and body. */
export interface PackedBody {
  readonly encoding: Encoding
  readonly dictionary: string
  readonly packed: Buffer
}

const NO_LOCATOR = Buffer.alloc(0)
const DICTIONARY_ID = /^(?:[0-9a-f]{16})?$/
const ENCODING = /^[a-z][a-z0-9-]{0,15}$/
/** Of a later version than ours. */
const LATER_VERSION = /^(?:[2-9]|[1-9]\d{1,3})$/
/** Up to 15 digits: surely a safe integer. */
const WHOLE_NUMBER = /^\d{1,15}$/

/** The XADD field/value list of an event. */
export function encodeRecord(event: WebhookEvent, body: PackedBody): FieldList {
  const fields = [
    'v',
    RECORD_VERSION,
    'id',
    event.id,
    'tenant',
    event.tenant,
    'tool',
    event.tool,
    'type',
    event.type,
    'at',
    String(event.receivedAt),
    'enc',
    body.encoding,
    'dict',
    body.dictionary,
    'body',
    body.packed,
  ]
  if (!event.derived) fields.push('k', event.locator)
  if (event.traceparent !== '') fields.push('tp', event.traceparent)
  return fields
}

/** The fields that every record has, in the order in which they are written. */
export const FIELD_NAMES = ['v', 'id', 'tenant', 'tool', 'type', 'at', 'enc', 'dict', 'body'] as const
/** Those that it has where they say something: behind the others, in this order. */
export const OPTIONAL_FIELD_NAMES = ['k', 'tp', 'n'] as const

type ValuesOf<Names extends readonly string[]> = { readonly [Place in keyof Names]: string | Buffer }
/** A record that no attempt was made at yet: the values of {@link FIELD_NAMES}, then those of `k` and `tp`, '' where they are not there. */
export type RecordValues = ValuesOf<readonly [...typeof FIELD_NAMES, 'k', 'tp']>

/** The values of a record as encodeRecord writes it; undefined for any other. */
export function usualValues(fields: FieldList): RecordValues | undefined {
  if (fields.length < 2 * FIELD_NAMES.length) return undefined
  const values: (string | Buffer)[] = []
  for (let i = 0; i < FIELD_NAMES.length; i++) {
    if (nameAt(fields, i) !== FIELD_NAMES[i]) return undefined
    values.push(fields[2 * i + 1] as string | Buffer)
  }
  let next = FIELD_NAMES.length
  for (const name of ['k', 'tp']) {
    if (nameAt(fields, next) === name) values.push(fields[2 * next++ + 1] as string | Buffer)
    else values.push('')
  }
  return fields.length === 2 * next ? (values as unknown as RecordValues) : undefined
}

function nameAt(fields: FieldList, index: number): string | undefined {
  const name = fields[2 * index]
  return typeof name === 'string' ? name : name?.toString('latin1')
}

/** A record's values as they were written. */
interface WrittenRecord {
  version: string
  id: string
  tenant: string
  tool: string
  type: string
  at: string
  locator: Buffer
  encoding: string
  dictionary: string
  packed: Buffer | undefined
  traceparent: string
  attempts: string
}

/**
 * Reads a field/value list back. Unknown fields are ignored, so that a newer gateway may add some.
 * Throws Fault RECORD_CORRUPT when a needed field is missing or wrong.
 */
export function decodeRecord(fields: FieldList): EventRecord {
  const written: WrittenRecord = {
    version: '',
    id: '',
    tenant: '',
    tool: '',
    type: '',
    at: '',
    locator: NO_LOCATOR,
    encoding: '',
    dictionary: '',
    packed: undefined,
    traceparent: '',
    attempts: '0',
  }
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const value = fields[i + 1] as string | Buffer
    switch (fields[i]?.toString()) {
      case 'v':
        written.version = value.toString()
        break
      case 'id':
        written.id = value.toString()
        break
      case 'tenant':
        written.tenant = value.toString()
        break
      case 'tool':
        written.tool = value.toString()
        break
      case 'type':
        written.type = value.toString()
        break
      case 'at':
        written.at = value.toString()
        break
      case 'k':
        written.locator = Buffer.isBuffer(value) ? value : Buffer.from(value, 'latin1')
        break
      case 'enc':
        written.encoding = value.toString()
        break
      case 'dict':
        written.dictionary = value.toString()
        break
      case 'body':
        written.packed = Buffer.isBuffer(value) ? value : Buffer.from(value, 'latin1')
        break
      case 'tp':
        written.traceparent = value.toString()
        break
      case 'n':
        written.attempts = value.toString()
        break
    }
  }
  return checked(written)
}

export interface RecordReader {
  /**
   * The record whose values stand in these bytes, in the order of {@link FIELD_NAMES} and {@link OPTIONAL_FIELD_NAMES}; undefined
   * when it is corrupt (decodeRecord says how). Its body is not copied.
   * @param places of each value, where it begins and ends; 0 and 0 for a field that is not there
   */
  read(bytes: Buffer, places: Int32Array): EventRecord | undefined
}

/** Values that are nearly always the same are made strings once. */
export function createRecordReader(): RecordReader {
  const version = createMemo()
  const tenant = createMemo()
  const tool = createMemo()
  const type = createMemo()
  const encoding = createMemo()
  const dictionary = createMemo()
  const traceparent = createMemo()
  const attempts = createMemo()
  return {
    read(bytes, places) {
      const begin = (field: number) => places[2 * field] as number
      const end = (field: number) => places[2 * field + 1] as number
      try {
        return checked({
          version: version(bytes, begin(0), end(0)),
          id: bytes.toString('latin1', begin(1), end(1)),
          tenant: tenant(bytes, begin(2), end(2)),
          tool: tool(bytes, begin(3), end(3)),
          type: type(bytes, begin(4), end(4)),
          at: bytes.toString('latin1', begin(5), end(5)),
          encoding: encoding(bytes, begin(6), end(6)),
          dictionary: dictionary(bytes, begin(7), end(7)),
          packed: bytes.subarray(begin(8), end(8)),
          locator: begin(9) === end(9) ? NO_LOCATOR : bytes.subarray(begin(9), end(9)),
          traceparent: traceparent(bytes, begin(10), end(10)),
          attempts: end(11) === 0 ? '0' : attempts(bytes, begin(11), end(11)),
        })
      } catch (error) {
        if (isFault(error, 'RECORD_CORRUPT')) return undefined
        throw error
      }
    },
  }
}

/** Reads strings (UTF-8); the same one as before is not made again. */
function createMemo(): (bytes: Buffer, begin: number, end: number) => string {
  let known: Buffer = NO_LOCATOR
  let text = ''
  return (bytes, begin, end) => {
    const { length } = known
    let same = 0
    if (length === end - begin) while (same < length && bytes[begin + same] === known[same]) same++
    if (same === length && length === end - begin) return text
    known = Buffer.from(bytes.subarray(begin, end))
    text = known.toString()
    return text
  }
}

/** Throws Fault RECORD_CORRUPT for what no record may say. */
function checked(written: WrittenRecord): EventRecord {
  const { version, id, tenant, tool, type, at, locator, encoding, dictionary, packed, attempts } = written
  if (version !== RECORD_VERSION && !LATER_VERSION.test(version))
    throw corrupt(`version ${JSON.stringify(version)}; this program reads ${RECORD_VERSION}`)
  if (!EVENT_ID_PATTERN.test(id)) throw corrupt('it has no event id')
  if (packed === undefined) throw corrupt(`${id} has no body`)
  if (!ENCODING.test(encoding)) throw corrupt(`${id} has encoding ${JSON.stringify(encoding)}`)
  // These become parts of keys, paths and labels: what is stored is not trusted more than what is sent.
  if (!NAME_PATTERN.test(tenant)) throw corrupt(`${id} has tenant ${JSON.stringify(tenant)}`)
  if (!NAME_PATTERN.test(tool)) throw corrupt(`${id} has tool ${JSON.stringify(tool)}`)
  if (!DICTIONARY_ID.test(dictionary)) throw corrupt(`${id} has dictionary ${JSON.stringify(dictionary)}`)
  if (locator.length !== 0 && locator.length !== 16)
    throw corrupt(`${id} has a locator of ${locator.length} bytes`)
  if (!WHOLE_NUMBER.test(at)) throw corrupt(`${id} has no receiving time`)
  if (!WHOLE_NUMBER.test(attempts)) throw corrupt(`${id} has attempts ${JSON.stringify(attempts)}`)
  const derived = locator.length === 0
  return {
    id,
    tenant,
    tool,
    type,
    receivedAt: Number(at),
    locator: derived ? eventIdBytes(id) : locator,
    derived,
    encoding: version === RECORD_VERSION ? encoding : `v${version}`,
    dictionary,
    packed,
    traceparent: written.traceparent,
    attempts: Number(attempts),
  }
}

function corrupt(what: string): Fault {
  return new Fault('RECORD_CORRUPT', `stored record cannot be read: ${what}`)
}

/** A field list as one buffer, for the spool: u32 count, then u32 length and bytes of each value. */
export function freezeFields(fields: FieldList): Buffer {
  const buffers = fields.map((field) => (Buffer.isBuffer(field) ? field : Buffer.from(field)))
  const out = Buffer.allocUnsafe(4 + buffers.reduce((sum, b) => sum + 4 + b.length, 0))
  let offset = out.writeUInt32BE(buffers.length, 0)
  for (const buffer of buffers) {
    offset = out.writeUInt32BE(buffer.length, offset)
    offset += buffer.copy(out, offset)
  }
  return out
}

/** The inverse of {@link freezeFields}. Throws Fault RECORD_CORRUPT when the lengths do not add up. */
export function thawFields(frozen: Buffer): Buffer[] {
  if (frozen.length < 4) throw corrupt('a spooled record is shorter than its header')
  const count = frozen.readUInt32BE(0)
  const fields: Buffer[] = []
  let offset = 4
  for (let i = 0; i < count; i++) {
    if (offset + 4 > frozen.length) throw corrupt('a spooled record ends too early')
    const end = offset + 4 + frozen.readUInt32BE(offset)
    if (end > frozen.length) throw corrupt('a spooled record ends too early')
    fields.push(frozen.subarray(offset + 4, end))
    offset = end
  }
  if (offset !== frozen.length || count % 2 !== 0) throw corrupt('a spooled record has bytes left over')
  return fields
}
