/**
 * Contexts that are behind their events: with their cards (`words`), and then with what a provider that costs something says of them
 * (`enrichment`). Every event puts its context into a zset in the script that appends it, so that none is ever forgotten, whoever
 * dies; whoever makes cards takes those out that are caught up with.
 *
 *   event ──▶ behind since now (if it was not) ──▶ quiet for a while, or behind for long ──▶ card made ──▶ no event since → out
 *                                                                                              │    └── events since → behind since now
 *                                                       where the provider is asked later ──▶ behind with the enrichment, likewise
 */
import { defineScript } from '@weir/core/redis/script'
import type { ContextId } from '../context-id.ts'
import type { ContextPlace } from '../context-place.ts'

/** With what a context is behind. */
export type Lag = 'words' | 'enrichment'

const zsetOf = ({ keys }: ContextPlace, lag: Lag): string => (lag === 'words' ? keys.dirty : keys.unenriched)

export interface Patience {
  /** Nothing must have happened to a context for so long, ms… */
  readonly quietMs: number
  /** …or its card be behind for so long, ms. */
  readonly maxDelayMs: number
}

/** Looked at in one script: those that are not quiet yet must not hide those behind them. */
const LOOKED_AT = 5_000

/*
 * KEYS  1 dirty, 2 active
 * ARGV  1 quiet, ms; 2 longest delay, ms; 3 at most; 4 looked at at most
 * Reply {context…}
 */
const BEHIND = defineScript(
  'cards-behind',
  `
local call = redis.call
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local quiet, latest, most = now - ARGV[1], now - ARGV[2], tonumber(ARGV[3])
local found = call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%d', quiet), 'WITHSCORES', 'LIMIT', 0, ARGV[4])
local reply = {}
for i = 1, #found, 2 do
  if #reply >= most then break end
  local active = call('ZSCORE', KEYS[2], found[i])
  if not active then
    call('ZREM', KEYS[1], found[i])
  elseif found[i + 1] + 0 <= latest or active + 0 <= quiet then
    reply[#reply + 1] = found[i]
  end
end
return reply
`,
)

/** Contexts whose card is to be made now, the longest behind first. Nothing is claimed. Throws Fault REDIS_UNAVAILABLE. */
export async function cardsBehind(
  place: ContextPlace,
  lag: Lag,
  { quietMs, maxDelayMs }: Patience,
  limit: number,
): Promise<readonly ContextId[]> {
  const { link, keys } = place
  const names = [zsetOf(place, lag), keys.active]
  const found = await link.run(BEHIND, names, [quietMs, maxDelayMs, limit, LOOKED_AT])
  return (found as Buffer[]).map(String)
}

/*
 * KEYS  1 head, 2 zset, 3 unenriched
 * ARGV  1 context, 2 events that the card knows, 3 1 = it is behind with the enrichment from now on (if it was not)
 */
const CAUGHT_UP = defineScript(
  'card-caught-up',
  `
local call = redis.call
local events = call('GETRANGE', KEYS[1], 1, 4)
local t = call('TIME')
local now = string.format('%d', t[1] * 1000 + math.floor(t[2] / 1000))
if ARGV[3] == '1' and #events == 4 then call('ZADD', KEYS[3], 'NX', now, ARGV[1]) end
if #events < 4 or struct.unpack('>I4', events) <= tonumber(ARGV[2]) then return call('ZREM', KEYS[2], ARGV[1]) end
call('ZADD', KEYS[2], 'XX', now, ARGV[1])
return 0
`,
)

/**
 * So many events are known: if there are no more, it is not behind. Throws Fault REDIS_UNAVAILABLE.
 * @param enrichLater it is behind with the enrichment from now on
 */
export async function caughtUp(
  place: ContextPlace,
  lag: Lag,
  id: ContextId,
  events: number,
  enrichLater = false,
): Promise<void> {
  const { link, keys } = place
  const names = [keys.head(id), zsetOf(place, lag), keys.unenriched]
  await link.run(CAUGHT_UP, names, [id, events, enrichLater ? 1 : 0])
}

/** How many contexts are behind. Throws Fault REDIS_UNAVAILABLE. */
export async function countBehind(place: ContextPlace, lag: Lag): Promise<number> {
  return Number(await place.link.call('ZCARD', zsetOf(place, lag)))
}
