/**
 * Where an event is now, by its id, for operators. Cheap places first: dead letters and parked events have an index;
 * evidence tells within the window at which millisecond a derived id was appended, a minted id carries its time; only
 * then the kept stream is searched, in short steps that never stall Redis.
 */
import { type EventId, eventIdBytes } from '../event.ts'
import type { PartitionKeys } from '../keys.ts'
import { decodeRecord, type EventRecord } from '../record.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'
import { redisTime } from '../redis/time.ts'
import { type DeadLetter, findDeadLetter } from './dead-letters.ts'
import { type EvidencePlace, evidenceKeys } from './evidence.ts'
import type { ParkedState } from './handover.ts'
import { type LongMemoryOptions, wasSettled } from './long-memory.ts'
import { listPending } from './reclaim.ts'
import { compareStreamIds, streamIdBefore } from './stream-id.ts'

export type EventPlace =
  | { readonly place: 'unread'; readonly streamId: string; readonly record: EventRecord }
  | {
      readonly place: 'pending'
      readonly streamId: string
      readonly record: EventRecord
      readonly consumer: string
      readonly deliveries: number
      readonly idleMs: number
    }
  | {
      readonly place: 'parked'
      readonly streamId: string
      readonly record: EventRecord
      readonly state: ParkedState
      /** ms since the epoch, Redis time */
      readonly dueAt: number
    }
  | {
      readonly place: 'dead'
      readonly streamId: string
      readonly record: EventRecord
      readonly letter: DeadLetter
    }
  /** Settled, its entry still in the stream. */
  | { readonly place: 'settled'; readonly streamId: string; readonly record: EventRecord }
  /** Settled within the horizon; its bytes are no longer in the stream. */
  | { readonly place: 'settled'; readonly streamId: undefined; readonly record: undefined }

/*
 * KEYS  1 stream
 * ARGV  1 event id, 2 from id (may be exclusive), 3 to id, 4 how many entries to look at
 * Reply {entry or '', last id looked at or ''}; newest first
 */
const SEARCH_STREAM = defineScript(
  'search-stream',
  `
local entries = redis.call('XREVRANGE', KEYS[1], ARGV[3], ARGV[2], 'COUNT', ARGV[4])
for _, entry in ipairs(entries) do
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'id' then
      if entry[2][i + 1] == ARGV[1] then return {entry, entry[1]} end
      break
    end
  end
end
if #entries < tonumber(ARGV[4]) then return {'', ''} end
return {'', entries[#entries][1]}
`,
)

/** Entries looked at in one script: well under a millisecond. */
const SEARCH_STEP = 500
/** How far a gateway's clock may be from Redis' when an id was minted, ms. */
const MINT_SKEW_MS = 60_000

/** How much later than its evidence an entry may be stamped: Redis 7.0 reads its clock again for it, ms. */
const APPEND_DELAY_MS = 5

export interface LocateOptions {
  readonly keys: PartitionKeys
  readonly memory: LongMemoryOptions
  /** The evidence place of a locator for each configured tool. */
  readonly evidence: (locator: Buffer) => readonly EvidencePlace[]
}

/** Finds an event; undefined when this partition does not know it (or forgot it after the horizon). */
export async function locateEvent(
  link: RedisLink,
  options: LocateOptions,
  id: EventId,
): Promise<EventPlace | undefined> {
  const { keys } = options
  const bytes = eventIdBytes(id)
  const now = await redisTime(link)

  const parkedAt = await link.call('HGET', keys.parkedIds, id)
  if (parkedAt !== null) {
    const parked = await readParked(link, keys, String(parkedAt))
    if (parked !== undefined) return parked
  }
  const letter = await findDeadLetter(link, keys, id)
  if (letter?.record !== undefined) {
    // A redelivery of a dead event is accepted under the same id: then the event is where that one is.
    const later = await searchByEvidence(link, options, id, bytes, now)
    if (later !== undefined && compareStreamIds(later.streamId, letter.streamId) > 0) {
      return placeInStream(link, keys, later)
    }
    if (!(await wasSettled(link, options.memory, now, bytes))) {
      return { place: 'dead', streamId: letter.streamId, record: letter.record, letter }
    }
  }
  const found =
    (await searchByEvidence(link, options, id, bytes, now)) ??
    (await searchAround(link, keys, id, bytes.readUIntBE(0, 6), now)) ??
    (await searchBack(link, keys, id, '-', '+'))
  if (found !== undefined) return placeInStream(link, keys, found)
  if (await wasSettled(link, options.memory, now, bytes)) {
    return { place: 'settled', streamId: undefined, record: undefined }
  }
  return undefined
}

