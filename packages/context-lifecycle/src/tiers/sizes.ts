/**
 * What the events of contexts take in each tier, told from some of them: to ask for each would cost as much as a sweep of them all.
 * With fewer contexts than are asked, it is what all of them take.
 */
import type { RedisReply } from '@weir/core/redis/link'
import { defineScript } from '@weir/core/redis/script'
import type { Tier } from '../compose.ts'
import type { ContextId } from '../context-id.ts'
import type { ContextPlace } from '../context-place.ts'

/** Bytes: the lists' in Redis' memory for hot, the segments' for warm, the objects' for cold. */
export type TierBytes = Readonly<Record<Tier, number>>

const ASKED = 256
/** So few that no event waits behind them. */
const AT_ONCE = 8

/*
 * KEYS  1 parts
 * Reply {bytes of segments, bytes of objects, superseded ones too until they are deleted}
 *
 * "b" is ObjectRef.bytes (parts.ts, encodeRef). What is no reference counts for nothing: who reads the context tells of it.
 */
const PART_SIZES = defineScript(
  'part-sizes',
  `
local call = redis.call
local warm, cold = 0, 0
for _, field in ipairs(call('HKEYS', KEYS[1])) do
  if string.find(field, ':warm$') then
    warm = warm + call('HSTRLEN', KEYS[1], field)
  else
    cold = cold + tonumber(string.match(call('HGET', KEYS[1], field), '"b":(%d+)') or 0)
  end
end
return {warm, cold}
`,
)

const NOTHING: TierBytes = { hot: 0, warm: 0, cold: 0 }

const sum = (all: readonly TierBytes[]): TierBytes =>
  all.reduce((a, b) => ({ hot: a.hot + b.hot, warm: a.warm + b.warm, cold: a.cold + b.cold }), NOTHING)

async function bytesOf({ link, keys }: ContextPlace, id: ContextId): Promise<TierBytes> {
  const [raw, log, parts] = await Promise.all([
    link.call('MEMORY', 'USAGE', keys.raw(id)),
    link.call('MEMORY', 'USAGE', keys.log(id)),
    link.run(PART_SIZES, [keys.parts(id)], []),
  ])
  const [warm, cold] = parts as [number, number]
  return { hot: Number(raw) + Number(log), warm, cold }
}

/** @param asked contexts at most */
async function bytesIn(place: ContextPlace, asked: number): Promise<TierBytes> {
  const { link, keys } = place
  const all = Number(await link.call('ZCARD', keys.active))
  const ids = ((await link.call('ZRANDMEMBER', keys.active, asked)) as RedisReply[]).map(String)
  const found: TierBytes[] = []
  for (let at = 0; at < ids.length; at += AT_ONCE)
    found.push(...(await Promise.all(ids.slice(at, at + AT_ONCE).map((id) => bytesOf(place, id)))))
  if (found.length === 0) return NOTHING
  const { hot, warm, cold } = sum(found)
  const share = Math.max(1, all / found.length)
  return { hot: Math.round(hot * share), warm: Math.round(warm * share), cold: Math.round(cold * share) }
}

/**
 * Throws Fault REDIS_UNAVAILABLE; REDIS_UNSUITABLE where Redis' user may not ask for the memory of a key.
 * @param asked contexts that are asked, in all places together
 */
export async function estimateTierBytes(places: readonly ContextPlace[], asked = ASKED): Promise<TierBytes> {
  const each = Math.ceil(asked / places.length)
  return sum(await Promise.all(places.map((place) => bytesIn(place, each))))
}
