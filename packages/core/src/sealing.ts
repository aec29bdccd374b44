/**
 * How packed bodies are encrypted in the record: `enc` becomes `sealed-<enc>`, and `body` the sealed bytes, which name
 * their key. They belong to that event: whoever puts them into another record, of another tenant, tool or type, or with
 * another dictionary, has made bytes that nobody opens. What routes an event stays in the clear (docs/encryption.md).
 */
import { Fault } from './faults.ts'
import type { Opener, Sealing } from './keyring/keyring.ts'
import type { EventRecord, PackedBody, Packing } from './record.ts'

const PREFIX = 'sealed-'

/** What the bytes of an event belong to. */
type Belonging = Pick<EventRecord, 'tenant' | 'id' | 'tool' | 'type' | 'receivedAt'>

/** The parts before the type have no line breaks: names, ids and numbers. */
function belongingOf(event: Belonging, encoding: string, dictionary: string): string {
  const { tenant, id, tool, type, receivedAt } = event
  return `event\n${tenant}\n${id}\n${tool}\n${receivedAt}\n${encoding}\n${dictionary}\n${type}`
}

export type UnsealedBody = PackedBody & { readonly encoding: Packing }

/** Encrypts what was packed of an event. Throws Fault KEY_MISSING where `sealing` is not ready for its tenant. */
export function sealBody(sealing: Sealing, event: Belonging, body: UnsealedBody): PackedBody {
  const { encoding, dictionary, packed } = body
  const belongs = belongingOf(event, encoding, dictionary)
  const sealed = sealing.seal(event.tenant, belongs, packed)
  return { encoding: `sealed-${encoding}`, dictionary, packed: sealed }
}

export function isSealed({ encoding }: Pick<EventRecord, 'encoding'>): boolean {
  return encoding.startsWith(PREFIX)
}

type Sealed = Belonging & Pick<EventRecord, 'encoding' | 'dictionary' | 'packed'>

/**
 * The record as it was before it was sealed; one that is not sealed, as it is. Throws Fault KEY_MISSING, KEY_DESTROYED, or
 * RECORD_CORRUPT for bytes that were changed or do not belong to this event.
 */
export function openBody<Found extends Sealed>(opener: Opener, record: Found): Found {
  if (!isSealed(record)) return record
  const { id, tenant, dictionary } = record
  const encoding = record.encoding.slice(PREFIX.length)
  const packed = opener.open(tenant, belongingOf(record, encoding, dictionary), record.packed)
  if (packed === undefined) {
    throw new Fault(
      'RECORD_CORRUPT',
      `event ${id}: its body was changed since it was encrypted, or is another event's`,
    )
  }
  return { ...record, encoding, packed }
}
