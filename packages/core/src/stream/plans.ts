/**
 * How all gateways agree on the plan of partitions (plan.ts), without trusting any clock.
 *
 *   <plan>   hash: epoch, plan (JSON), at:<epoch> (last id of the stream when this partition learned of that epoch)
 *
 * The plan of partition 0 is the one that counts: it is made by the first who starts, and changed by one compare-and-set.
 * The other partitions have a copy, which is their *fence*: an admission under an epoch below it is refused (`moved`, with
 * the newer plan), and looking up evidence under a newer epoch raises it in the same step. So before a key is admitted in
 * its new partition, its old one has told what it knows of it, and will not admit it any more:
 *
 *   new plan: look up K in the old partition (raises its fence) ──▶ nothing there ──▶ admit K in the new one
 *   old plan: admit K in the old partition ──▶ before the look-up: found by it; after it: refused, the gateway learns
 *
 * A gateway that cannot read the plan goes on under the one it has; where that is over it is refused and spools. No
 * event is lost by it, and none is admitted twice.
 */
import type { Partition } from '../partition.ts'
import { changedPlan, closedPlan, type PartitionPlan, planFrom, planText } from '../plan.ts'
import { defineScript } from '../redis/script.ts'
import { redisTime } from '../redis/time.ts'
import { FENCE } from './fence.ts'

/** The plan that partition 0 keeps, or undefined before the first start. */
export async function readPlan({ link, keys }: Partition): Promise<PartitionPlan | undefined> {
  const text = await link.call('HGET', keys.plan, 'plan')
  return text === null ? undefined : planFrom(String(text))
}

/*
 * KEYS  1 plan, 2 stream
 * ARGV  1 the plan as it was read, '' = none, 2 epoch of the new one, 3 the new one
 * Reply the plan that is kept now
 */
const CHANGE = defineScript(
  'change-plan',
  `${FENCE}
local kept = redis.call('HGET', KEYS[1], 'plan') or ''
if kept ~= ARGV[1] then return kept end
redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'plan', ARGV[3])
redis.call('HSETNX', KEYS[1], 'at:' .. ARGV[2], last_id(KEYS[2]))
return ARGV[3]
`,
)

async function change(home: Partition, before: string, plan: PartitionPlan): Promise<PartitionPlan> {
  const text = planText(plan)
  return planFrom(
    String(await home.link.run(CHANGE, [home.keys.plan, home.keys.stream], [before, plan.epoch, text])),
  )
}

/** Gives partition 0 a plan again that it has lost, or an earlier one in its place. Returns the plan in force. */
export async function restorePlan(
  home: Partition,
  kept: PartitionPlan | undefined,
  known: PartitionPlan,
): Promise<PartitionPlan> {
  return change(home, kept === undefined ? '' : planText(kept), known)
}

/** The plan in force; made with so many partitions when there is none yet. `home` is partition 0. */
export async function ensurePlan(home: Partition, partitions: number): Promise<PartitionPlan> {
  const kept = await readPlan(home)
  if (kept !== undefined) return kept
  const since = await redisTime(home.link)
  return change(home, '', { epoch: 1, partitions, highest: partitions, since, earlier: [] })
}

/**
 * Changes the number of partitions. Returns the plan that is in force afterwards: another one than asked for when somebody
 * else changed it at the same moment.
 */
export async function changePartitions(home: Partition, partitions: number): Promise<PartitionPlan> {
  const plan = await ensurePlan(home, partitions)
  if (plan.partitions === partitions) return plan
  return change(home, planText(plan), changedPlan(plan, partitions, await redisTime(home.link)))
}

/**
 * Closes an epoch and those before it: their evidence is looked up no more. Only after `drainedBefore` has said of all
 * their partitions that nothing waits, and the longest window has passed since. Returns the plan in force.
 */
