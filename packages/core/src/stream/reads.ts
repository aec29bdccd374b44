/**
 * How many entries the consumer group has read: the number that `lag`, and with it the ledger, is made of.
 *
 * Redis counts it (`entries-read`), but does not write the count into its append-only file nor to its replicas: a
 * delivery is passed on as an XCLAIM with LASTID. After a restart or a failover the group stands at the right place
 * with the count of its creation, and the lag is too large for ever (7.0.15: 5 of 8 read, killed, restarted: lag 8).
 * So a pair that belongs together (last delivered id, entries read) is kept beside the ledger, with the run id of the
 * server that said so; under another run id the count is made anew from the pair and the entries after it.
 */
import type { PartitionKeys } from '../keys.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'

/** Lua: `run_id()`, the id of this server process; nil when the user may not ask. */
export const RUN_ID = `
local function run_id()
  local ok, info = pcall(redis.call, 'INFO', 'server')
  return ok and type(info) == 'string' and string.match(info, 'run_id:(%x+)') or nil
end
`

/*
 * KEYS  1 stream, 2 ledger
 * ARGV  1 group
 * Reply {0} nothing to do | {1} pair noted | {2, entries read by Redis' count or -1, by ours} corrected
 */
const KEEP_READS = defineScript(
  'keep-reads',
  `${RUN_ID}
if redis.call('EXISTS', KEYS[1]) == 0 then return {0} end
local last, read
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local g = {}
  for i = 1, #group, 2 do g[group[i]] = group[i + 1] end
  if g.name == ARGV[1] then last, read = g['last-delivered-id'], g['entries-read'] end
end
local run = run_id()
if not last or not run then return {0} end
local saved = redis.call('HMGET', KEYS[2], 'read_id', 'read_count', 'read_run')
local function note(count)
  if saved[1] == last and saved[3] == run then return end
  -- Out of memory it stays as it was; then there is more to count after a crash.
  redis.pcall('HSET', KEYS[2], 'read_id', last, 'read_count', string.format('%d', count), 'read_run', run)
end
if saved[3] == run then
  if type(read) == 'number' then note(read) end
  return {1}
end
local function parse(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function above(a, b)
  local aMs, aSeq = parse(a)
  local bMs, bSeq = parse(b)
  return aMs > bMs or (aMs == bMs and aSeq > bSeq)
end
local info, s = redis.call('XINFO', 'STREAM', KEYS[1]), {}
for i = 1, #info, 2 do s[info[i]] = info[i + 1] end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local from, count = '-', s['entries-added'] - s.length
local savedCount = tonumber(saved[2] or -1)
if saved[1] and savedCount >= count and not above(saved[1], last) and (not first or not above(first[1], saved[1])) then
  from, count = '(' .. saved[1], savedCount
end
while from ~= '(' .. last do
  local entries = redis.call('XRANGE', KEYS[1], from, last, 'COUNT', 1000)
  count = count + #entries
  if #entries < 1000 then break end
  from = '(' .. entries[#entries][1]
end
if read == count then
  note(count)
  return {1}
end
redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], last, 'ENTRIESREAD', string.format('%d', count))
note(count)
return {2, type(read) == 'number' and read or -1, count}
`,
)

export type KeptReads =
  | { readonly kind: 'absent' }
  | { readonly kind: 'noted' }
  | { readonly kind: 'corrected'; readonly from: number | undefined; readonly to: number }

/**
 * Notes how far the group has read, or corrects Redis' count when another server process has taken the data over. To be
 * called after every (re)connect before anything is read, and every second or so: what was read between the last call
 * and a crash is counted one by one.
 */
export async function keepReads(link: RedisLink, keys: PartitionKeys): Promise<KeptReads> {
  const reply = (await link.run(KEEP_READS, [keys.stream, keys.ledger], [keys.group])) as RedisReply[]
  if (reply[0] === 0) return { kind: 'absent' }
  if (reply[0] === 1) return { kind: 'noted' }
  const from = Number(reply[1])
  return { kind: 'corrected', from: from < 0 ? undefined : from, to: Number(reply[2]) }
}
