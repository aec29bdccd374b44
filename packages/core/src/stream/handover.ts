/**
 * Handing an entry over: to the parked ones (a retry, an open breaker) or to the dead letters. Both write a copy first and
 * acknowledge last, and do nothing unless the caller owns the pending entry or holds the lease of the parked one.
 */
import { eventIdBytes } from '../event.ts'
import type { PartitionKeys } from '../keys.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'
import { type EvidencePlace, evidenceKeys, FORGET_EVIDENCE, TOUCH_EVIDENCE } from './evidence.ts'
import type { HeldEntry } from './settle.ts'

/** What a parked event carries besides its record. */
export interface ParkedState {
  /** Attempts that ended in a failure. */
  readonly attempts: number
  /** Times it was handed out since its last outcome. */
  readonly deliveries: number
  /** Why it waits: `retry`, `breaker`, `dictionary`, `replay`. */
  readonly reason: string
  /** Message of the last failure, or ''. */
  readonly error: string
  /** Time of the first failure, Redis ms. */
  readonly since: number
}

/*
 * KEYS  1 stream, 2 parked due, 3 parked records, 4 parked state, 5 parked ids, 6… evidence shards of consecutive slices
 * ARGV  1 group, 2 stream id, 3 consumer or '', 4 lease token or '', 5 delay ms, 6 attempts, 7 reason, 8 error, 9 event id,
 *       10 first slice, 11 window ms, 12 evidence field, 13 id bytes ('' = derived)
 * Reply 1 parked | 0 not the owner | -1 the entry's record is gone
 */
const PARK = defineScript(
  'park',
  `${TOUCH_EVIDENCE}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local sid = ARGV[2]
local since = now
if ARGV[4] == '' then
  if #redis.call('XPENDING', KEYS[1], ARGV[1], sid, sid, 1, ARGV[3]) == 0 then return 0 end
  local entry = redis.call('XRANGE', KEYS[1], sid, sid)[1]
  if not entry then return -1 end
  redis.call('HSET', KEYS[3], sid, cmsgpack.pack(entry[2]))
else
  local state = redis.call('HGET', KEYS[4], sid)
  if not state then return 0 end
  state = cjson.decode(state)
  if state.by ~= ARGV[4] then return 0 end
  since = state.since
end
redis.call('HSET', KEYS[4], sid, cjson.encode({
  id = ARGV[9], n = tonumber(ARGV[6]), d = 0, by = '', reason = ARGV[7], error = ARGV[8], since = since,
}))
local due = now + ARGV[5]
redis.call('ZADD', KEYS[2], due, sid)
redis.call('HSET', KEYS[5], ARGV[9], sid)
local first, window = tonumber(ARGV[10]), tonumber(ARGV[11])
for i = 6, #KEYS do
  local slice = first + i - 6
  if slice * window <= due then touch(KEYS[i], slice, window, ARGV[12], due, ARGV[13]) end
end
if ARGV[4] == '' then redis.call('XACK', KEYS[1], ARGV[1], sid) end
return 1
`,
)

export interface ParkRequest {
  readonly entry: HeldEntry
  /** ms from now (Redis' now) until it is due */
  readonly delayMs: number
  readonly attempts: number
  readonly reason: 'retry' | 'breaker' | 'dictionary' | 'key' | 'newer'
  readonly error: string
  readonly evidence: EvidencePlace
  /** Redis time, ms. */
  readonly redisMs: number
}

export type Handover = 'done' | 'not-owner' | 'gone'

/**
 * Parks one entry until it is due again, and keeps its evidence valid until one window after that: in the same step,
 * so that a zombie whose entry was dead-lettered meanwhile does not bring evidence back that would refuse redeliveries.
 */
export async function park(link: RedisLink, keys: PartitionKeys, request: ParkRequest): Promise<Handover> {
  const { streamId, holding, record } = request.entry
  const { evidence, redisMs } = request
  const delayMs = Math.round(request.delayMs)
  // One slice more than the delay, in case the clock passes a boundary on the way.
  const first = Math.floor(redisMs / evidence.windowMs)
  const shards: string[] = []
  for (let slice = first; slice <= Math.floor((redisMs + delayMs) / evidence.windowMs) + 1; slice++) {
    shards.push(evidence.key(slice))
  }
  const reply = await link.run(
    PARK,
    [keys.stream, keys.parkedDue, keys.parkedRecords, keys.parkedState, keys.parkedIds, ...shards],
    [
      keys.group,
      streamId,
      holding.kind === 'pending' ? holding.consumer : '',
      holding.kind === 'lease' ? holding.token : '',
      delayMs,
      request.attempts,
      request.reason,
      request.error,
      record.id,
      first,
      evidence.windowMs,
      evidence.field,
      record.derived ? '' : eventIdBytes(record.id),
    ],
  )
  return handoverOf(reply)
}

