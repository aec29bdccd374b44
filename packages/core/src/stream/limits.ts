/**
 * Rate limits, as Redis counts them: at most `limit` events in any `periodMs`, wherever that period begins. A refused
 * request is counted nowhere.
 *
 *   <limits>:<type>:<name>   string, one of two kinds, written with a time to live of two periods:
 *     'l'  the times (6 bytes, ms) of the last `limit` events that passed: exact. For limits up to LISTED_LIMIT.
 *     'c'  number of the newest sixteenth of the period, its count, the sum and the counts of the sixteen before it.
 *          A sixteenth leaves as a whole, when no period can reach both it and now: never more than the limit, up to 6 %
 *          less when it is used to the full. (One count per period, weighted, let 919 of 600 pass when they came in bursts.)
 *
 * Each limit is counted in one place for all partitions, which is the one that `limitPartition` names. With one partition
 * that is where events are admitted, and the admission script counts them by the way. On a Cluster with more, the place
 * is mostly another slot: there `takeLimits` comes first, and the admission only when it has answered, never at the same
 * time; what was taken for an event that was then not accepted is returned. Large limits are also handed out in blocks
 * (`leasePermits`): see leases.ts.
 */
import { crc32 } from 'node:zlib'
import type { PartitionKeys } from '../keys.ts'
import type { RedisArg, RedisLink } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'

/** A sliding-window limit, counted in Redis: at most `limit` in any `periodMs`, wherever that period begins. */
export interface RateLimit {
  /** global, tool, tenant or ip: label of webhook_rate_limit_exceeded_total. */
  readonly type: 'global' | 'tool' | 'tenant' | 'ip'
  /** What is counted, already validated or hashed; part of a key. */
  readonly name: string
  readonly limit: number
  /** ms */
  readonly periodMs: number
}

/** An event that a limit does not let through. */
export interface Limited {
  readonly kind: 'limited'
  readonly limit: RateLimit
  /** ms until one more may pass */
  readonly retryAfterMs: number
}

/** Where a limit is counted: the master of one partition, and its keys. */
export interface LimitPlace {
  readonly link: RedisLink
  readonly keys: PartitionKeys
}

/** Limits up to this one are exact, and never leased. */
export const LISTED_LIMIT = 128
/** Parts of a period that are counted apart, here and in local-limits.ts. */
export const SUB_PERIODS = 16

export function limitKey(keys: PartitionKeys, limit: RateLimit): string {
  return `${keys.limits}:${limit.type}:${limit.name}`
}

/** The partition, of so many, in which a limit is counted for all of them: the same in every gateway. */
export function limitPartition(limit: RateLimit, partitions: number): number {
  return partitions === 1 ? 0 : crc32(`${limit.type}:${limit.name}`) % partitions
}

/**
 * Lua, part of every script that counts: `one(state, limit, period, now)` is what the state of a limit becomes when one
 * more passes, or nil and how long until one does (ms). `counted(state, limit, period, now, want, cell, back)` is the
 * same for the second kind and for many: first `back` are taken out of sixteenth `cell`, then up to `want` are granted;
 * it returns the new state, how many, the number of the current sixteenth, and the wait when there were none.
 *
 * Sixteenths begin at whole milliseconds, so that sixteen of them are a period exactly.
 */
export const COUNT_LIMITS = `
local function listed(state, limit, period, now)
  if not state or string.byte(state) ~= 108 then return 'l' .. struct.pack('>I6', now) end
  local rest = #state - 1 - 6 * (limit - 1)
  if rest > 0 then
    local ago = now - struct.unpack('>I6', state, rest - 4)
    if ago < period and ago > -period then return nil, period - ago end
    state = 'l' .. string.sub(state, rest + 2)
  end
  return state .. struct.pack('>I6', now)
end
local function counted(state, limit, period, now, want, cell, back)
  local step = period / ${SUB_PERIODS}
  local index = math.floor(now / step)
  local newest, sum, past = 0, 0, string.rep('\\0', 64)
  if state and string.byte(state) == 99 then
    local at, count, before = struct.unpack('>I6I4I4', state, 2)
    local steps = index - at
    -- The clock went back a little: nothing that was counted is forgotten.
    if steps < 0 and steps >= -16 then index, steps = at, 0 end
    if steps == 0 then
      newest, sum, past = count, before, string.sub(state, 16)
    elseif steps > 0 and steps <= 16 then
      past = string.sub(string.sub(state, 16) .. struct.pack('>I4', count) .. string.rep('\\0', 4 * (steps - 1)), -64)
      for p = 1, 64, 4 do sum = sum + struct.unpack('>I4', past, p) end
    end
  end
  local age = index - cell
  if back > 0 and age == 0 then
    newest = math.max(0, newest - back)
  elseif back > 0 and age > 0 and age <= 16 then
    local p = 65 - 4 * age
    local count = struct.unpack('>I4', past, p)
    local less = math.min(back, count)
    past = string.sub(past, 1, p - 1) .. struct.pack('>I4', count - less) .. string.sub(past, p + 4)
    sum = sum - less
  end
  local granted = math.max(0, math.min(want, limit - newest - sum))
  local wait
  if granted == 0 then
    local excess, leaves = newest + sum + 1 - limit, index + 17
    for p = 0, 15 do
      excess = excess - struct.unpack('>I4', past, 1 + 4 * p)
      if excess <= 0 then leaves = index + 1 + p break end
    end
    wait = math.ceil(leaves * step) - now
  end
  return 'c' .. struct.pack('>I6I4I4', index, newest + granted, sum) .. past, granted, index, wait
end
local function one(state, limit, period, now)
  if limit < 1 then return nil, period end
  if limit <= ${LISTED_LIMIT} then return listed(state, limit, period, now) end
  local next, granted, _, wait = counted(state, limit, period, now, 1, 0, 0)
  if granted == 1 then return next end
  return nil, wait
end
`

