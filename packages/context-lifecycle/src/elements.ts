/**
 * What the two lists of a context hold of an event.
 *
 *   log   16 bytes of the event's id, then JSON `[type, received ms, digest]`, or that sealed
 *   raw   16 bytes of the event's id, then JSON `[type, received ms, encoding, dictionary]`, a newline, the packed body
 *
 * The body is what lay in the stream, byte for byte: packed, and sealed where the stream's was. It opens as the event that it
 * was, so whatever is said of it here is authenticated by the seal.
 */
import { eventIdBytes, eventIdFromBytes } from '@weir/core/event'
import type { Sealing } from '@weir/core/keyring/keyring'
import type { Packed } from '@weir/core/packing'
import type { EventRecord } from '@weir/core/record'
import type { TimelineEntry } from './compose.ts'
import type { Digest } from './digest.ts'
import { corrupt, type Identity } from './head.ts'

const EVENT_ID_BYTES = 16
const OPEN_BRACKET = 0x5b

const belonging = (contextId: string, tenant: string, eventId: string): string =>
  `digest\n${tenant}\n${contextId}\n${eventId}`

/** @param sealing undefined = nothing is encrypted; else ready for the tenant */
export function encodeLogElement(
  contextId: string,
  record: Pick<EventRecord, 'id' | 'tenant' | 'type' | 'receivedAt'>,
  digest: Digest,
  sealing: Pick<Sealing, 'seal'> | undefined,
): Buffer {
  const { id, tenant, type, receivedAt } = record
  const text = Buffer.from(JSON.stringify([type, receivedAt, digest]))
  const content = sealing?.seal(tenant, belonging(contextId, tenant, id), text) ?? text
  return Buffer.concat([eventIdBytes(id), content])
}

/** Sealed bytes begin with their version, which is no bracket. */
export function isSealedLogElement(element: Buffer): boolean {
  return element[EVENT_ID_BYTES] !== OPEN_BRACKET
}

/** A sealed element in the clear. Throws as `decodeLogElement`. */
export function openLogElement(
  { id: contextId, tenant }: { readonly id: string; readonly tenant: string },
  element: Buffer,
  opener: Pick<Sealing, 'open'>,
): Buffer {
  if (element.length <= EVENT_ID_BYTES) throw corrupt(contextId, 'has a digest that is too short')
  const [bytes, content] = [element.subarray(0, EVENT_ID_BYTES), element.subarray(EVENT_ID_BYTES)]
  const eventId = eventIdFromBytes(bytes)
  const text = opener.open(tenant, belonging(contextId, tenant, eventId), content)
  if (text === undefined) throw corrupt(contextId, `has a digest of ${eventId} that was changed`)
  return Buffer.concat([bytes, text])
}

/** An element in the clear, sealed. Throws Fault KEY_MISSING. */
export function sealLogElement(
  { id: contextId, tenant }: { readonly id: string; readonly tenant: string },
  element: Buffer,
  sealing: Pick<Sealing, 'seal'>,
): Buffer {
  const bytes = element.subarray(0, EVENT_ID_BYTES)
  const belongs = belonging(contextId, tenant, eventIdFromBytes(bytes))
  return Buffer.concat([bytes, sealing.seal(tenant, belongs, element.subarray(EVENT_ID_BYTES))])
}

/** Throws Fault RECORD_CORRUPT, KEY_MISSING or KEY_DESTROYED. */
export function decodeLogElement(
  contextId: string,
  tenant: string,
  element: Buffer,
  opener: Pick<Sealing, 'open'>,
): TimelineEntry {
  if (element.length <= EVENT_ID_BYTES) throw corrupt(contextId, 'has a digest that is too short')
  const eventId = eventIdFromBytes(element.subarray(0, EVENT_ID_BYTES))
  const plain = isSealedLogElement(element)
    ? openLogElement({ id: contextId, tenant }, element, opener)
    : element
  const text = plain.subarray(EVENT_ID_BYTES)
  let found: unknown
  try {
    found = JSON.parse(text.toString())
  } catch (cause) {
    throw corrupt(contextId, `has a digest of ${eventId} that is not JSON`, cause)
  }
  const [type, receivedAt, digest] = Array.isArray(found) ? (found as unknown[]) : []
  if (
    typeof type !== 'string' ||
    typeof receivedAt !== 'number' ||
    typeof digest !== 'object' ||
    digest === null
  )
    throw corrupt(contextId, `has a digest of ${eventId} that is none`)
  return { eventId, type, receivedAt, digest: digest as Digest }
}

/** @param record whose body is packed in any way */
export function encodeRawElement(record: Packed): Buffer {
  const { id, type, receivedAt, encoding, dictionary, packed } = record
  const line = `${JSON.stringify([type, receivedAt, encoding, dictionary])}\n`
  return Buffer.concat([eventIdBytes(id), Buffer.from(line), packed])
}

/** What an unpacker needs to give back the bytes as sent. Throws Fault RECORD_CORRUPT. */
export function decodeRawElement(
  contextId: string,
  { tenant, tool }: Pick<Identity, 'tenant' | 'tool'>,
  element: Buffer,
): Packed {
  const newline = element.indexOf(0x0a, EVENT_ID_BYTES)
  if (newline < 0) throw corrupt(contextId, 'has a record without a head')
  const id = eventIdFromBytes(element.subarray(0, EVENT_ID_BYTES))
  let found: unknown
  try {
    found = JSON.parse(element.toString('utf8', EVENT_ID_BYTES, newline))
  } catch (cause) {
    throw corrupt(contextId, `has a record of ${id} whose head is not JSON`, cause)
  }
  const [type, receivedAt, encoding, dictionary] = Array.isArray(found) ? (found as unknown[]) : []
  if (
    typeof type !== 'string' ||
    typeof receivedAt !== 'number' ||
    typeof encoding !== 'string' ||
    typeof dictionary !== 'string'
  )
    throw corrupt(contextId, `has a record of ${id} whose head is none`)
  return { id, tenant, tool, type, receivedAt, encoding, dictionary, packed: element.subarray(newline + 1) }
}
