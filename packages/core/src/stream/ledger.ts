/**
 * The ledger: for every partition, every accepted event is in exactly one place.
 *
 *   accepted (entries-added) = settled + superseded + purged + unread + pending + parked + dead
 *
 * Read in one script, so that nothing moves in between. It proves consistency, not durability: after a lossy failover
 * the counters roll back together, hence the witness (highest stream id that any gateway saw acknowledged).
 * What Redis does not know (lag after a foreign trim) is reported as null, never as 0.
 */
import type { PartitionKeys } from '../keys.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'
import { RUN_ID } from './reads.ts'
import { compareStreamIds, streamIdMillis } from './stream-id.ts'

export interface Ledger {
  readonly accepted: number
  readonly settled: number
  /** null = Redis cannot tell (its lag is unknown). */
  readonly unread: number | null
  readonly pending: number
  readonly parked: number
  readonly dead: number
  readonly superseded: number
  readonly purged: number
  /** In the gateways' spools, as they last reported; not part of the sum. */
  readonly spooled: number
  /** null when unread is. Anything but 0 is an alarm. */
  readonly unaccounted: number | null
}

export interface LedgerReading {
  readonly ledger: Ledger
  /** Redis time of the reading, ms. */
  readonly redisMs: number
  /** Age of the oldest entry that no consumer has read, ms; 0 when there is none. */
  readonly oldestUnreadMs: number
  /** Age of the oldest pending entry since it was accepted, ms. */
  readonly oldestPendingMs: number
  /** How long the most overdue parked event has been due, ms; 0 when none is due. */
  readonly oldestParkedMs: number
  /**
   * How far Redis' clock is behind the last id of its own stream, ms; 0 = as it should be. Above 0 the clock went back, and
   * ids tell no time until it has caught up: ages are then those since the gateway received the event, by its clock.
   */
  readonly clockBehindMs: number
  /** Last id the stream generated, and the highest one that a gateway saw acknowledged. */
  readonly lastGeneratedId: string
  readonly witness: string
  /** True when the witness is above the last generated id: Redis lost what it had acknowledged. */
  readonly lost: boolean
  /** False when the consumer group does not exist. */
  readonly group: boolean
}

/*
 * KEYS  1 stream, 2 dead letters, 3 parked due, 4 ledger, 5 witness, 6 gateways
 * ARGV  1 group
 * Reply {redis ms, entries added, last generated id, group there (0/1), lag or -1, pending, parked, dead,
 *        settled, superseded, purged, since when the oldest one is pending or '', the first one unread or '', first due or '',
 *        {gateway, witness id…}, {gateway, JSON…}}
 */
const READ_LEDGER = defineScript(
  'read-ledger',
  `${RUN_ID}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
-- An entry's time, ms: that of its id, or of its receipt where the id is ahead of the clock.
local function since(id, fields)
  local ms = tonumber(string.match(id, '^%d+'))
  if ms > now then
    if not fields then fields = (redis.call('XRANGE', KEYS[1], id, id)[1] or {})[2] or {} end
    for i = 1, #fields, 2 do
      if fields[i] == 'at' then ms = tonumber(fields[i + 1]) or ms end
    end
  end
  return string.format('%d', ms)
end
local counters = redis.call('HMGET', KEYS[4], 'settled', 'superseded', 'purged')
local added, last, there, lag, pending, oldest, unread = 0, '0-0', 0, -1, 0, '', ''
if redis.call('EXISTS', KEYS[1]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #info, 2 do
    if info[i] == 'entries-added' then added = info[i + 1] end
    if info[i] == 'last-generated-id' then last = info[i + 1] end
  end
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local g = {}
    for i = 1, #group, 2 do g[group[i]] = group[i + 1] end
    if g.name == ARGV[1] then
      there = 1
      -- Until somebody has corrected it, the lag of a server that took the data over is not to be believed: reads.ts.
      local counted_by, run = redis.call('HGET', KEYS[4], 'read_run'), run_id()
      if type(g.lag) == 'number' and (not counted_by or not run or counted_by == run) then lag = g.lag end
      pending = g.pending
      if pending > 0 then oldest = since(redis.call('XPENDING', KEYS[1], ARGV[1])[2]) end
      local next = redis.call('XRANGE', KEYS[1], '(' .. g['last-delivered-id'], '+', 'COUNT', 1)
      if next[1] then unread = since(next[1][1], next[1][2]) end
    end
  end
  if there == 0 then
    lag = added - (counters[1] or 0) - (counters[2] or 0) - (counters[3] or 0) - redis.call('ZCARD', KEYS[3]) - redis.call('XLEN', KEYS[2])
    local next = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
    if lag > 0 and next[1] then unread = since(next[1][1], next[1][2]) end
  end
else
  lag = 0
end
local due = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
return {now, added, last, there, lag, pending, redis.call('ZCARD', KEYS[3]), redis.call('XLEN', KEYS[2]),
  tonumber(counters[1] or 0), tonumber(counters[2] or 0), tonumber(counters[3] or 0), oldest, unread, due[2] or '',
  redis.call('HGETALL', KEYS[5]), redis.call('HGETALL', KEYS[6])}
`,
)

