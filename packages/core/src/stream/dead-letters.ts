/**
 * Dead letters: listed, replayed, purged. Each entry carries its own copy of the record and
 * `sid` (stream id it came from), `reason`, `error`, `first_failed_at`, `dead_at`; its `n` is the attempts made.
 */
import { eventIdBytes } from '../event.ts'
import type { PartitionKeys } from '../keys.ts'
import { decodeRecord, type EventRecord } from '../record.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'
import { type EvidencePlace, evidenceKeys, TOUCH_EVIDENCE } from './evidence.ts'
import { SETTLED_SETS } from './long-memory.ts'

export interface DeadLetter {
  /** Id of the entry in the dead-letter stream. */
  readonly letterId: string
  readonly streamId: string
  readonly reason: string
  readonly error: string
  readonly firstFailedAt: number
  readonly deadAt: number
  /** undefined when the record itself cannot be read; `fields` then has what there is. */
  readonly record: EventRecord | undefined
  readonly fields: Buffer[]
}

/** A page of dead letters, oldest first, starting after `after` (exclusive). */
export async function listDeadLetters(
  link: RedisLink,
  keys: PartitionKeys,
  page: { readonly after?: string | undefined; readonly count: number },
): Promise<DeadLetter[]> {
  const start = page.after === undefined ? '-' : `(${page.after}`
  const reply = (await link.call('XRANGE', keys.deadLetters, start, '+', 'COUNT', page.count)) as RedisReply[]
  return reply.map(letterOf)
}

/** One dead letter by its entry id. */
export async function getDeadLetter(
  link: RedisLink,
  keys: PartitionKeys,
  letterId: string,
): Promise<DeadLetter | undefined> {
  const reply = (await link.call('XRANGE', keys.deadLetters, letterId, letterId)) as RedisReply[]
  return reply.length === 0 ? undefined : letterOf(reply[0] as RedisReply)
}

/** The dead letter of an event, by event id. */
export async function findDeadLetter(
  link: RedisLink,
  keys: PartitionKeys,
  eventId: string,
): Promise<DeadLetter | undefined> {
  const letterId = await link.call('HGET', keys.deadIds, eventId)
  return letterId === null ? undefined : getDeadLetter(link, keys, String(letterId))
}

function letterOf(entry: RedisReply): DeadLetter {
  const [letterId, flat] = entry as [Buffer, Buffer[]]
  const extra = new Map<string, string>()
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = String(flat[i])
    if (name === 'sid' || name === 'reason' || name === 'error' || name.endsWith('_at'))
      extra.set(name, String(flat[i + 1]))
  }
  let record: EventRecord | undefined
  try {
    record = decodeRecord(flat)
  } catch {
    record = undefined // an operator still sees the entry, with its reason `corrupt`
  }
  return {
    letterId: String(letterId),
    streamId: extra.get('sid') ?? '',
    reason: extra.get('reason') ?? '',
    error: extra.get('error') ?? '',
    firstFailedAt: Number(extra.get('first_failed_at') ?? 0),
    deadAt: Number(extra.get('dead_at') ?? 0),
    record,
    fields: flat,
  }
}

/*
 * KEYS  1 dead letters, 2 dead ids, 3 parked due, 4 parked records, 5 parked state, 6 parked ids, 7 ledger,
 *       8 number-of-evidence-shards evidence shards oldest first, then settled shards
 * ARGV  1 letter id, 2 event id, 3 field, 4 id bytes ('' = derived), 5 member of the settled sets, 6 number of
 *       evidence shards, 7 window ms, 8 first slice, 9 'overtaken' when a redelivery is known in another partition
 * Reply 0 no such letter | 1 parked, due now | 2 superseded
 */
