/**
 * What an event is, and how it gets its identity.
 *
 * Identity comes first, because everything else leans on it: the dedupe key says which occurrences are the
 * same occurrence; the event id names the event for ever (effects are keyed by it). Where the sender's id is
 * stable and one occurrence passes per window, the event id is *derived* from the dedupe key, so that a
 * redelivery days later is the same event. Otherwise it is *minted* once per request and carries its time.
 */
import { hash, randomBytes } from 'node:crypto'

/** `evt_` and 22 characters of base64url (16 bytes). */
export type EventId = string

/** Header name (lower case) and value. */
export type Header = readonly [name: string, value: string]

/** A verified webhook, before packing. */
export interface WebhookEvent {
  readonly id: EventId
  readonly tenant: string
  readonly tool: string
  /** The sender's event type, e.g. `pull_request`; `unknown` when the sender names none. */
  readonly type: string
  /** When the gateway received it, ms since the epoch. */
  readonly receivedAt: number
  /** 16 bytes that locate its dedupe evidence; equal to the id's own bytes when the id is derived. */
  readonly locator: Buffer
  /** True when the id was derived from the dedupe key. */
  readonly derived: boolean
  /** The headers that the adapter keeps. */
  readonly headers: readonly Header[]
  /** The bytes as signed. */
  readonly body: Buffer
  /** W3C trace context of the request (https://www.w3.org/TR/trace-context/), or ''. */
  readonly traceparent: string
}

const ID_PREFIX = 'evt_'
/** The last character holds two bits: every id has one spelling. */
export const EVENT_ID_PATTERN = /^evt_[A-Za-z0-9_-]{21}[AQgw]$/

/** Tool and tenant names as they may appear in URLs, keys and labels. */
export const NAME_PATTERN = /^[a-z0-9][a-z0-9_-]{0,62}$/
export const DEFAULT_TENANT = 'default'

/** What makes two requests the same occurrence: the sender's own id, or a hash where it has none. */
export type OccurrenceKey =
  | { readonly kind: 'delivery-id'; readonly value: string }
  | { readonly kind: 'hash'; readonly value: string }

/**
 * 16 bytes of SHA-256 over tenant, tool and occurrence key. The parts are length-delimited, so that no choice
 * of characters in one part can imitate another.
 */
export function locatorOf(tenant: string, tool: string, key: OccurrenceKey): Buffer {
  // UTF-8 writes every half surrogate pair (possible in ids read from JSON) alike: such ids are spelled out instead.
  const occurrence = key.value.isWellFormed()
    ? `${key.kind},${key.value}`
    : `${key.kind}-escaped,${JSON.stringify(key.value)}`
  const parts = `${tenant.length}:${tenant},${tool.length}:${tool},${occurrence}`
  return hash('sha256', parts, 'buffer').subarray(0, 16)
}

/** The event id for a dedupe key whose event must stay the same event for ever. */
export function deriveEventId(locator: Buffer): EventId {
  return ID_PREFIX + locator.toString('base64url')
}

/** A fresh event id: 6 bytes of time (ms since the epoch), 10 random bytes. */
export function mintEventId(nowMs: number, random: Buffer = randomBytes(10)): EventId {
  const bytes = Buffer.allocUnsafe(16)
  bytes.writeUIntBE(nowMs, 0, 6)
  random.copy(bytes, 6, 0, 10)
  return ID_PREFIX + bytes.toString('base64url')
}

/** The 16 bytes inside an event id. Throws a `RangeError` for anything that is not one. */
export function eventIdBytes(id: EventId): Buffer {
  if (!EVENT_ID_PATTERN.test(id)) throw new RangeError(`not an event id: ${JSON.stringify(id.slice(0, 64))}`)
  return Buffer.from(id.slice(ID_PREFIX.length), 'base64url')
}

/** The event id with these 16 bytes. */
export function eventIdFromBytes(bytes: Buffer): EventId {
  return ID_PREFIX + bytes.toString('base64url')
}