export async function closeEpoch(
  home: Partition,
  plan: PartitionPlan,
  epoch: number,
): Promise<PartitionPlan> {
  return change(home, planText(plan), closedPlan(plan, epoch, await redisTime(home.link)))
}

/*
 * KEYS  1 plan, 2 stream
 * ARGV  1 epoch, 2 plan
 * Reply '' learned or known already | the newer plan
 */
const SPREAD = defineScript(
  'spread-plan',
  `${FENCE}
local later = newer(KEYS[1], tonumber(ARGV[1]))
if later then return later end
learn(KEYS[1], tonumber(ARGV[1]), ARGV[2], KEYS[2])
return ''
`,
)

/** Tells a partition of the plan: from now on it admits nothing under an earlier one. Returns a newer plan, if it knows one. */
export async function spreadPlan(
  { link, keys }: Partition,
  plan: PartitionPlan,
): Promise<PartitionPlan | undefined> {
  const reply = String(await link.run(SPREAD, [keys.plan, keys.stream], [plan.epoch, planText(plan)]))
  return reply === '' ? undefined : planFrom(reply)
}

/** Parked events looked at in one script. */
const PARKED_STEP = 500

/*
 * KEYS  1 plan, 2 stream, 3 parked due
 * ARGV  1 epoch, 2 group, 3 rank of the first parked event to look at, 4 how many
 * Reply what waits that was accepted before this partition learned of a later epoch: -2 the partition has not learned of
 *       one, -1 nothing, else rank at which to go on; -3 something waits
 */
const DRAINED = defineScript(
  'drained-before',
  `
local epoch, ms, seq = tonumber(ARGV[1]), nil, nil
local function parts(id)
  local a, b = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(a), tonumber(b)
end
local function before(id)
  local a, b = parts(id)
  return a < ms or (a == ms and b <= seq)
end
local kept = redis.call('HGETALL', KEYS[1])
for i = 1, #kept, 2 do
  local learned = tonumber(string.match(kept[i], '^at:(%d+)$') or 0)
  if learned > epoch and (not ms or before(kept[i + 1])) then ms, seq = parts(kept[i + 1]) end
end
if not ms then return -2 end
local rank = tonumber(ARGV[3])
if rank == 0 and redis.call('EXISTS', KEYS[2]) == 1 then
  local there = false
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[2])) do
    local g = {}
    for i = 1, #group, 2 do g[group[i]] = group[i + 1] end
    if g.name == ARGV[2] then
      there = true
      local unread = redis.call('XRANGE', KEYS[2], '(' .. g['last-delivered-id'], '+', 'COUNT', 1)[1]
      if unread and before(unread[1]) then return -3 end
      local pending = g.pending > 0 and redis.call('XPENDING', KEYS[2], ARGV[2])[2]
      if pending and before(pending) then return -3 end
    end
  end
  local first = not there and redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
  if first and before(first[1]) then return -3 end
end
local parked = redis.call('ZRANGE', KEYS[3], rank, rank + ARGV[4] - 1)
for _, id in ipairs(parked) do
  if before(id) then return -3 end
end
if #parked < tonumber(ARGV[4]) then return -1 end
return rank + #parked
`,
)

/**
 * True when nothing is unread, pending or parked in this partition that was accepted under this epoch or an earlier one.
 * False also while the partition may still admit under them.
 */
export async function drainedBefore({ link, keys }: Partition, epoch: number): Promise<boolean> {
  for (let rank = 0; ; ) {
    const reply = (await link.run(
      DRAINED,
      [keys.plan, keys.stream, keys.parkedDue],
      [epoch, keys.group, rank, PARKED_STEP],
    )) as number
    if (reply < 0) return reply === -1
    rank = reply
  }
}

/** Asked of a partition's own copy, for operators; 0 = it knows none. */
export async function knownEpoch({ link, keys }: Partition): Promise<number> {
  return Number((await link.call('HGET', keys.plan, 'epoch')) ?? 0)
}