interface Found {
  readonly streamId: string
  readonly record: EventRecord
}

async function readParked(
  link: RedisLink,
  keys: PartitionKeys,
  streamId: string,
): Promise<EventPlace | undefined> {
  const reply = (await link.run(
    READ_PARKED,
    [keys.parkedDue, keys.parkedRecords, keys.parkedState],
    [streamId],
  )) as RedisReply[]
  if (reply.length === 0) return undefined
  const [due, fields, attempts, deliveries, reason, error, since] = reply
  return {
    place: 'parked',
    streamId,
    record: decodeRecord(fields as Buffer[]),
    dueAt: Number(String(due)),
    state: {
      attempts: Number(attempts),
      deliveries: Number(deliveries),
      reason: String(reason),
      error: String(error),
      since: Number(String(since)),
    },
  }
}

/*
 * KEYS  1 parked due, 2 parked records, 3 parked state
 * ARGV  1 stream id
 * Reply {due, fields, n, d, reason, error, since} or {}
 */
const READ_PARKED = defineScript(
  'read-parked',
  `
local due = redis.call('ZSCORE', KEYS[1], ARGV[1])
local packed, raw = redis.call('HGET', KEYS[2], ARGV[1]), redis.call('HGET', KEYS[3], ARGV[1])
if not (due and packed and raw) then return {} end
local state = cjson.decode(raw)
return {due, cmsgpack.unpack(packed), state.n, state.d, state.reason, state.error, tostring(state.since)}
`,
)

async function searchByEvidence(
  link: RedisLink,
  options: LocateOptions,
  id: EventId,
  bytes: Buffer,
  now: number,
): Promise<Found | undefined> {
  for (const place of options.evidence(bytes)) {
    const first = Math.floor(now / place.windowMs) - 2
    const shards = evidenceKeys(place, now - place.windowMs, now)
    for (const [index, key] of shards.entries()) {
      const value = await link.call('HGET', key, place.field)
      if (!Buffer.isBuffer(value) || !/^-?\d{1,12}$/.test(value.toString('latin1'))) continue
      const ms = (first + index) * place.windowMs + Number(value.toString('latin1'))
      const found = await searchBack(link, options.keys, id, String(ms), String(ms + APPEND_DELAY_MS))
      if (found !== undefined) return found
    }
  }
  return undefined
}

async function searchAround(
  link: RedisLink,
  keys: PartitionKeys,
  id: EventId,
  mintedMs: number,
  now: number,
): Promise<Found | undefined> {
  // The first six bytes of a derived id are a hash: only a plausible recent time is worth a look.
  if (mintedMs > now + MINT_SKEW_MS || mintedMs < now - 366 * 86_400_000) return undefined
  return searchBack(link, keys, id, String(mintedMs - MINT_SKEW_MS), String(mintedMs + MINT_SKEW_MS))
}

async function searchBack(
  link: RedisLink,
  keys: PartitionKeys,
  id: EventId,
  from: string,
  to: string,
): Promise<Found | undefined> {
  let end = to
  for (;;) {
    const [entry, last] = (await link.run(
      SEARCH_STREAM,
      [keys.stream],
      [id, from, end, SEARCH_STEP],
    )) as RedisReply[]
    if (Array.isArray(entry))
      return { streamId: String(entry[0]), record: decodeRecord(entry[1] as Buffer[]) }
    if (String(last) === '') return undefined
    end = `(${String(last)}`
  }
}

async function placeInStream(link: RedisLink, keys: PartitionKeys, found: Found): Promise<EventPlace> {
  const { streamId, record } = found
  const groups = (await link.call('XINFO', 'GROUPS', keys.stream)) as RedisReply[]
  let delivered = '0-0'
  for (const group of groups as RedisReply[][]) {
    const info = new Map<string, string>()
    for (let i = 0; i + 1 < group.length; i += 2) info.set(String(group[i]), String(group[i + 1]))
    if (info.get('name') === keys.group) delivered = info.get('last-delivered-id') ?? delivered
  }
  if (compareStreamIds(streamId, delivered) > 0) return { place: 'unread', streamId, record }
  const [pending] = (await listPending(link, keys, { after: streamIdBefore(streamId), count: 1 })) as [
    Awaited<ReturnType<typeof listPending>>[number]?,
  ]
  if (pending?.streamId === streamId) {
    const { consumer, deliveries, idleMs } = pending
    return { place: 'pending', streamId, record, consumer, deliveries, idleMs }
  }
  return { place: 'settled', streamId, record }
}
