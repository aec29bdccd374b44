/**
 * When contexts are looked at, to see whether they stay where they are. A zset for each tier holds from when the stay of a context is
 * counted: its last event or access, later by what it was extended. Who looks claims them for a while, so that several do not look at
 * the same; who dies leaves them to be claimed again.
 */
import type { RedisReply } from '@weir/core/redis/link'
import { defineScript } from '@weir/core/redis/script'
import type { ContextId } from '../context-id.ts'
import type { ContextPlace } from '../context-place.ts'

export interface Due {
  readonly id: ContextId
  /** From when its stay was counted, ms. */
  readonly since: number
  /** Its score as it is now that it is claimed, as Redis tells it. */
  readonly score: string
}

/*
 * KEYS  1 zset
 * ARGV  1 stays that count from then or before are over, ms; 2 what a claimed one counts from, from now on, ms; 3 at most
 * Reply {context, since, score now, …}
 *
 * The first write is one that Redis does not refuse when it is out of memory: what is due then makes room.
 */
const CLAIM = defineScript(
  'claim-due-contexts',
  `
local call = redis.call
local t = call('TIME')
local found = call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'WITHSCORES', 'LIMIT', 0, ARGV[3])
local reply = {}
if found[1] then call('ZREM', KEYS[1], found[1]) end
for i = 1, #found, 2 do
  local score = string.format('%d', t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[2])
  call('ZADD', KEYS[1], score, found[i])
  reply[#reply + 1] = found[i]
  reply[#reply + 1] = found[i + 1]
  reply[#reply + 1] = score
end
return reply
`,
)

export interface Stay {
  /** ms */
  readonly stayMs: number
  /** When it has to be over, by Redis' clock, ms. */
  readonly by: number
  /** For how long it is claimed, ms. */
  readonly claimMs: number
}

/** Contexts whose stay was over by then, the longest first. Throws Fault REDIS_UNAVAILABLE. */
export async function claimDue(
  { link }: ContextPlace,
  zset: string,
  { stayMs, by, claimMs }: Stay,
  limit: number,
): Promise<readonly Due[]> {
  const flat = (await link.run(CLAIM, [zset], [by - stayMs, claimMs - stayMs, limit])) as Buffer[]
  return Array.from({ length: flat.length / 3 }, (_, n) => {
    const [id, since, score] = flat.slice(3 * n, 3 * n + 3).map(String) as [string, string, string]
    return { id, since: Number(since), score }
  })
}

/*
 * KEYS  1 zset
 * ARGV  1 context, 2 score that it has, 3 new score
 *
 * Out of memory, as above.
 */
const STAY = defineScript(
  'extend-stay',
  `
if redis.call('ZSCORE', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 1
`,
)

/** Counts its stay from another moment, unless something happened to it since it was claimed. Throws Fault REDIS_UNAVAILABLE. */
export async function countFrom(
  { link }: ContextPlace,
  zset: string,
  { id, score }: Due,
  since: number,
): Promise<boolean> {
  const reply: RedisReply = await link.run(STAY, [zset], [id, score, since])
  return reply === 1
}

/*
 * KEYS  1 zset
 * ARGV  1 context, 2 score that it has
 */
const LEAVE = defineScript(
  'leave-tier',
  `
if redis.call('ZSCORE', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[1])
`,
)

/**
 * Is not looked at any more, as it has nothing there, unless something happened to it since. Returns whether it is. Throws Fault
 * REDIS_UNAVAILABLE.
 */
export async function leave(
  { link }: ContextPlace,
  zset: string,
  { id, score }: Pick<Due, 'id' | 'score'>,
): Promise<boolean> {
  return (await link.run(LEAVE, [zset], [id, score])) === 1
}
