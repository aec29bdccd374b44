/**
 * Trimming: only behind what every group has settled, and not before `keep_settled` is over. Never a MAXLEN.
 * The floor (the highest id up to which everything is settled, parked or dead) is saved for a lost group.
 *
 * An id tells its entry's age, unless Redis' clock went back: ids then go on ahead of it, for days, and by age nothing would
 * be trimmed until the clock has caught up. So while they are ahead the newest id that may go is noted together with the
 * time (ledger: trim_next, trim_at), and may go (trim_id) once `keep_settled` has passed since: after once to twice as long.
 */
import type { PartitionKeys } from '../keys.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'

/*
 * KEYS  1 stream, 2 ledger
 * ARGV  1 our group, 2 keep settled ms, 3 '=' = exactly, '~' = whole nodes
 * Reply {trimmed, floor or ''}
 */
const TRIM = defineScript(
  'trim',
  `
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, ''} end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function parse(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function before(id)
  local ms, seq = parse(id)
  if seq > 0 then return string.format('%d-%d', ms, seq - 1) end
  return string.format('%d-18446744073709551615', ms - 1)
end
local function less(a, b)
  local aMs, aSeq = parse(a)
  local bMs, bSeq = parse(b)
  return aMs < bMs or (aMs == bMs and aSeq < bSeq)
end
local lowest, floor = nil, nil
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local g = {}
  for i = 1, #group, 2 do g[group[i]] = group[i + 1] end
  local keep = g['last-delivered-id']
  local done = keep
  if g.pending > 0 then
    local oldest = redis.call('XPENDING', KEYS[1], g.name)[2]
    if less(oldest, keep) or oldest == keep then keep, done = oldest, before(oldest) end
  end
  -- MINID keeps its own entry, which is settled where it is the last that was delivered.
  if ARGV[3] == '=' and keep == done and keep ~= '0-0' then
    local ms, seq = parse(keep)
    keep = string.format('%d-%d', ms, seq + 1)
  end
  if g.name == ARGV[1] then floor = done end
  if not lowest or less(keep, lowest) then lowest = keep end
end
-- Without our group nobody knows what it has not read: other groups may be ahead of it.
if not floor then return {0, ''} end
local kept = string.format('%d-0', math.max(0, now - ARGV[2]))
local marks = redis.call('HMGET', KEYS[2], 'trim_id', 'trim_next', 'trim_at')
local ahead, at = parse(lowest) > now, tonumber(marks[3] or 0)
local due, noted = marks[1] or '', false
if ahead then
  -- A time of noting that is still to come was written before the clock went back once more.
  if not marks[2] or at > now then
    noted = true
  elseif now - at >= tonumber(ARGV[2]) then
    due, noted = marks[2], true
  end
  if due ~= '' and less(kept, due) then kept = due end
end
local newest = lowest
if less(kept, lowest) then lowest = kept end
-- XTRIM first: it works when Redis is out of memory, and HSET after it in the same script then does too.
local trimmed = redis.call('XTRIM', KEYS[1], 'MINID', ARGV[3], lowest)
if noted then
  redis.call('HSET', KEYS[2], 'trim_id', due, 'trim_next', newest, 'trim_at', string.format('%d', now))
elseif marks[3] and not ahead then
  redis.call('HDEL', KEYS[2], 'trim_id', 'trim_next', 'trim_at')
end
if floor ~= '0-0' then redis.call('HSET', KEYS[2], 'floor', floor) end
return {trimmed, floor}
`,
)

export interface TrimResult {
  readonly trimmed: number
  readonly floor: string
}

/** Saves the floor and removes what nobody needs any more. Approximate: whole stream nodes only. */
export function trimSettled(
  link: RedisLink,
  keys: PartitionKeys,
  keepSettledMs: number,
): Promise<TrimResult> {
  return trim(link, keys, keepSettledMs, '~')
}

/**
 * Removes every entry behind what all groups have settled, of whatever age and tenant: their bytes can be read no longer, unless a
 * context has them. Entries whose ids are ahead of Redis' clock stay.
 */
export function trimAllSettled(link: RedisLink, keys: PartitionKeys): Promise<TrimResult> {
  return trim(link, keys, 0, '=')
}

async function trim(
  link: RedisLink,
  keys: PartitionKeys,
  keepSettledMs: number,
  how: '~' | '=',
): Promise<TrimResult> {
  const reply = (await link.run(
    TRIM,
    [keys.stream, keys.ledger],
    [keys.group, keepSettledMs, how],
  )) as RedisReply[]
  return { trimmed: Number(reply[0]), floor: String(reply[1]) }
}
