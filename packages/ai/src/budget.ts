/**
 * How many tokens the enrichment of a tenant may cost on one day, counted in Redis for all processes together.
 *
 *   reserve (what a request will cost at most, as estimated) ──▶ the request ──▶ settle (what it did cost)
 *
 * So requests that run at once cannot all find the same tokens free. A day's count exceeds the limit by no more than what
 * requests took beyond their estimates; whoever dies between the two has used what it reserved. Days are those of UTC by the
 * clock of Redis, which is one clock for all processes. Costs in money are counted beside the tokens and limit nothing.
 */
import type { RedisLink, RedisReply } from '@weir/core/redis/link'
import { defineScript } from '@weir/core/redis/script'

export interface BudgetOptions {
  readonly link: RedisLink
  /** Beginning of every key, such as `{webhook-events}:ai:`. */
  readonly prefix: string
  /** Tokens of one tenant and day; undefined = no limit, and counted all the same. */
  readonly dailyTokens: number | undefined
}

export interface Reservation {
  readonly kind: 'reserved'
  readonly tenant: string
  readonly tokens: number
  /** Days since the epoch, UTC. */
  readonly day: number
}

export interface OverBudget {
  readonly kind: 'over-budget'
  /** Until the next day begins, ms. */
  readonly resetsInMs: number
}

export interface Usage {
  readonly tokens: number
  /** In the currency of the configured prices; 0 where there are none. */
  readonly cost: number
}

/** Each throws Fault REDIS_UNAVAILABLE or REDIS_OUT_OF_MEMORY. */
export interface Budget {
  /** False: there is no limit, and what is counted is for people to look at. */
  readonly limited: boolean
  reserve(tenant: string, tokens: number): Promise<Reservation | OverBudget>
  /** What it did cost; after the end of its day there is nothing left to correct. */
  settle(reservation: Reservation, spent: Usage): Promise<void>
  /** What was counted today, reservations included. */
  used(tenant: string): Promise<Usage>
}

const DAY_MS = 86_400_000

const TODAY = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local day = math.floor(now / ${DAY_MS})
local kept = tonumber(redis.call('HGET', KEYS[1], 'day') or 0)
`

/*
 * KEYS  1 what a tenant has used      ARGV  1 tokens to reserve, 2 limit, '' = none
 * Reply {1 reserved | 0 over budget, day, ms until the next one}
 *
 * A clock that goes back does not begin an earlier day: what was used stays used.
 */
const RESERVE = defineScript(
  'reserve-budget',
  `${TODAY}
if kept > day then day = kept end
local resets = math.max(0, (day + 1) * ${DAY_MS} - now)
if kept < day then redis.call('DEL', KEYS[1]) end
local used = tonumber(redis.call('HGET', KEYS[1], 'tokens') or 0)
if ARGV[2] ~= '' and used + tonumber(ARGV[1]) > tonumber(ARGV[2]) then return {0, day, resets} end
redis.call('HSET', KEYS[1], 'day', day)
redis.call('HINCRBY', KEYS[1], 'tokens', ARGV[1])
redis.call('PEXPIRE', KEYS[1], resets + ${DAY_MS})
return {1, day, resets}
`,
)

/*
 * KEYS  1 what a tenant has used      ARGV  1 day of the reservation, 2 tokens spent beyond it (negative: fewer), 3 cost
 * Reply 1 corrected | 0 that day is over
 */
const SETTLE = defineScript(
  'settle-budget',
  `
if redis.call('HGET', KEYS[1], 'day') ~= ARGV[1] then return 0 end
redis.call('HINCRBY', KEYS[1], 'tokens', ARGV[2])
if ARGV[3] ~= '0' then redis.call('HINCRBYFLOAT', KEYS[1], 'cost', ARGV[3]) end
return 1
`,
)

/*
 * KEYS  1 what a tenant has used      ARGV  none
 * Reply {tokens, cost}, as text
 */
const USED = defineScript(
  'used-budget',
  `${TODAY}
if kept < day then return {'0', '0'} end
local found = redis.call('HMGET', KEYS[1], 'tokens', 'cost')
return {found[1] or '0', found[2] or '0'}
`,
)

export function createBudget({ link, prefix, dailyTokens }: BudgetOptions): Budget {
  const keyOf = (tenant: string) => `${prefix}budget:${tenant}`
  return {
    limited: dailyTokens !== undefined,
    async reserve(tenant, tokens) {
      const wanted = Math.ceil(tokens)
      const reply = await link.run(RESERVE, [keyOf(tenant)], [wanted, dailyTokens ?? ''])
      const [reserved, day, resetsInMs] = reply as [number, number, number]
      return reserved === 1
        ? { kind: 'reserved', tenant, tokens: wanted, day }
        : { kind: 'over-budget', resetsInMs }
    },
    async settle({ tenant, tokens, day }, spent) {
      const beyond = Math.ceil(spent.tokens) - tokens
      if (beyond === 0 && spent.cost === 0) return
      await link.run(SETTLE, [keyOf(tenant)], [day, beyond, decimal(spent.cost)])
    },
    async used(tenant) {
      const [tokens, cost] = (await link.run(USED, [keyOf(tenant)], [])) as RedisReply[]
      return { tokens: Number(tokens), cost: Number(cost) }
    },
  }
}

/** Redis reads no exponents in what it adds up. */
function decimal(cost: number): string {
  return cost === 0 ? '0' : cost.toFixed(12)
}
