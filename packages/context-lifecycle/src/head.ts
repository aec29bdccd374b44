/**
 * The head of a context: one string in Redis, whose first bytes scripts count in, and whose end they append to.
 *
 *    0  u8   version, 1
 *    1  u32  events
 *    5  u48  bytes of their records
 *   11  u48  when the first one was received at the gateway, ms
 *   17  u48  when the last one was appended, Redis ms
 *   23  u32  accesses
 *   27  u48  when the last access was, Redis ms; 0 = never
 *   33  u16  length of the identity
 *   35       identity: a line of JSON `[tenant, tool, kind, sealed]`, then the subject's key, sealed where `sealed` is 1
 *    …       8 bytes for each event: the beginning of its id, in the order of arrival
 */

import { NAME_PATTERN } from '@weir/core/event'
import { Fault } from '@weir/core/faults'
import type { Sealing } from '@weir/core/keyring/keyring'

export const HEAD_VERSION = 1
export const IDENTITY_AT = 35
/** Of an event's id in the head. */
export const ID_BYTES = 8

export interface Identity {
  readonly tenant: string
  readonly tool: string
  readonly kind: string
  /** The subject's key, e.g. `acme/site#42`. */
  readonly subject: string
}

export interface Head {
  readonly identity: Identity
  readonly events: number
  readonly rawBytes: number
  readonly firstReceivedAt: number
  readonly lastEventAt: number
  readonly accesses: number
  readonly lastAccessAt: number | undefined
  /** Beginnings of the events' ids, 8 bytes each. */
  readonly ids: Buffer
}

const belonging = (id: string, tenant: string): string => `context\n${tenant}\n${id}`

/** @param sealing undefined = nothing is encrypted; else ready for the tenant */
export function encodeIdentity(
  id: string,
  { tenant, tool, kind, subject }: Identity,
  sealing: Pick<Sealing, 'seal'> | undefined,
): Buffer {
  const line = `${JSON.stringify([tenant, tool, kind, sealing === undefined ? 0 : 1])}\n`
  const key = Buffer.from(subject)
  return Buffer.concat([Buffer.from(line), sealing?.seal(tenant, belonging(id, tenant), key) ?? key])
}

/** Throws Fault RECORD_CORRUPT for what is no head; KEY_MISSING or KEY_DESTROYED for a sealed one that cannot be opened. */
export function decodeHead(id: string, head: Buffer, opener: Pick<Sealing, 'open'>): Head {
  if (head.length < IDENTITY_AT || head[0] !== HEAD_VERSION) throw corrupt(id, 'has no head of version 1')
  const end = IDENTITY_AT + head.readUInt16BE(33)
  const events = head.readUInt32BE(1)
  const ids = head.subarray(end)
  if (end > head.length || ids.length % ID_BYTES !== 0) throw corrupt(id, 'has a head that ends too early')
  const lastAccessAt = head.readUIntBE(27, 6)
  return {
    identity: decodeIdentity(id, head.subarray(IDENTITY_AT, end), opener),
    events,
    rawBytes: head.readUIntBE(5, 6),
    firstReceivedAt: head.readUIntBE(11, 6),
    lastEventAt: head.readUIntBE(17, 6),
    accesses: head.readUInt32BE(23),
    lastAccessAt: lastAccessAt === 0 ? undefined : lastAccessAt,
    ids,
  }
}

/** What a head says in the clear; undefined when it says nothing that can be read. */
export function clearIdentity(head: Buffer): Pick<Identity, 'tenant' | 'tool'> | undefined {
  const bytes = identityBytes(head)
  const found = /^\["([a-z0-9_-]+)","([a-z0-9_-]+)",/.exec(bytes.toString('latin1', 0, MAX_CLEAR))
  return found === null ? undefined : { tenant: found[1] as string, tool: found[2] as string }
}

/** Two names of at most 63 characters, and what stands around them. */
const MAX_CLEAR = 140

function decodeIdentity(id: string, bytes: Buffer, opener: Pick<Sealing, 'open'>): Identity {
  const newline = bytes.indexOf(0x0a)
  let clear: unknown
  try {
    clear = JSON.parse(bytes.toString('utf8', 0, Math.max(0, newline)))
  } catch (cause) {
    throw corrupt(id, 'has an identity that is not JSON', cause)
  }
  const [tenant, tool, kind, sealed] = Array.isArray(clear) ? (clear as unknown[]) : []
  if (!isName(tenant) || !isName(tool) || typeof kind !== 'string') throw corrupt(id, 'has no identity')
  const rest = bytes.subarray(newline + 1)
  const subject = sealed === 1 ? opener.open(tenant, belonging(id, tenant), rest) : rest
  if (subject === undefined) throw corrupt(id, 'has an identity that was changed since it was encrypted')
  return { tenant, tool, kind, subject: subject.toString() }
}

/** The identity in a head, as it lies there. */
export function identityBytes(head: Buffer): Buffer {
  return head.subarray(IDENTITY_AT, IDENTITY_AT + head.readUInt16BE(33))
}

/** The sealed subject of an identity; undefined for one that is not sealed. */
export function sealedSubject(identity: Buffer): Buffer | undefined {
  const newline = identity.indexOf(0x0a)
  return identity.toString('latin1', newline - 2, newline) === '1]'
    ? identity.subarray(newline + 1)
    : undefined
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && NAME_PATTERN.test(value)
}

export function corrupt(id: string, what: string, cause?: unknown): Fault {
  return new Fault('RECORD_CORRUPT', `context ${id} ${what}`, { cause })
}