/*
 * KEYS  1 the limit
 * ARGV  1 limit, 2 period ms, 3 permits wanted, 4 sixteenth of unspent ones, 5 how many of them come back
 * Reply granted, number of the sixteenth, µs until its end, ms until one could be granted (when none was)
 */
const LEASE = defineScript(
  'lease-permits',
  `${COUNT_LIMITS}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local period, back = tonumber(ARGV[2]), tonumber(ARGV[5])
local state, granted, index, wait = counted(
  redis.call('GET', KEYS[1]), tonumber(ARGV[1]), period, now, tonumber(ARGV[3]), tonumber(ARGV[4]), back)
if granted > 0 or back > 0 then redis.call('SET', KEYS[1], state, 'PX', string.format('%d', 2 * period)) end
local left = math.ceil((index + 1) * period / ${SUB_PERIODS}) * 1000 - (t[1] * 1000000 + t[2])
return {granted, index, math.min(left, math.ceil(period * 1000 / ${SUB_PERIODS})), math.max(1, wait or 0)}
`,
)

/** A block of permits of one sixteenth of the limit's period; `permits` may be 0. */
export interface LeasedPermits {
  readonly permits: number
  /** Number of the sixteenth that they are counted in. */
  readonly cell: number
  /** ms, from some moment between the call and its answer, until that sixteenth ends. */
  readonly remainingMs: number
  /** Where there were none: ms until there may be one. */
  readonly waitMs: number
}

/**
 * Takes up to `want` permits of a limit above LISTED_LIMIT, and gives back those that were not spent before. Atomic, but
 * not repeatable: after Fault REDIS_UNAVAILABLE neither may be tried again, because both may have happened. (What is
 * lost that way is out of use for one period.)
 */
export async function leasePermits(
  { link, keys }: LimitPlace,
  limit: RateLimit,
  want: number,
  unspent: { readonly cell: number; readonly permits: number },
): Promise<LeasedPermits> {
  const args = [limit.limit, limit.periodMs, want, unspent.cell, unspent.permits]
  const reply = await link.run(LEASE, [limitKey(keys, limit)], args)
  const [permits, cell, remainingUs, waitMs] = reply as [number, number, number, number]
  return { permits, cell, remainingMs: remainingUs / 1000, waitMs }
}

/*
 * KEYS  1… the limits
 * ARGV  per limit: limit, period ms
 * Reply {0, redis ms} taken | {index of the limit (1…), ms until one more passes}
 */
const TAKE = defineScript(
  'take-limits',
  `${COUNT_LIMITS}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local states = {}
for i = 1, #KEYS do
  local state, wait = one(redis.call('GET', KEYS[i]), tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i]), now)
  if not state then return {i, math.max(1, math.ceil(wait))} end
  states[i] = state
end
for i = 1, #KEYS do redis.call('SET', KEYS[i], states[i], 'PX', string.format('%d', 2 * ARGV[2 * i])) end
return {0, now}
`,
)

export type TakeOutcome =
  /** `stamp`: Redis ms, names them when they are returned. */
  { readonly kind: 'taken'; readonly stamp: number } | Limited

/** Counts one event against each of these limits of one place, or against none when one of them is exceeded. */
export async function takeLimits(
  { link, keys }: LimitPlace,
  limits: readonly RateLimit[],
): Promise<TakeOutcome> {
  const args: RedisArg[] = limits.flatMap((limit) => [limit.limit, limit.periodMs])
  const reply = await link.run(
    TAKE,
    limits.map((limit) => limitKey(keys, limit)),
    args,
  )
  const [index, ms] = reply as [number, number]
  if (index === 0) return { kind: 'taken', stamp: ms }
  return { kind: 'limited', limit: limits[index - 1] as RateLimit, retryAfterMs: ms }
}

/*
 * KEYS  1… the limits
 * ARGV  1 when they were taken, redis ms; then per limit: limit, period ms
 * Reply number of limits that had it
 */
const RETURN = defineScript(
  'return-limits',
  `${COUNT_LIMITS}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local stamp, found = tonumber(ARGV[1]), 0
local time = struct.pack('>I6', stamp)
for i = 1, #KEYS do
  local limit, period = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local state, next = redis.call('GET', KEYS[i]), nil
  if state and limit <= ${LISTED_LIMIT} then
    for at = #state - 5, 2, -6 do
      if string.sub(state, at, at + 5) == time then
        next = string.sub(state, 1, at - 1) .. string.sub(state, at + 6)
        break
      end
    end
  elseif state then
    next = counted(state, limit, period, now, 0, math.floor(stamp * ${SUB_PERIODS} / period), 1)
  end
  if next then
    redis.call('SET', KEYS[i], next, 'KEEPTTL')
    found = found + 1
  end
end
return found
`,
)

/** Undoes `takeLimits` for an event that was not accepted. Not repeatable, like every return. */
export async function returnLimits(
  { link, keys }: LimitPlace,
  limits: readonly RateLimit[],
  stamp: number,
): Promise<void> {
  const args: RedisArg[] = [stamp, ...limits.flatMap((limit) => [limit.limit, limit.periodMs])]
  const names = limits.map((limit) => limitKey(keys, limit))
  await link.run(RETURN, names, args)
}
