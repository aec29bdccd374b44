/**
 * Admission: limits, dedupe and append in one atomic step. A mark without an entry, or an entry without its mark,
 * cannot exist.
 *
 * The outcome is a function of Redis' own time and the evidence:
 *
 *   the caller's slice is not the current one          → reslice(now)         nothing written
 *   own id stands in the window's evidence             → known                nothing written
 *   occurrences in the window ≥ max_size               → duplicate(first id)  nothing written
 *   a limit is exceeded                                → limited(which, wait) nothing written or counted
 *   otherwise XADD, evidence, rates                    → accepted(stream id)
 *
 * With a derived id the own id *is* the occurrence, so a first attempt that finds it is a duplicate and a repeat
 * after an unknown outcome is known; only the caller can tell which, hence `repeat`.
 */
import { type EventId, eventIdBytes, eventIdFromBytes } from '../event.ts'
import type { PartitionKeys } from '../keys.ts'
import type { FieldList } from '../record.ts'
import type { RedisArg, RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'
import { type EvidencePlace, evidencePlace } from './evidence.ts'

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

export interface Admission {
  readonly id: EventId
  readonly tool: string
  readonly locator: Buffer
  readonly derived: boolean
  readonly fields: FieldList
  /** True when an earlier attempt with this id had an unknown outcome, and for draining. */
  readonly repeat: boolean
  readonly limits: readonly RateLimit[]
}

export type AdmissionOutcome =
  | { readonly kind: 'accepted'; readonly streamId: string }
  | { readonly kind: 'known' }
  | { readonly kind: 'duplicate'; readonly firstId: EventId }
  | { readonly kind: 'limited'; readonly limit: RateLimit; readonly retryAfterMs: number }

/** The dedupe window of a tool. */
export interface DedupeWindow {
  /** ms */
  readonly duration: number
  /** How many occurrences of one key pass within it. */
  readonly maxSize: number
}

export interface AdmitterOptions {
  readonly keys: PartitionKeys
  readonly window: (tool: string) => DedupeWindow
  readonly evidenceShards: number
  /** Local wall clock, ms; corrected by what Redis says. */
  readonly now: () => number
}

export interface Admitter {
  /**
   * Admits one event. Throws Fault REDIS_UNAVAILABLE (outcome unknown: admit again with `repeat`, or spool) or
   * REDIS_OUT_OF_MEMORY (nothing was written).
   */
  admit(link: RedisLink, admission: Admission): Promise<AdmissionOutcome>
  /** Redis' clock as last seen, ms. */
  redisNow(): number
}

/**
 * Limits up to this one keep the time of each request that passed (6 bytes each): exact. Larger ones count in sixteenths
 * of the period and leave one out of use only when it is over as a whole: never more than the limit, up to 6 % less
 * when it is used to the full. (One count per period, weighted, let 919 of 600 pass when they came in bursts.)
 */
const LISTED_LIMIT = 128

/*
 * KEYS  1 stream, 2 evidence shard of slice s, 3 of slice s−1, 4… one per limit
 * ARGV  1 slice s, 2 window ms, 3 field, 4 max size, 5 own id bytes ('' = derived), 6 number of limits,
 *       then per limit: limit, period ms; then the record's field/value list
 * Reply {0, stream id} accepted | {1} own id is there | {2, first id bytes or ''} duplicate
 *       | {3, redis ms} reslice | {4, index of the limit (1…), wait ms}
 */
const ADMIT = defineScript(
  'admit',
  `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local slice, window, field, own = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[5]
if math.floor(now / window) ~= slice then return {3, now} end
local start = slice * window
local current = redis.call('HGET', KEYS[2], field)
local previous = redis.call('HGET', KEYS[3], field)
-- Evidence of the other kind (max_size was changed within the window) counts for nothing: see evidence.ts.
if own == '' then
  if current and #current < 20 and now - (start + current) < window then return {2, ''} end
  if previous and #previous < 20 and now - (start - window + previous) < window then return {2, ''} end
else
  local order, valid = {}, {}
  local function scan(value, base)
    if #value % 20 ~= 0 then return end
    for at = 1, #value, 20 do
      local id = string.sub(value, at + 4, at + 19)
      if valid[id] == nil then order[#order + 1], valid[id] = id, false end
      if now - (base + struct.unpack('>I4', value, at)) < window then valid[id] = true end
    end
  end
  if previous then scan(previous, start - window) end
  if current then scan(current, start) end
  if valid[own] then return {1} end
  local count, first = 0, nil
  for _, id in ipairs(order) do
    if valid[id] then count, first = count + 1, first or id end
  end
  if count >= tonumber(ARGV[4]) then return {2, first} end
end
local limits = tonumber(ARGV[6])
local states = {}
for i = 1, limits do
  local limit, period = tonumber(ARGV[5 + i * 2]), tonumber(ARGV[6 + i * 2])
  local state = redis.call('GET', KEYS[3 + i])
  local kind, wait = state and string.sub(state, 1, 1), nil
  if limit < 1 then
    wait = period
  elseif limit <= ${LISTED_LIMIT} then
    local times = kind == 'l' and string.sub(state, 2) or ''
    local rest = #times - 6 * (limit - 1)
    if rest > 0 then
      local ago = now - struct.unpack('>I6', times, rest - 5)
      if ago < period and ago > -period then wait = period - ago end
    end
    if not wait then states[i] = 'l' .. string.sub(times, math.max(1, rest + 1)) .. struct.pack('>I6', now) end
  else
    local step = period / 16
    local index = math.floor(now / step)
    local newest, sum, past = 0, 0, string.rep('\\0', 64)
    if kind == 'c' then
      local at, count, before = struct.unpack('>I6I4I4', state, 2)
      local steps = index - at
      if steps == 0 then
        newest, sum, past = count, before, string.sub(state, 16)
      elseif steps > 0 and steps <= 16 then
        past = string.sub(string.sub(state, 16) .. struct.pack('>I4', count) .. string.rep('\\0', 4 * (steps - 1)), -64)
        for p = 1, 64, 4 do sum = sum + struct.unpack('>I4', past, p) end
      end
    end
    local excess, leaves = newest + sum + 1 - limit, index + 17
    if excess > 0 then
      for p = 0, 15 do
        excess = excess - struct.unpack('>I4', past, 1 + 4 * p)
        if excess <= 0 then leaves = index + 1 + p break end
      end
      wait = leaves * step - now
    else
      states[i] = 'c' .. struct.pack('>I6I4I4', index, newest + 1, sum) .. past
    end
  end
  if wait then return {4, i, math.max(1, math.ceil(wait))} end
end
local sid = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 7 + limits * 2))
if own == '' then
  redis.call('HSET', KEYS[2], field, now - start)
else
  local kept = {}
  if current and #current % 20 == 0 then
    for at = 1, #current, 20 do
      if now - (start + struct.unpack('>I4', current, at)) < window then kept[#kept + 1] = string.sub(current, at, at + 19) end
    end
  end
  kept[#kept + 1] = struct.pack('>I4', now - start) .. own
  redis.call('HSET', KEYS[2], field, table.concat(kept))
end
if redis.call('HLEN', KEYS[2]) == 1 then redis.call('PEXPIREAT', KEYS[2], start + 3 * window) end
for i = 1, limits do
  redis.call('SET', KEYS[3 + i], states[i], 'PX', 2 * ARGV[6 + i * 2])
end
return {0, sid}
`,
)

/** How often the caller's slice may be wrong in a row; twice needs two slice boundaries within one round trip. */
const MAX_RESLICES = 5

export function createAdmitter(options: AdmitterOptions): Admitter {
  let skewMs = 0 // Redis' clock minus ours
  const redisNow = () => options.now() + skewMs
  const layouts = new Map<string, { window: DedupeWindow; place: (locator: Buffer) => EvidencePlace }>()
  const layoutOf = (tool: string) => {
    let layout = layouts.get(tool)
    if (layout === undefined) {
      const window = options.window(tool)
      const shape = { keys: options.keys, tool, windowMs: window.duration, shards: options.evidenceShards }
      layout = { window, place: (locator) => evidencePlace(shape, locator) }
      layouts.set(tool, layout)
    }
    return layout
  }
  return {
    redisNow,
    async admit(link, admission) {
      const { window, place: placeOf } = layoutOf(admission.tool)
      const place = placeOf(admission.locator)
      const limits = admission.limits
      const args: RedisArg[] = [0, window.duration, place.field, window.maxSize, '', limits.length]
      if (!admission.derived) args[4] = eventIdBytes(admission.id)
      for (const limit of limits) args.push(limit.limit, limit.periodMs)
      for (const field of admission.fields) args.push(field)
      for (let attempt = 0; ; attempt++) {
        const slice = Math.floor(redisNow() / window.duration)
        args[0] = slice
        const keys = [options.keys.stream, place.key(slice), place.key(slice - 1)]
        for (const limit of limits) keys.push(`${options.keys.limits}:${limit.type}:${limit.name}`)
        const reply = (await link.run(ADMIT, keys, args)) as RedisReply[]
        switch (reply[0]) {
          case 0:
            return { kind: 'accepted', streamId: String(reply[1]) }
          case 1:
            return { kind: 'known' }
          case 2:
            if (admission.derived) {
              return admission.repeat ? { kind: 'known' } : { kind: 'duplicate', firstId: admission.id }
            }
            return { kind: 'duplicate', firstId: eventIdFromBytes(reply[1] as Buffer) }
          case 4:
            return {
              kind: 'limited',
              limit: limits[(reply[1] as number) - 1] as RateLimit,
              retryAfterMs: reply[2] as number,
            }
        }
        if (attempt === MAX_RESLICES)
          throw new Error(`admission: slice ${slice} was stale ${attempt} times running`)
        skewMs = (reply[1] as number) - options.now()
      }
    },
  }
}
