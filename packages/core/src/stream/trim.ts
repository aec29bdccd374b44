/**
 * Trimming: only behind what every group has settled, and not before `keep_settled` is over. Never a MAXLEN.
 * The floor (the highest id up to which everything is settled, parked or dead) is saved for a lost group.
 */
import type { PartitionKeys } from '../keys.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'

/*
 * KEYS  1 stream, 2 ledger
 * ARGV  1 our group, 2 keep settled ms
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
  if g.name == ARGV[1] then floor = done end
  if not lowest or less(keep, lowest) then lowest = keep end
end
-- Without our group nobody knows what it has not read: other groups may be ahead of it.
if not floor then return {0, ''} end
local kept = string.format('%d-0', math.max(0, now - ARGV[2]))
if less(kept, lowest) then lowest = kept end
-- XTRIM first: it works when Redis is out of memory, and HSET after it in the same script then does too.
local trimmed = redis.call('XTRIM', KEYS[1], 'MINID', '~', lowest)
if floor ~= '0-0' then redis.call('HSET', KEYS[2], 'floor', floor) end
return {trimmed, floor}
`,
)

export interface TrimResult {
  readonly trimmed: number
  readonly floor: string
}

/** Saves the floor and removes what nobody needs any more. Approximate: whole stream nodes only. */
export async function trimSettled(
  link: RedisLink,
  keys: PartitionKeys,
  keepSettledMs: number,
): Promise<TrimResult> {
  const reply = (await link.run(
    TRIM,
    [keys.stream, keys.ledger],
    [keys.group, keepSettledMs],
  )) as RedisReply[]
  return { trimmed: Number(reply[0]), floor: String(reply[1]) }
}