const REPLAY = defineScript(
  'replay',
  `${TOUCH_EVIDENCE}${SETTLED_SETS}
local letter = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not letter then return 0 end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local window, first, shards = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[6])
local parked = redis.call('HGET', KEYS[6], ARGV[2])
local overtaken = ARGV[9] == 'overtaken' or parked and redis.call('HEXISTS', KEYS[5], parked) == 1
for i = 1, shards do
  local value = redis.call('HGET', KEYS[7 + i], ARGV[3])
  local base = (first + i - 1) * window
  if value then
    if ARGV[4] == '' then
      if #value < 20 and now - (base + value) < window then overtaken = true end
    elseif #value % 20 == 0 then
      for at = 1, #value, 20 do
        if string.sub(value, at + 4, at + 19) == ARGV[4] and now - (base + struct.unpack('>I4', value, at)) < window then overtaken = true end
      end
    end
  end
end
for i = 8 + shards, #KEYS do
  if remembered(KEYS[i], ARGV[5]) then overtaken = true end
end
if overtaken then
  redis.call('XDEL', KEYS[1], ARGV[1])
  if redis.call('HGET', KEYS[2], ARGV[2]) == ARGV[1] then redis.call('HDEL', KEYS[2], ARGV[2]) end
  redis.call('HINCRBY', KEYS[7], 'superseded', 1)
  return 2
end
local fields, sid, since = {}, nil, now
for i = 1, #letter[2], 2 do
  local name, value = letter[2][i], letter[2][i + 1]
  if name == 'sid' then sid = value
  elseif name == 'first_failed_at' then since = tonumber(value)
  elseif name == 'reason' or name == 'error' or name == 'dead_at' or name == 'n' then
  else
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
end
redis.call('HSET', KEYS[4], sid, cmsgpack.pack(fields))
redis.call('HSET', KEYS[5], sid, cjson.encode({id = ARGV[2], n = 0, d = 0, by = '', reason = 'replay', error = '', since = since}))
redis.call('ZADD', KEYS[3], now, sid)
redis.call('HSET', KEYS[6], ARGV[2], sid)
local slice = math.floor(now / window)
local at = slice - first + 1
if at >= 1 and at <= shards then
  touch(KEYS[7 + at], slice, window, ARGV[3], now, ARGV[4])
end
redis.call('XDEL', KEYS[1], ARGV[1])
if redis.call('HGET', KEYS[2], ARGV[2]) == ARGV[1] then redis.call('HDEL', KEYS[2], ARGV[2]) end
return 1
`,
)

export type ReplayOutcome = 'replayed' | 'superseded' | 'absent'

/**
 * Takes a dead letter up again: parked, due now, with all its attempts before it. If a redelivery of the same event
 * was accepted meanwhile, or it was settled, the letter is superseded instead.
 * @param settledKeys the settled shards of the remembered days (empty for minted ids)
 */
export async function replayDeadLetter(
  link: RedisLink,
  keys: PartitionKeys,
  letter: {
    readonly letterId: string
    readonly record: EventRecord
    /** True: a redelivery is known to have been accepted in another partition. */
    readonly overtaken?: boolean
  },
  evidence: EvidencePlace,
  settled: { readonly keys: readonly string[]; readonly member: string },
  redisMs: number,
): Promise<ReplayOutcome> {
  // One slice more than now, in case the clock passes a boundary on the way.
  const shards = evidenceKeys(evidence, redisMs, redisMs + evidence.windowMs)
  const reply = await link.run(
    REPLAY,
    [
      keys.deadLetters,
      keys.deadIds,
      keys.parkedDue,
      keys.parkedRecords,
      keys.parkedState,
      keys.parkedIds,
      keys.ledger,
      ...shards,
      ...(letter.record.derived ? settled.keys : []),
    ],
    [
      letter.letterId,
      letter.record.id,
      evidence.field,
      letter.record.derived ? '' : eventIdBytes(letter.record.id),
      settled.member,
      shards.length,
      evidence.windowMs,
      Math.floor(redisMs / evidence.windowMs) - 1,
      letter.overtaken ? 'overtaken' : '',
    ],
  )
  return reply === 1 ? 'replayed' : reply === 2 ? 'superseded' : 'absent'
}

/*
 * KEYS  1 dead letters, 2 dead ids, 3 ledger
 * ARGV  1 letter id, 2 event id
 * Reply 1 purged | 0 no such letter
 */
const PURGE = defineScript(
  'purge',
  `
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
if redis.call('HGET', KEYS[2], ARGV[2]) == ARGV[1] then redis.call('HDEL', KEYS[2], ARGV[2]) end
redis.call('HINCRBY', KEYS[3], 'purged', 1)
return 1
`,
)

/** Gives an event up for good; the ledger counts it as purged. False when the letter is not there. */
export async function purgeDeadLetter(
  link: RedisLink,
  keys: PartitionKeys,
  letter: { readonly letterId: string; readonly eventId: string },
): Promise<boolean> {
  return (
    (await link.run(
      PURGE,
      [keys.deadLetters, keys.deadIds, keys.ledger],
      [letter.letterId, letter.eventId],
    )) === 1
  )
}
