/**
 * Parked events: waiting for a retry or for an open breaker. Claiming one leases it: its due time moves to the end of
 * the lease, so that the event comes back by itself when the claimer dies.
 */
import type { PartitionKeys } from '../keys.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'
import type { ParkedState } from './handover.ts'

/*
 * A due time is changed by ZREM and ZADD: ZADD alone is refused when Redis is out of memory, after ZREM in the same
 * script it is not. What waits in a full Redis must be able to leave it.
 *
 * KEYS  1 parked due, 2 parked records, 3 parked state
 * ARGV  1 lease token, 2 lease ms, 3 how many at most, 4 how many of them may be suspects, 5 how many to pass over at most
 * Reply {next due ms or -1, redis ms, {stream id, fields, n, d, reason, error, since}…}
 */
const CLAIM_PARKED = defineScript(
  'claim-parked',
  `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local reply = {-1, now}
local max, suspects, passed, taken = tonumber(ARGV[3]), tonumber(ARGV[4]), 0, {}
while #reply - 2 < max and passed <= tonumber(ARGV[5]) do
  local page = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', passed, max)
  for _, sid in ipairs(page) do
    if #reply - 2 >= max then break end
    local raw = not taken[sid] and redis.call('HGET', KEYS[3], sid)
    local state = raw and cjson.decode(raw)
    local packed = state and (state.d == 0 or suspects > 0) and redis.call('HGET', KEYS[2], sid)
    if packed then
      if state.d > 0 then suspects = suspects - 1 end
      taken[sid] = true
      state.d = state.d + 1
      state.by = ARGV[1]
      redis.call('ZREM', KEYS[1], sid)
      redis.call('ZADD', KEYS[1], now + ARGV[2], sid)
      redis.call('HSET', KEYS[3], sid, cjson.encode(state))
      reply[#reply + 1] = {sid, cmsgpack.unpack(packed), state.n, state.d, state.reason, state.error, tostring(state.since)}
    else
      passed = passed + 1
    end
  end
  if #page < max then break end
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if first[2] then reply[1] = math.floor(tonumber(first[2])) end
return reply
`,
)

/** Suspects that one claim passes over to find what waits behind them; each costs Redis about 2 µs. */
const MAX_PASSED_OVER = 1_000

export interface ClaimedEvent {
  readonly streamId: string
  readonly fields: Buffer[]
  readonly state: ParkedState
}

export interface ParkedClaim {
  readonly events: readonly ClaimedEvent[]
  /** When the next parked event (leased ones included) is due, Redis ms; undefined when none is parked. */
  readonly nextDueMs: number | undefined
  readonly redisMs: number
}

/**
 * Leases due events, oldest due first. A suspect is one that was handed out before and came back by the end of its
 * lease, without an outcome: perhaps it kills its worker. They are taken one by one, so that each death accuses one.
 * @param token unique per claimer, e.g. the consumer's name and a counter
 */
export async function claimParked(
  link: RedisLink,
  keys: PartitionKeys,
  token: string,
  leaseMs: number,
  max: number,
  suspects: number,
): Promise<ParkedClaim> {
  const reply = (await link.run(
    CLAIM_PARKED,
    [keys.parkedDue, keys.parkedRecords, keys.parkedState],
    [token, leaseMs, max, suspects, MAX_PASSED_OVER],
  )) as RedisReply[]
  const next = reply[0] as number
  return {
    nextDueMs: next < 0 ? undefined : next,
    redisMs: reply[1] as number,
    events: reply.slice(2).map((item) => {
      const [sid, fields, attempts, deliveries, reason, error, since] = item as RedisReply[]
      return {
        streamId: String(sid),
        fields: fields as Buffer[],
        state: {
          attempts: Number(attempts),
          deliveries: Number(deliveries),
          reason: String(reason),
          error: String(error),
          since: Number(since),
        },
      }
    }),
  }
}

/*
 * KEYS  1 parked due, 2 parked state
 * ARGV  1 lease token, 2 lease ms, then stream ids
 * Reply the stream ids whose lease was renewed
 */
const RENEW_LEASES = defineScript(
  'renew-leases',
  `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local kept = {}
for i = 3, #ARGV do
  local raw = redis.call('HGET', KEYS[2], ARGV[i])
  if raw and cjson.decode(raw).by == ARGV[1] then
    redis.call('ZREM', KEYS[1], ARGV[i])
    redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[i])
    kept[#kept + 1] = ARGV[i]
  end
end
return kept
`,
)

/** Extends leases still held under this token; returns those that are. */
export async function renewLeases(
  link: RedisLink,
  keys: PartitionKeys,
  token: string,
  leaseMs: number,
  streamIds: readonly string[],
): Promise<Set<string>> {
  if (streamIds.length === 0) return new Set()
  const reply = await link.run(
    RENEW_LEASES,
    [keys.parkedDue, keys.parkedState],
    [token, leaseMs, ...streamIds],
  )
  return new Set((reply as RedisReply[]).map(String))
}

/*
 * KEYS  1 stream
 * ARGV  1 group, 2 consumer, then stream ids
 * Reply the stream ids that are still this consumer's
 */
const RENEW_PENDING = defineScript(
  'renew-pending',
  `
local kept = {}
for i = 3, #ARGV do
  if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2]) == 1 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
    kept[#kept + 1] = ARGV[i]
  end
end
return kept
`,
)

/**
 * Resets the idle time of entries that this consumer still owns, so that a long queue is not mistaken for a dead
 * consumer; returns those it owns. Never takes an entry back from another consumer.
 */
export async function renewPending(
  link: RedisLink,
  keys: PartitionKeys,
  consumer: string,
  streamIds: readonly string[],
): Promise<Set<string>> {
  if (streamIds.length === 0) return new Set()
  const reply = await link.run(RENEW_PENDING, [keys.stream], [keys.group, consumer, ...streamIds])
  return new Set((reply as RedisReply[]).map(String))
}

/*
 * KEYS  1 parked due, 2 parked state
 * ARGV  1 reason, 2 rank to start at, 3 how many to look at
 * Reply {looked at, made due}
 */
const WAKE = defineScript(
  'wake-parked',
  `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local sids = redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[2] + ARGV[3] - 1)
local woken = 0
for _, sid in ipairs(sids) do
  local raw = redis.call('HGET', KEYS[2], sid)
  local state = raw and cjson.decode(raw)
  if state and state.by == '' and state.reason == ARGV[1] then
    redis.call('ZADD', KEYS[1], 'LT', now, sid)
    woken = woken + 1
  end
end
return {#sids, woken}
`,
)

/** Parked events looked at in one script: a few hundred µs. */
const WAKE_STEP = 200

/**
 * Makes every unleased parked event with this reason due now (a breaker closed, a dictionary came back).
 * Ranks already looked at never move behind ranks that are still to come: waking only moves events to the front.
 */
export async function wakeParked(link: RedisLink, keys: PartitionKeys, reason: string): Promise<number> {
  let total = 0
  for (let rank = 0; ; rank += WAKE_STEP) {
    const reply = await link.run(WAKE, [keys.parkedDue, keys.parkedState], [reason, rank, WAKE_STEP])
    const [looked, woken] = reply as number[]
    total += woken ?? 0
    if ((looked ?? 0) < WAKE_STEP) return total
  }
}
