/**
 * A card as it lies in Redis.
 *
 *   0  u8   version, 1
 *   1  u32  events, which scripts compare
 *   5  u16  length of the line
 *   7       JSON `[tenant, tool, kind, last event ms, importance, sealed]`
 *   …       the rest, sealed where `sealed` is 1:
 *             u32  length of the JSON
 *                  JSON `[subject, title, link, state, severity, people, text, [summary, its events], model]`
 *                  the embedding, a byte for each dimension
 *
 * As of heads and digests, whose it is and when it was stays readable, and what it is about does not: a subject, a title and
 * a text tell it, and so does an embedding, out of which texts can be guessed.
 */
import { NAME_PATTERN } from '@weir/core/event'
import type { Sealing } from '@weir/core/keyring/keyring'
import type { Severity } from '../digest.ts'
import { corrupt } from '../head.ts'
import { type Card, DIMENSIONS_MAX } from './card.ts'

const VERSION = 1
const LINE_AT = 7
const SEVERITIES: ReadonlySet<unknown> = new Set<Severity>(['info', 'warning', 'error', 'critical'])

export const cardBelonging = (id: string, tenant: string): string => `card\n${tenant}\n${id}`

/** @param sealing undefined = nothing is encrypted; else ready for the tenant */
export function encodeCard(card: Card, sealing: Pick<Sealing, 'seal'> | undefined): Buffer {
  const { id, tenant, tool, kind, lastAt, importance, events } = card
  const line = Buffer.from(
    JSON.stringify([tenant, tool, kind, lastAt, importance, sealing === undefined ? 0 : 1]),
  )
  const rest = encodeRest(card)
  const head = Buffer.alloc(LINE_AT)
  head.writeUInt8(VERSION)
  head.writeUInt32BE(events, 1)
  head.writeUInt16BE(line.length, 5)
  return Buffer.concat([head, line, sealing?.seal(tenant, cardBelonging(id, tenant), rest) ?? rest])
}

function encodeRest(card: Card): Buffer {
  const { subject, title, link, state, severity, people, text, summary, embedding } = card
  const told = [
    subject,
    title,
    link,
    state,
    severity,
    people,
    text,
    summary === undefined ? null : [summary.text, summary.events],
    embedding?.model ?? null,
  ]
  const json = Buffer.from(JSON.stringify(told))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(json.length)
  const vector = embedding?.vector ?? new Int8Array(0)
  return Buffer.concat([length, json, Buffer.from(vector.buffer, vector.byteOffset, vector.length)])
}

/** What can be read of a card without any key. */
export interface CardOutline
  extends Pick<Card, 'tenant' | 'tool' | 'kind' | 'lastAt' | 'importance' | 'events'> {
  readonly sealed: boolean
  /** Sealed where it says so. */
  readonly rest: Buffer
}

/** Throws Fault RECORD_CORRUPT. */
export function outlineOf(id: string, bytes: Buffer): CardOutline {
  if (bytes.length < LINE_AT || bytes[0] !== VERSION) throw corrupt(id, 'has no card of version 1')
  const end = LINE_AT + bytes.readUInt16BE(5)
  if (end > bytes.length) throw corrupt(id, 'has a card that ends too early')
  const [tenant, tool, kind, lastAt, importance, sealed] = listIn(id, bytes.subarray(LINE_AT, end))
  if (
    !isName(tenant) ||
    !isName(tool) ||
    typeof kind !== 'string' ||
    !Number.isFinite(lastAt) ||
    !Number.isFinite(importance) ||
    (sealed !== 0 && sealed !== 1)
  )
    throw corrupt(id, 'has a card that does not say whose it is')
  return {
    tenant,
    tool,
    kind,
    lastAt: lastAt as number,
    importance: importance as number,
    events: bytes.readUInt32BE(1),
    sealed: sealed === 1,
    rest: bytes.subarray(end),
  }
}

/** Throws Fault RECORD_CORRUPT for what is no card; KEY_MISSING or KEY_DESTROYED for a sealed one that cannot be opened. */
export function decodeCard(id: string, bytes: Buffer, opener: Pick<Sealing, 'open'>): Card {
  const { sealed, rest, ...clear } = outlineOf(id, bytes)
  const opened = sealed ? opener.open(clear.tenant, cardBelonging(id, clear.tenant), rest) : rest
  if (opened === undefined) throw corrupt(id, 'has a card that was changed since it was encrypted')
  const end = opened.length < 4 ? Number.POSITIVE_INFINITY : 4 + opened.readUInt32BE(0)
  if (end > opened.length) throw corrupt(id, 'has a card that ends too early')
  const [subject, title, link, state, severity, people, text, summary, model] = listIn(
    id,
    opened.subarray(4, end),
  )
  const dimensions = opened.length - end
  if (
    typeof subject !== 'string' ||
    !isTextOrNull(title) ||
    !isTextOrNull(link) ||
    !isTextOrNull(state) ||
    !(summary === null || isSummary(summary)) ||
    !isTextOrNull(model) ||
    !(severity === null || SEVERITIES.has(severity)) ||
    !(Array.isArray(people) && people.every((name) => typeof name === 'string')) ||
    typeof text !== 'string' ||
    dimensions > DIMENSIONS_MAX ||
    (model === null) !== (dimensions === 0)
  )
    throw corrupt(id, 'has a card that is none')
  return {
    id,
    ...clear,
    subject,
    title,
    link,
    state,
    severity: severity as Severity | null,
    people,
    text,
    ...(summary === null ? {} : { summary: { text: summary[0], events: summary[1] } }),
    ...(model === null
      ? {}
      : { embedding: { model, vector: Int8Array.from(vectorIn(opened.subarray(end))) } }),
  }
}

/** A view of it; the bytes around it are not kept once it was copied. */
const vectorIn = (bytes: Buffer): Int8Array => new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length)

function listIn(id: string, bytes: Buffer): readonly unknown[] {
  let found: unknown
  try {
    found = JSON.parse(bytes.toString())
  } catch (cause) {
    throw corrupt(id, 'has a card that is not JSON', cause)
  }
  return Array.isArray(found) ? (found as unknown[]) : []
}

const isName = (value: unknown): value is string => typeof value === 'string' && NAME_PATTERN.test(value)
const isTextOrNull = (value: unknown): value is string | null => value === null || typeof value === 'string'
const isSummary = (value: unknown): value is readonly [text: string, events: number] =>
  Array.isArray(value) && typeof value[0] === 'string' && Number.isSafeInteger(value[1])
