/**
 * An object in cold storage: a segment of a context with everything that is needed to rebuild the context from it alone.
 *
 *   `WEIR-CONTEXT 1`, a newline
 *   a line of JSON (below)
 *   the identity, as in the context's head; 8 bytes for each event, the beginning of its id; the segment
 *   32 bytes: SHA-256 of all before
 */
import { hash } from 'node:crypto'
import { NAME_PATTERN } from '@weir/core/event'
import { Fault } from '@weir/core/faults'
import { ID_BYTES } from '../head.ts'
import type { Range } from './parts.ts'

export interface ContextObject extends Range {
  readonly id: string
  readonly tenant: string
  readonly tool: string
  /** As in the head (head.ts). */
  readonly identity: Buffer
  /** Beginnings of its events' ids. */
  readonly ids: Buffer
  readonly segment: Buffer
  /** When the context's first event was received, ms. */
  readonly firstReceivedAt: number
  /** When its last event was appended, Redis ms; the last that there was when this was written. */
  readonly lastEventAt: number
  readonly accesses: number
  /** ms, 0 = never */
  readonly lastAccessAt: number
  /** Ids of the keys that it is sealed with. */
  readonly sealedWith: readonly string[]
}

const MAGIC = Buffer.from('WEIR-CONTEXT 1\n')
const SHA_BYTES = 32
const NEWLINE = 0x0a

const sha256Of = (bytes: Buffer): Buffer => hash('sha256', bytes, 'buffer')

export function encodeContextObject(object: ContextObject): Buffer {
  const { id, tenant, tool, from, count, identity, ids, segment } = object
  const line = {
    context: id,
    tenant,
    tool,
    from,
    events: count,
    identity_bytes: identity.length,
    segment_bytes: segment.length,
    first_received_at: object.firstReceivedAt,
    last_event_at: object.lastEventAt,
    accesses: object.accesses,
    last_access_at: object.lastAccessAt,
    sealed_with: object.sealedWith,
  }
  const bytes = Buffer.concat([MAGIC, Buffer.from(`${JSON.stringify(line)}\n`), identity, ids, segment])
  return Buffer.concat([bytes, sha256Of(bytes)])
}

/**
 * @param name for messages
 * Throws Fault RECORD_CORRUPT for bytes that are damaged, cut off or none of ours.
 */
export function decodeContextObject(name: string, bytes: Buffer): ContextObject {
  const corrupt = (what: string, cause?: unknown) =>
    new Fault('RECORD_CORRUPT', `object ${name} in cold storage ${what}`, { cause })
  const end = bytes.length - SHA_BYTES
  if (end < MAGIC.length || !bytes.subarray(0, MAGIC.length).equals(MAGIC))
    throw corrupt('is not a context of version 1')
  if (!sha256Of(bytes.subarray(0, end)).equals(bytes.subarray(end)))
    throw corrupt('is damaged or cut off: its checksum is wrong')
  const newline = bytes.indexOf(NEWLINE, MAGIC.length)
  let found: unknown
  try {
    found = JSON.parse(bytes.toString('utf8', MAGIC.length, Math.max(MAGIC.length, newline)))
  } catch (cause) {
    throw corrupt('has a head that is not JSON', cause)
  }
  const line = (found ?? {}) as Record<string, unknown>
  const { context: id, tenant, tool } = line
  const whole = (field: string): number => {
    const value = line[field]
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw corrupt(`has a head without ${field}`)
    return value as number
  }
  if (typeof id !== 'string' || !isName(tenant) || !isName(tool))
    throw corrupt('has a head that names no context')
  const { sealed_with: sealedWith } = line
  if (!Array.isArray(sealedWith)) throw corrupt('has a head that does not say with which keys it is sealed')
  const [from, count] = [whole('from'), whole('events')]
  const ids = newline + 1 + whole('identity_bytes')
  const segment = ids + count * ID_BYTES
  if (segment + whole('segment_bytes') !== end) throw corrupt('is not as long as it says')
  return {
    id,
    tenant,
    tool,
    from,
    count,
    identity: bytes.subarray(newline + 1, ids),
    ids: bytes.subarray(ids, segment),
    segment: bytes.subarray(segment, end),
    firstReceivedAt: whole('first_received_at'),
    lastEventAt: whole('last_event_at'),
    accesses: whole('accesses'),
    lastAccessAt: whole('last_access_at'),
    sealedWith: sealedWith.map(String),
  }
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && NAME_PATTERN.test(value)
}

/** Hex SHA-256 of an object's bytes. */
export function objectDigest(bytes: Buffer): string {
  return hash('sha256', bytes)
}
