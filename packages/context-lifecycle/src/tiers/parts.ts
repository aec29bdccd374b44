/**
 * Where the events of a context are that its hot lists do not hold. `…:context:<id>:parts` is a hash of
 *
 *   <from>:<count>:warm           a segment in Redis (segment.ts), of the events from number <from> on (0 = the first to arrive)
 *   <from>:<count>:cold           the object in cold storage that holds them: JSON
 *   <from>:<count>:stale:<name>   an object that holds them too, and is not what they are read from any more
 *
 * A context has as many events in parts as its head counts and its log does not hold; warm and cold parts lie one behind the
 * other from 0 up to there, without a gap. A part may be warm and cold at once: then it is read from Redis, and going cold again
 * costs a look at the object. One is deleted only when others hold all of its events (or the context is removed).
 */
import { NAME_PATTERN } from '@weir/core/event'
import { corrupt } from '../head.ts'

/** Some events of a context. */
export interface Range {
  readonly from: number
  readonly count: number
}

export interface Part extends Range {
  /** There is a segment in Redis. */
  readonly warm: boolean
  /** There is an object in cold storage. */
  readonly cold: boolean
}

/** An object in cold storage. */
export interface ObjectRef {
  readonly name: string
  /** Bytes of the object. */
  readonly bytes: number
  /** Bytes of its segment's content. */
  readonly contentBytes: number
  /** Hex SHA-256 of the object. */
  readonly sha256: string
  /** Ids of the keys that it is sealed with. */
  readonly sealedWith: readonly string[]
}

type Kind = 'warm' | 'cold' | 'stale'

export function partField({ from, count }: Range, kind: Exclude<Kind, 'stale'>): string {
  return `${from}:${count}:${kind}`
}

const FIELD = /^(\d{1,10}):(\d{1,10}):(warm|cold|stale)(?::(.+))?$/

interface ReadField extends Range {
  readonly kind: Kind
}

function readField(field: string): ReadField | undefined {
  const found = FIELD.exec(field)
  return found === null
    ? undefined
    : { from: Number(found[1]), count: Number(found[2]), kind: found[3] as Kind }
}

/**
 * The parts of a context in the order of their events.
 * @param events that are in parts
 * Throws Fault RECORD_CORRUPT when the parts do not hold just these.
 */
export function partsOf(id: string, fields: readonly string[], events: number): readonly Part[] {
  const byFrom = new Map<number, Part>()
  for (const field of fields) {
    const found = readField(field)
    if (found === undefined || found.kind === 'stale') continue
    const { from, count, kind } = found
    const before = byFrom.get(from)
    if (before !== undefined && before.count !== count)
      throw corrupt(id, `has two parts that begin at event ${from}`)
    const { warm, cold } = before ?? { warm: false, cold: false }
    byFrom.set(from, { from, count, warm: warm || kind === 'warm', cold: cold || kind === 'cold' })
  }
  const parts = [...byFrom.values()].sort((a, b) => a.from - b.from)
  let end = 0
  for (const { from, count } of parts) {
    if (from !== end)
      throw corrupt(id, `has ${from > end ? 'no' : 'two'} parts for event ${Math.min(from, end)}`)
    end = from + count
  }
  if (end !== events) throw corrupt(id, `has ${end} events in its parts, and should have ${events}`)
  return parts
}

export function encodeRef({ name, bytes, contentBytes, sha256, sealedWith }: ObjectRef): string {
  return JSON.stringify({ n: name, b: bytes, c: contentBytes, h: sha256, k: sealedWith })
}

/** Throws Fault RECORD_CORRUPT. */
export function decodeRef(id: string, text: string): ObjectRef {
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch (cause) {
    throw corrupt(id, 'refers to an object in cold storage by what is not JSON', cause)
  }
  const { n, b, c, h, k } = (found ?? {}) as Record<string, unknown>
  if (
    typeof n !== 'string' ||
    typeof b !== 'number' ||
    typeof c !== 'number' ||
    typeof h !== 'string' ||
    !Array.isArray(k)
  )
    throw corrupt(id, 'refers to an object in cold storage by what names none')
  return { name: n, bytes: b, contentBytes: c, sha256: h, sealedWith: k.map(String) }
}

/** Objects of contexts have names that begin so. */
export const OBJECTS = 'contexts/'

/**
 * `contexts/<tenant>/<yyyy>/<mm>/<dd>/<context>.<from>-<count>-<nonce>`. No name is ever used twice, so deleting one can take
 * nothing that was written since.
 * @param at day when its last event came, ms
 * @param nonce hex digits
 */
export function objectName(
  { id, tenant }: { readonly id: string; readonly tenant: string },
  { from, count }: Range,
  at: number,
  nonce: string,
): string {
  const day = new Date(at).toISOString().slice(0, 10).replaceAll('-', '/')
  return `${OBJECTS}${tenant}/${day}/${id}.${from}-${count}-${nonce}`
}

const OBJECT_NAME =
  /^contexts\/([a-z0-9][a-z0-9_-]{0,62})\/\d{4}\/\d\d\/\d\d\/(ctx_[A-Za-z0-9_-]{21}[AQgw])\.(\d{1,10})-([1-9]\d{0,9})-([0-9a-f]{8,32})$/

export interface NamedObject extends Range {
  readonly tenant: string
  readonly id: string
}

/** undefined for what is not the name of a context's object. */
export function readObjectName(name: string): NamedObject | undefined {
  const found = OBJECT_NAME.exec(name)
  if (found === null || !NAME_PATTERN.test(found[1] as string)) return undefined
  return {
    tenant: found[1] as string,
    id: found[2] as string,
    from: Number(found[3]),
    count: Number(found[4]),
  }
}
