/**
 * The consumer group: created at 0, never at `$`, so that nothing that was appended before the first consumer is
 * missed. A group that was lost (destroyed, or the stream came back without it) is made again at the settled floor.
 *
 * Everything above the floor is then read anew: parked copies and dead letters of those entries are dropped, because
 * the entries themselves come again, and the counters are set to what lies at or below the floor. Effects are keyed by
 * event id, so repeats change nothing.
 */
import type { PartitionKeys } from '../keys.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'

/*
 * KEYS  1 stream, 2 ledger, 3 parked due, 4 parked records, 5 parked state, 6 parked ids, 7 dead letters, 8 dead ids
 * ARGV  1 group
 * Reply {0} exists | {1, floor, entries read anew} created
 */
const ENSURE_GROUP = defineScript(
  'ensure-group',
  `
local group = ARGV[1]
if redis.call('EXISTS', KEYS[1]) == 1 then
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    if info[2] == group then return {0} end
  end
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('XGROUP', 'CREATE', KEYS[1], group, '0', 'MKSTREAM', 'ENTRIESREAD', 0)
  return {1, '0', 0}
end
local floor = redis.call('HGET', KEYS[2], 'floor') or '0-0'
local function parse(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local floorMs, floorSeq = parse(floor)
local function above(id)
  local ms, seq = parse(id)
  return ms and (ms > floorMs or (ms == floorMs and seq > floorSeq))
end
local again, cursor = 0, '(' .. floor
if floor == '0-0' then
  again = redis.call('XLEN', KEYS[1])
else
  while true do
    local entries = redis.call('XRANGE', KEYS[1], cursor, '+', 'COUNT', 1000)
    again = again + #entries
    if #entries < 1000 then break end
    cursor = '(' .. entries[#entries][1]
  end
end
local added
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do
  if info[i] == 'entries-added' then added = info[i + 1] end
end
local read = added - again
-- First: it is refused when Redis is out of memory.
redis.call('XGROUP', 'CREATE', KEYS[1], group, floor, 'ENTRIESREAD', read)
for _, sid in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  if above(sid) then
    redis.call('ZREM', KEYS[3], sid)
    redis.call('HDEL', KEYS[4], sid)
    local state = redis.call('HGET', KEYS[5], sid)
    if state then
      local id = cjson.decode(state).id
      if redis.call('HGET', KEYS[6], id) == sid then redis.call('HDEL', KEYS[6], id) end
    end
    redis.call('HDEL', KEYS[5], sid)
  end
end
cursor = '-'
while true do
  local entries = redis.call('XRANGE', KEYS[7], cursor, '+', 'COUNT', 100)
  for _, entry in ipairs(entries) do
    local sid, id
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 'sid' then sid = entry[2][i + 1] elseif entry[2][i] == 'id' then id = entry[2][i + 1] end
    end
    if sid and above(sid) then
      redis.call('XDEL', KEYS[7], entry[1])
      if id and redis.call('HGET', KEYS[8], id) == entry[1] then redis.call('HDEL', KEYS[8], id) end
    end
  end
  if #entries < 100 then break end
  cursor = '(' .. entries[#entries][1]
end
local old = redis.call('HMGET', KEYS[2], 'settled', 'superseded', 'purged')
local left = math.max(0, read - redis.call('ZCARD', KEYS[3]) - redis.call('XLEN', KEYS[7]))
local purged = math.min(tonumber(old[3] or 0), left)
local superseded = math.min(tonumber(old[2] or 0), left - purged)
-- Never more than was counted: what was unaccounted for before must not vanish here.
local settled = math.min(tonumber(old[1] or 0), left - purged - superseded)
if old[1] or old[2] or old[3] then
  redis.call('HSET', KEYS[2], 'settled', settled, 'superseded', superseded, 'purged', purged)
end
return {1, floor == '0-0' and '0' or floor, again}
`,
)

export type GroupState =
  | { readonly kind: 'exists' }
  | { readonly kind: 'created'; readonly from: string; readonly unread: number }

/** Makes the consumer group if it is not there. */
export async function ensureGroup(link: RedisLink, keys: PartitionKeys): Promise<GroupState> {
  const reply = (await link.run(
    ENSURE_GROUP,
    [
      keys.stream,
      keys.ledger,
      keys.parkedDue,
      keys.parkedRecords,
      keys.parkedState,
      keys.parkedIds,
      keys.deadLetters,
      keys.deadIds,
    ],
    [keys.group],
  )) as RedisReply[]
  if (reply[0] === 0) return { kind: 'exists' }
  return { kind: 'created', from: String(reply[1]), unread: Number(reply[2]) }
}
