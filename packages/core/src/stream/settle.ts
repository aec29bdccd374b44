/**
 * Settling: how an event leaves the hands of a consumer.
 *
 *   unread → pending → settled | parked | dead          parked → settled | parked | dead
 *
 * - ok          acknowledged, counted by what XACK really removed, remembered (long memory)
 * - superseded  the same, for an entry whose event was settled under another entry
 * - retry       a copy of the record is parked with its due time, then the entry is acknowledged
 * - dead        a copy goes to the dead letters, the event's evidence is removed (a redelivery is accepted again,
 *               under the same id), then the entry is acknowledged
 *
 * Done work is settled here, the other two are handed over (handover.ts).
 * Retry and dead do nothing unless the caller owns the pending entry or holds the lease of the parked one: the zombie
 * whose entries were taken over changes nothing. In every script the first write is the one that fails cleanly when
 * Redis is out of memory, and the acknowledgement comes last.
 */
import type { PartitionKeys } from '../keys.ts'
import type { EventRecord } from '../record.ts'
import type { RedisArg, RedisLink } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'
import { type EvidencePlace, TOUCH_EVIDENCE } from './evidence.ts'
import {
  bloomPositions,
  DAY_MS,
  dayOf,
  designLoad,
  type LongMemoryOptions,
  SETTLED_SETS,
  settledKey,
  settledMember,
} from './long-memory.ts'

/** How a consumer holds an entry: as pending under its name, or by the lease of a parked one. */
export type Holding =
  | { readonly kind: 'pending'; readonly consumer: string }
  | { readonly kind: 'lease'; readonly token: string }

export interface HeldEntry {
  readonly streamId: string
  readonly holding: Holding
  readonly record: EventRecord
}

/** An entry whose work is done. */
export interface DoneEntry extends HeldEntry {
  /**
   * Where its evidence is renewed as of now, when the entry is settled late in its window: until the gateways' bloom
   * filters know of it, nothing else would recognise a redelivery. For derived ids only.
   */
  readonly renew?: EvidencePlace | undefined
}

/** Arguments of one BITFIELD inside the script; Lua's stack takes 8,000. */
const MAX_BIT_ARGUMENTS = 4_000

/*
 * Acknowledges first: XACK needs no memory, and what follows a write in the same script is not refused for want of it.
 * So a backlog that filled the memory drains; remembering costs about 10 bytes an event and frees far more.
 *
 * KEYS  1 stream, 2 parked due, 3 parked records, 4 parked state, 5 parked ids, 6 ledger, 7 bloom meta of the day,
 *       8… one settled shard per remembered entry, then one evidence shard per renewed entry
 * ARGV  1 group, 2 counter name, 3 number of entries, 4 expiry ms of the day's memory, 5 bloom key prefix,
 *       6 design load, 7 number of hashes, 8 number of remembered entries: the first ones, 9 shape (`bits:hashes`),
 *       then the stream ids,
 *       then per remembered entry: member, bit positions…
 *       then per renewed entry: its number (1…), slice, window ms, field
 * Reply how many entries were settled by this call
 */