/** Reads one partition's ledger. */
export async function readLedger(link: RedisLink, keys: PartitionKeys): Promise<LedgerReading> {
  const reply = (await link.run(
    READ_LEDGER,
    [keys.stream, keys.deadLetters, keys.parkedDue, keys.ledger, keys.witness, keys.gateways],
    [keys.group],
  )) as RedisReply[]
  const [redisMs, accepted, last, there, lag, pending, parked, dead, settled, superseded, purged] =
    reply as number[]
  const [oldestPending, firstUnread, due, witnesses, gateways] = reply.slice(11)
  const lastGeneratedId = String(last)
  const unread = lag === -1 ? null : (lag as number)
  const placed = settled! + superseded! + purged! + pending! + parked! + dead!
  let witness = '0-0'
  for (const id of valuesOf(witnesses)) if (compareStreamIds(id, witness) > 0) witness = id
  let spooled = 0
  for (const text of valuesOf(gateways)) spooled += spooledOf(text)
  const dueMs = String(due) === '' ? redisMs! : Number(String(due))
  return {
    ledger: {
      accepted: accepted!,
      settled: settled!,
      unread,
      pending: pending!,
      parked: parked!,
      dead: dead!,
      superseded: superseded!,
      purged: purged!,
      spooled,
      unaccounted: unread === null ? null : accepted! - placed - unread,
    },
    redisMs: redisMs!,
    oldestUnreadMs: ageOf(String(firstUnread), redisMs!),
    oldestPendingMs: ageOf(String(oldestPending), redisMs!),
    clockBehindMs: Math.max(0, streamIdMillis(lastGeneratedId) - redisMs!),
    oldestParkedMs: Math.max(0, redisMs! - dueMs),
    lastGeneratedId,
    witness,
    lost: compareStreamIds(witness, lastGeneratedId) > 0,
    group: there === 1,
  }
}

/** Sums the ledgers of all partitions; an unknown part makes the sum unknown. */
export function sumLedgers(ledgers: readonly Ledger[]): Ledger {
  const sum = (pick: (ledger: Ledger) => number) => ledgers.reduce((total, ledger) => total + pick(ledger), 0)
  const sumKnown = (pick: (ledger: Ledger) => number | null) =>
    ledgers.some((ledger) => pick(ledger) === null) ? null : sum((ledger) => pick(ledger) ?? 0)
  return {
    accepted: sum((l) => l.accepted),
    settled: sum((l) => l.settled),
    unread: sumKnown((l) => l.unread),
    pending: sum((l) => l.pending),
    parked: sum((l) => l.parked),
    dead: sum((l) => l.dead),
    superseded: sum((l) => l.superseded),
    purged: sum((l) => l.purged),
    spooled: sum((l) => l.spooled),
    unaccounted: sumKnown((l) => l.unaccounted),
  }
}

/** What a gateway reports of itself every few seconds, in the `gateways` hash. */
export interface GatewayReport {
  readonly spooled: number
  /** ms since the epoch */
  readonly at: number
}

/** Publishes a gateway's witness and report. */
export async function reportGateway(
  link: RedisLink,
  keys: PartitionKeys,
  gateway: string,
  witness: string,
  report: GatewayReport,
): Promise<void> {
  await link.call('HSET', keys.gateways, gateway, JSON.stringify(report))
  if (witness !== '') await link.call('HSET', keys.witness, gateway, witness)
}

/** Removes a gateway that stopped with an empty spool. Its witness stays: it is evidence. */
export async function forgetGateway(link: RedisLink, keys: PartitionKeys, gateway: string): Promise<void> {
  await link.call('HDEL', keys.gateways, gateway)
}

function valuesOf(flat: RedisReply | undefined): string[] {
  return ((flat ?? []) as RedisReply[]).filter((_, index) => index % 2 === 1).map(String)
}

function spooledOf(text: string): number {
  try {
    const { spooled } = JSON.parse(text) as { spooled?: unknown }
    return typeof spooled === 'number' ? spooled : 0
  } catch {
    return 0 // not one of ours; a report is never worth failing an audit
  }
}

/** @param since ms, as text; '' = there is none */
function ageOf(since: string, nowMs: number): number {
  return since === '' ? 0 : Math.max(0, nowMs - Number(since))
}