/*
 * KEYS  1 stream, 2 dead letters, 3 dead ids, 4 parked due, 5 parked records, 6 parked state, 7 parked ids,
 *       8… evidence shards
 * ARGV  1 group, 2 stream id, 3 consumer or '', 4 lease token or '', 5 attempts, 6 reason, 7 error, 8 event id,
 *       9 evidence field, 10 id bytes ('' = derived)
 * Reply 1 dead | 0 not the owner | -1 the entry's record is gone
 */
const BURY = defineScript(
  'dead-letter',
  `${FORGET_EVIDENCE}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local sid = ARGV[2]
local fields
local since = now
if ARGV[4] == '' then
  if #redis.call('XPENDING', KEYS[1], ARGV[1], sid, sid, 1, ARGV[3]) == 0 then return 0 end
  local entry = redis.call('XRANGE', KEYS[1], sid, sid)[1]
  if not entry then return -1 end
  fields = entry[2]
else
  local state = redis.call('HGET', KEYS[6], sid)
  if not state then return 0 end
  state = cjson.decode(state)
  if state.by ~= ARGV[4] then return 0 end
  since = state.since
  local packed = redis.call('HGET', KEYS[5], sid)
  if not packed then return -1 end
  fields = cmsgpack.unpack(packed)
end
local letter = {}
if #fields > 2000 then
  -- Not one of ours, and more than a command inside a script may have (8,000 values): kept as one.
  letter[1], letter[2] = 'packed', cmsgpack.pack(fields)
else
  local place = #fields + 1
  for i = 1, #fields, 2 do
    letter[i], letter[i + 1] = fields[i], fields[i + 1]
    if fields[i] == 'n' then place = i end
  end
  letter[place], letter[place + 1] = 'n', ARGV[5]
end
local extra = {'sid', sid, 'reason', ARGV[6], 'error', ARGV[7], 'first_failed_at', since, 'dead_at', now}
for i = 1, #extra do letter[#letter + 1] = extra[i] end
local dead = redis.call('XADD', KEYS[2], '*', unpack(letter))
redis.call('HSET', KEYS[3], ARGV[8], dead)
for i = 8, #KEYS do forget(KEYS[i], ARGV[9], ARGV[10]) end
if ARGV[4] == '' then
  redis.call('XACK', KEYS[1], ARGV[1], sid)
else
  redis.call('ZREM', KEYS[4], sid)
  redis.call('HDEL', KEYS[5], sid)
  redis.call('HDEL', KEYS[6], sid)
  if redis.call('HGET', KEYS[7], ARGV[8]) == sid then redis.call('HDEL', KEYS[7], ARGV[8]) end
end
return 1
`,
)

export interface BuryRequest {
  readonly entry: HeldEntry
  readonly attempts: number
  /** Error class for operators: `handler`, `timeout`, `malformed`, `poison`, `corrupt`. */
  readonly reason: string
  readonly error: string
  readonly evidence: EvidencePlace
  /** Redis time, ms. */
  readonly redisMs: number
  /** The furthest time to which evidence may have been stamped ahead, ms from now: the longest retry delay. */
  readonly aheadMs: number
}

/** Moves one entry to the dead letters. */
export async function bury(link: RedisLink, keys: PartitionKeys, request: BuryRequest): Promise<Handover> {
  const { streamId, holding, record } = request.entry
  const reply = await link.run(
    BURY,
    [
      keys.stream,
      keys.deadLetters,
      keys.deadIds,
      keys.parkedDue,
      keys.parkedRecords,
      keys.parkedState,
      keys.parkedIds,
      ...evidenceKeys(request.evidence, request.redisMs, request.redisMs + request.aheadMs),
    ],
    [
      keys.group,
      streamId,
      holding.kind === 'pending' ? holding.consumer : '',
      holding.kind === 'lease' ? holding.token : '',
      request.attempts,
      request.reason,
      request.error,
      record.id,
      request.evidence.field,
      record.derived ? '' : eventIdBytes(record.id),
    ],
  )
  return handoverOf(reply)
}

function handoverOf(reply: RedisReply): Handover {
  return reply === 1 ? 'done' : reply === 0 ? 'not-owner' : 'gone'
}