const SETTLE = defineScript(
  'settle',
  `${TOUCH_EVIDENCE}${SETTLED_SETS}
local call = redis.call
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local stream, parked, group = KEYS[1], KEYS[2], ARGV[1]
local count, remembered = tonumber(ARGV[3]), tonumber(ARGV[8])
local done, settled = 0, {}
for i = 1, count do
  local sid = ARGV[9 + i]
  if call('XACK', stream, group, sid) == 1 then
    settled[i], done = true, done + 1
  elseif call('ZREM', parked, sid) == 1 then
    settled[i], done = true, done + 1
    local state = call('HGET', KEYS[4], sid)
    if state then
      local id = cjson.decode(state).id
      if call('HGET', KEYS[5], id) == sid then call('HDEL', KEYS[5], id) end
    end
    call('HDEL', KEYS[3], sid)
    call('HDEL', KEYS[4], sid)
  end
end
if done == 0 then return 0 end
call('HINCRBY', KEYS[6], ARGV[2], done)
local at = 9 + count
if remembered > 0 then
  local expiry, prefix, load, hashes = ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
  local meta = call('HMGET', KEYS[7], 'n', 'count')
  local n, filled, changed = tonumber(meta[1] or -1), tonumber(meta[2] or 0), false
  local shape = n >= 0 and call('HGET', KEYS[7], 's' .. n)
  local usable = shape and string.find(shape, ARGV[9] .. ':', 1, true) == 1
  -- The bits of many entries are set by one command: by one for each they cost Redis three times as much.
  local ops, bits = {}, 0
  local function set()
    if bits == 0 then return end
    call('BITFIELD', prefix .. n, unpack(ops, 1, bits))
    if filled * hashes * 4 == bits then call('PEXPIREAT', prefix .. n, expiry) end
    bits = 0
  end
  for i = 1, remembered do
    if settled[i] and remember(KEYS[7 + i], ARGV[at + 1], expiry) then
      if not usable or filled >= load then
        set()
        n, filled, usable = n + 1, 0, true
        call('HSET', KEYS[7], 's' .. n, ARGV[9] .. ':' .. now)
      end
      for h = at + 2, at + 1 + hashes do
        ops[bits + 1], ops[bits + 2], ops[bits + 3], ops[bits + 4] = 'SET', 'u1', ARGV[h], 1
        bits = bits + 4
      end
      filled, changed = filled + 1, true
      if bits >= ${MAX_BIT_ARGUMENTS} then set() end
    end
    at = at + 1 + hashes
  end
  set()
  if changed then call('HSET', KEYS[7], 'n', n, 'count', filled, 'at', now) end
  if changed and not meta[1] then call('PEXPIREAT', KEYS[7], expiry) end
end
for i = 8 + remembered, #KEYS do
  if settled[tonumber(ARGV[at + 1])] then
    touch(KEYS[i], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), ARGV[at + 4], now, '')
  end
  at = at + 4
end
return done
`,
)

/**
 * Acknowledges entries whose work is done. Returns how many of them this call settled (an entry that another
 * consumer settled, or that went to the dead letters, is neither counted nor remembered again). Ids are remembered for
 * events with derived ids.
 * @param redisMs Redis time, to choose the day of the long memory and the slice of renewed evidence
 */
export async function settleDone(
  link: RedisLink,
  keys: PartitionKeys,
  memory: LongMemoryOptions,
  entries: readonly DoneEntry[],
  outcome: 'settled' | 'superseded',
  redisMs: number,
): Promise<number> {
  if (entries.length === 0) return 0
  const day = dayOf(redisMs)
  const remembers = memory.horizonMs > 0 && outcome === 'settled'
  const isRemembered = ({ record }: DoneEntry) => remembers && record.derived
  // Those that are remembered come first: the script then needs no numbers to tell which they are.
  const ordered = entries.every(isRemembered)
    ? entries
    : [...entries.filter(isRemembered), ...entries.filter((entry) => !isRemembered(entry))]
  const settledKeys: string[] = []
  const evidenceShards: string[] = []
  const remembered: RedisArg[] = []
  const renewed: RedisArg[] = []
  const streamIds: string[] = []
  for (const [index, entry] of ordered.entries()) {
    const { record, renew, streamId } = entry
    streamIds.push(streamId)
    if (isRemembered(entry)) {
      settledKeys.push(settledKey(memory, day, record.locator))
      remembered.push(settledMember(record.locator))
      for (const bit of bloomPositions(record.locator, memory.bloomBits, memory.bloomHashes))
        remembered.push(bit)
    }
    if (renew !== undefined && record.derived) {
      const slice = Math.floor(redisMs / renew.windowMs)
      evidenceShards.push(renew.key(slice))
      renewed.push(index + 1, slice, renew.windowMs, renew.field)
    }
  }
  return (await link.run(
    SETTLE,
    [
      keys.stream,
      keys.parkedDue,
      keys.parkedRecords,
      keys.parkedState,
      keys.parkedIds,
      keys.ledger,
      `${keys.bloom}:${day}`,
      ...settledKeys,
      ...evidenceShards,
    ],
    [
      keys.group,
      outcome,
      entries.length,
      (day + 1) * DAY_MS + memory.horizonMs + DAY_MS,
      `${keys.bloom}:${day}:`,
      designLoad(memory.bloomBits, memory.bloomHashes),
      memory.bloomHashes,
      settledKeys.length,
      `${memory.bloomBits}:${memory.bloomHashes}`,
      ...streamIds,
      ...remembered,
      ...renewed,
    ],
  )) as number
}
