/**
 * Gives pending entries back, so that any consumer takes them up at once: those whose consumer has been silent about
 * them for too long. Each goes from pending to parked (due now) in one step. Nothing is ever held in the name of the
 * one who releases, so there is nothing to clean up when it dies on the way, and a zombie that still works on such an
 * entry may settle it as before (settle.ts takes the parked copy away) but can no longer park or bury it.
 */
import type { PartitionKeys } from '../keys.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'

/**
 * `reason` of an event that was given back. Deliveries before the last one are kept, so that poison is still found out;
 * the last one is not held against it: an entry that was handed out once waits for its turn like any other, and only
 * one that came back before is a suspect, taken up one at a time (parked.ts).
 */
const RELEASED = 'reclaimed'

/*
 * KEYS  1 stream, 2 parked due, 3 parked records, 4 parked state, 5 parked ids
 * ARGV  1 group, 2 idle ms, 3 start of the range, 4 how many at most, 5 reason, 6 '1' = only look
 * Reply {redis ms, {stream id, consumer, idle ms, deliveries, 1 released | 0 only looked at | -1 its record is gone}…}
 */
const RELEASE = defineScript(
  'release-pending',
  `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local reply = {now}
local there = false
if redis.call('EXISTS', KEYS[1]) == 1 then
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    if info[2] == ARGV[1] then there = true end
  end
end
if not there then return reply end
for _, item in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[2], ARGV[3], '+', ARGV[4])) do
  local sid = item[1]
  local outcome = 0
  if ARGV[6] ~= '1' then
    local entry = redis.call('XRANGE', KEYS[1], sid, sid)[1]
    if entry then
      local id = ''
      for i = 1, #entry[2], 2 do
        if entry[2][i] == 'id' then id = entry[2][i + 1] end
      end
      redis.call('HSET', KEYS[3], sid, cmsgpack.pack(entry[2]))
      redis.call('HSET', KEYS[4], sid, cjson.encode({
        id = id, n = 0, d = math.max(0, item[4] - 1), by = '', reason = ARGV[5], since = now,
        error = 'given back by an operator: ' .. item[2] .. ' held it for ' .. math.floor(item[3] / 1000) .. ' s without a sign of life',
      }))
      redis.call('ZADD', KEYS[2], now, sid)
      if id ~= '' then redis.call('HSET', KEYS[5], id, sid) end
      redis.call('XACK', KEYS[1], ARGV[1], sid)
      outcome = 1
    else
      outcome = -1
    end
  end
  reply[#reply + 1] = {sid, item[2], item[3], item[4], outcome}
end
return reply
`,
)

export interface ReleaseResult {
  /** Entries idle for so long. */
  readonly found: number
  /** Of those: given back. 0 with `dryRun`. */
  readonly released: number
  /** Of those: pending, but no longer in the stream. Consumers report and remove them. */
  readonly gone: number
  /** How many of the found each consumer held. */
  readonly byConsumer: ReadonlyMap<string, number>
}

/** Entries dealt with in one script: about a millisecond. */
const PAGE = 50

/**
 * Gives back every entry that has been pending for at least `idleMs` since it was last delivered or renewed (a live
 * consumer renews what it holds).
 */
export async function releasePending(
  link: RedisLink,
  keys: PartitionKeys,
  idleMs: number,
  mode: { readonly dryRun: boolean },
): Promise<ReleaseResult> {
  const byConsumer = new Map<string, number>()
  let [found, released, gone] = [0, 0, 0]
  let start = '-'
  for (;;) {
    const reply = (await link.run(
      RELEASE,
      [keys.stream, keys.parkedDue, keys.parkedRecords, keys.parkedState, keys.parkedIds],
      [keys.group, Math.round(idleMs), start, PAGE, RELEASED, mode.dryRun ? '1' : '0'],
    )) as RedisReply[]
    const page = reply.slice(1) as RedisReply[][]
    for (const [, consumer, , , outcome] of page) {
      found += 1
      if (outcome === 1) released += 1
      if (outcome === -1) gone += 1
      byConsumer.set(String(consumer), (byConsumer.get(String(consumer)) ?? 0) + 1)
    }
    if (page.length < PAGE) return { found, released, gone, byConsumer }
    start = `(${String(page.at(-1)?.[0])}`
  }
}
