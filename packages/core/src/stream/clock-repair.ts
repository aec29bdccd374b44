/**
 * What is to be done when Redis' clock went back (docs/redis.md, "When Redis' clock jumps").
 *
 * All times in Redis are Redis' own, so a clock that is merely wrong harms nobody. A jump forward makes things happen
 * early, which is harmless: retries run, leases and evidence end. A jump back leaves times that are still to come:
 *
 *   stream ids           go on from the last one, ahead of the clock         for as long as it was ahead; nothing to repair
 *   idle times           0 for what was delivered meanwhile                  a dead consumer's entries would stay its own
 *   parked events        due when the clock comes there again                made due now; leases last one lease from now
 *   breakers             open until then                                     the probe may run now
 *   evidence             of slices to come: not asked for now, but then      dropped: by then it says nothing that is true
 *
 * Noticing it costs one script of some 20 µs, however long the stream: the newest time that was ever noted, and the last id of the stream, are
 * compared with the clock. Parked events and breakers are looked at each time, as few of them can be that far ahead;
 * pending entries and evidence are gone through once after each jump, by one consumer.
 */
import type { PartitionKeys } from '../keys.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'
import { evidenceSliceStart } from './evidence.ts'

/** Differences up to this one are not taken for a jump, ms: clocks are slewed, and servers of a failover differ a little. */
export const CLOCK_TOLERANCE_MS = 1_000

/** How far ahead of Redis' clock anything may be by right, ms. */
export interface ClockLimits {
  /** The longest delay with which an event is parked. */
  readonly longestDelayMs: number
  /** Lease of a parked event that is being worked on. */
  readonly leaseMs: number
  /** How long a breaker stays open. */
  readonly openDurationMs: number
  readonly probeLeaseMs: number
}

export interface ClockReading {
  /** How far Redis' clock is behind the newest time that it ever told, ms; 0 while all is well. */
  readonly behindMs: number
  /** What was repaired; undefined when nothing was to be, or another consumer does it. */
  readonly repaired: ClockRepairs | undefined
}

/** How many of each. */
export interface ClockRepairs {
  readonly parked: number
  readonly breakers: number
  readonly pending: number
  /** Shards of evidence. */
  readonly evidence: number
}

/** Parked events or pending entries looked at in one script: a few hundred µs. */
const PAGE = 200
/** Keys looked at by one SCAN. */
const SCAN_COUNT = 1_000
/** Time after which a repair that did not end is begun by another consumer, ms. */
const REPAIR_LEASE_MS = 10_000

/*
 * ledger: clock = the newest time noted, clock_seen = the last id's ms for which a repair has ended, clock_repair = when one
 * began. Notes come last and may fail: a full Redis is to be repaired all the same, and then there is more to do next time.
 *
 * KEYS  1 stream, 2 ledger, 3 parked due, 4 parked state, 5… breakers
 * ARGV  1 tolerance, 2 longest delay, 3 lease, 4 open duration, 5 probe lease (all ms), 6 page, 7 repair lease ms
 * Reply {redis ms, behind ms, ms of the last id, 1 when the caller is to go through the rest, parked, breakers}
 */
const CHECK_CLOCK = defineScript(
  'check-clock',
  `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local tolerance = tonumber(ARGV[1])
local last = 0
if redis.call('EXISTS', KEYS[1]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = tonumber(string.match(info[i + 1], '^%d+')) end
  end
end
local parked, breakers = 0, 0
local beyond = string.format('(%d', now + ARGV[2] + tolerance)
for _, sid in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], beyond, '+inf', 'LIMIT', 0, ARGV[6])) do
  local raw = redis.call('HGET', KEYS[4], sid)
  local leased = raw and cjson.decode(raw).by ~= ''
  -- ZREM first: then ZADD is not refused when Redis is out of memory.
  redis.call('ZREM', KEYS[3], sid)
  redis.call('ZADD', KEYS[3], leased and now + ARGV[3] or now, sid)
  parked = parked + 1
end
for i = 5, #KEYS do
  local b = redis.call('HMGET', KEYS[i], 'since', 'until', 'probe')
  local since, untilMs, probe = tonumber(b[1] or 0), tonumber(b[2] or 0), tonumber(b[3] or 0)
  if untilMs - now > ARGV[4] + tolerance or probe - now > ARGV[5] + tolerance then
    redis.pcall('HSET', KEYS[i], 'since', math.min(since, now), 'until', math.min(untilMs, now), 'probe', 0)
    breakers = breakers + 1
  end
end
local saved = redis.call('HMGET', KEYS[2], 'clock', 'clock_seen', 'clock_repair')
local newest, seen, began = tonumber(saved[1] or 0), tonumber(saved[2] or 0), tonumber(saved[3] or 0)
local mine = 0
if newest > now + tolerance or (last > now + tolerance and last ~= seen) then
  if math.abs(now - began) >= tonumber(ARGV[7]) then
    mine = 1
    redis.pcall('HSET', KEYS[2], 'clock_repair', string.format('%d', now))
  end
elseif now > newest then
  redis.pcall('HSET', KEYS[2], 'clock', string.format('%d', now))
end
return {now, math.max(0, last - now, newest - now), last, mine, parked, breakers}
`,
)

/*
 * An entry that shows no idle time at all was delivered this very millisecond, or in a time that is still to come. Its
 * idle time begins now, for its owner as it is: a living one does the same when it renews what it holds, and a dead one's
 * entries are taken over after reclaim_idle.
 *
 * KEYS  1 stream
 * ARGV  1 group, 2 start of the range, 3 how many at most
 * Reply {last id looked at or '', how many were set}
 */
const REPAIR_IDLE = defineScript(
  'repair-idle',
  `
local there = false
if redis.call('EXISTS', KEYS[1]) == 1 then
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do there = there or info[2] == ARGV[1] end
end
if not there then return {'', 0} end
local page, set = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], '+', ARGV[3]), 0
for _, item in ipairs(page) do
  if item[3] == 0 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], item[2], 0, item[1], 'JUSTID')
    set = set + 1
  end
end
return {#page > 0 and page[#page][1] or '', set}
`,
)

/*
 * KEYS  1 ledger
 * ARGV  1 ms of the last id when the repair began
 */
const END_REPAIR = defineScript(
  'end-clock-repair',
  `
local t = redis.call('TIME')
redis.call('HDEL', KEYS[1], 'clock_repair')
redis.call('HSET', KEYS[1], 'clock', string.format('%d', t[1] * 1000 + math.floor(t[2] / 1000)), 'clock_seen', ARGV[1])
return 1
`,
)

/**
 * Notes Redis' time, and repairs what a jump back has left. To be called every few seconds by every consumer.
 * @param tools whose breakers there may be
 */
export async function keepClock(
  link: RedisLink,
  keys: PartitionKeys,
  tools: readonly string[],
  limits: ClockLimits,
): Promise<ClockReading> {
  const look = async () => {
    const reply = await link.run(
      CHECK_CLOCK,
      [
        keys.stream,
        keys.ledger,
        keys.parkedDue,
        keys.parkedState,
        ...tools.map((tool) => keys.breaker(tool)),
      ],
      [
        CLOCK_TOLERANCE_MS,
        limits.longestDelayMs,
        limits.leaseMs,
        limits.openDurationMs,
        limits.probeLeaseMs,
        PAGE,
        REPAIR_LEASE_MS,
      ],
    )
    const [redisMs, behindMs, lastMs, mine, parked, breakers] = reply as number[]
    return {
      redisMs: redisMs!,
      behindMs: behindMs!,
      lastMs: lastMs!,
      mine: mine === 1,
      parked: parked!,
      breakers: breakers!,
    }
  }
  const first = await look()
  let { parked } = first
  for (let page = parked; page === PAGE; ) {
    page = (await look()).parked
    parked += page
  }
  const { behindMs, breakers } = first
  if (!first.mine) {
    const repaired = parked + breakers > 0 ? { parked, breakers, pending: 0, evidence: 0 } : undefined
    return { behindMs, repaired }
  }
  const pending = await repairIdle(link, keys)
  const evidence = await dropEvidenceFrom(
    link,
    keys,
    first.redisMs + limits.longestDelayMs + CLOCK_TOLERANCE_MS,
  )
  await link.run(END_REPAIR, [keys.ledger], [first.lastMs])
  return { behindMs, repaired: { parked, breakers, pending, evidence } }
}

async function repairIdle(link: RedisLink, keys: PartitionKeys): Promise<number> {
  let total = 0
  for (let start = '-'; ; ) {
    const [last, set] = (await link.run(
      REPAIR_IDLE,
      [keys.stream],
      [keys.group, start, PAGE],
    )) as RedisReply[]
    total += set as number
    if (String(last) === '') return total
    start = `(${String(last)}`
  }
}

/** Drops evidence of slices that begin after `fromMs`, shard by shard; goes through the keys of the server once. */
async function dropEvidenceFrom(link: RedisLink, keys: PartitionKeys, fromMs: number): Promise<number> {
  const pattern = `${keys.evidence.replaceAll(/[\\*?[\]]/g, '\\$&')}:*`
  let dropped = 0
  for (let cursor = '0'; ; ) {
    const reply = (await link.call('SCAN', cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT)) as RedisReply[]
    const future = (reply[1] as RedisReply[])
      .map(String)
      .filter((key) => evidenceSliceStart(keys, key) > fromMs)
    if (future.length > 0) dropped += (await link.call('UNLINK', ...future)) as number
    cursor = String(reply[0])
    if (cursor === '0') return dropped
  }
}
