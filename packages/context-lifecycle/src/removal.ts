/**
 * Removing contexts to which nothing has happened for so long: neither an event nor an access.
 *
 *   listed as inactive ──▶ its event ids read ──▶ one script: still inactive, no event came ──▶ gone, with its card and index entries
 *                                                   └─ something happened meanwhile ──▶ it stays
 *
 * Index entries beyond the first {@link MAX_IDS} of a very large context follow after it; should the process end in between they
 * lead nowhere, and cost 30 bytes each.
 */
import { defineScript } from '@weir/core/redis/script'
import { redisTime } from '@weir/core/redis/time'
import { type ContextId, contextIdBytes } from './context-id.ts'
import type { ContextPlace } from './context-place.ts'
import { clearIdentity, ID_BYTES, IDENTITY_AT } from './head.ts'

export interface RemovalQuery {
  /** Without an event or an access for so long, ms. */
  readonly inactiveMs: number
  readonly tenant?: string | undefined
  readonly tool?: string | undefined
  /** Only counts. */
  readonly dryRun: boolean
  /** Stops before the next context. */
  readonly signal?: AbortSignal | undefined
  /** So many contexts were removed, or counted. */
  readonly onProgress?: (contexts: number) => void
}

export interface Removed {
  /** Contexts that were removed, or would be. */
  readonly contexts: number
  /** Their events. */
  readonly events: number
  /** Bytes of their records. */
  readonly rawBytes: number
  /** False: the signal stopped it before the end. */
  readonly complete: boolean
}

/** Contexts looked at between two questions. */
const PAGE = 500
/** Index entries removed in one script: about a millisecond. */
const MAX_IDS = 1_000

/** Of the context, before the hashes of the index. */
const OWN_KEYS = 15

/*
 * KEYS  1 head, 2 log, 3 raw, 4 active, 5 parts, 6 card, 7 named, 8 hot, 9 warm, 10 wanted, 11 dirty, 12 unenriched, 13 cards, 14 garbage, 15 traces, 16… hashes of the index
 * ARGV  1 context, 2 inactive since, ms, 3 bytes of the head, 4 bytes of the context's id, then per event: number of its hash (16…), id
 * Reply 1 removed | 0 something happened to it, or it is gone
 *
 * The first write is one that Redis does not refuse when it is out of memory. What is no reference names nothing to be deleted.
 */
const REMOVE = defineScript(
  'remove-context',
  `
local call = redis.call
local active = call('ZSCORE', KEYS[4], ARGV[1])
if not active or active + 0 > ARGV[2] + 0 or call('STRLEN', KEYS[1]) ~= ARGV[3] + 0 then return 0 end
call('ZREM', KEYS[4], ARGV[1])
for _, field in ipairs(call('HKEYS', KEYS[5])) do
  if not string.find(field, ':warm', 1, true) then
    local readable, ref = pcall(cjson.decode, call('HGET', KEYS[5], field))
    if readable and type(ref) == 'table' and type(ref.n) == 'string' then call('SADD', KEYS[14], ref.n) end
  end
end
call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[5], KEYS[6], KEYS[7], KEYS[15])
for _, zset in ipairs({8, 9, 10, 11, 12, 13}) do call('ZREM', KEYS[zset], ARGV[1]) end
for i = 5, #ARGV, 2 do
  local index = KEYS[ARGV[i] + 0]
  if call('HGET', index, ARGV[i + 1]) == ARGV[4] then call('HDEL', index, ARGV[i + 1]) end
end
return 1
`,
)

/*
 * KEYS  1 head, 2… hashes of the index
 * ARGV  1 bytes of the context's id, then per event: number of its hash (2…), id
 *
 * Where the context was made anew an event may be in it again, so the entries stay.
 */
const FORGET = defineScript(
  'forget-events',
  `
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
for i = 2, #ARGV, 2 do
  local index = KEYS[ARGV[i] + 0]
  if redis.call('HGET', index, ARGV[i + 1]) == ARGV[1] then redis.call('HDEL', index, ARGV[i + 1]) end
end
return 1
`,
)

/** Throws Fault REDIS_UNAVAILABLE; what was removed until then is removed, and a further run goes on. */
export async function removeInactive(places: readonly ContextPlace[], query: RemovalQuery): Promise<Removed> {
  const sum = { contexts: 0, events: 0, rawBytes: 0 }
  for (const place of places) {
    const since = (await redisTime(place.link)) - query.inactiveMs
    // Those that stay are passed over: they come first at the next page otherwise.
    for (let passed = 0; ; ) {
      if (query.signal?.aborted) return { ...sum, complete: false }
      const ids = (await place.link.call(
        'ZRANGEBYSCORE',
        place.keys.active,
        '-inf',
        since,
        'LIMIT',
        passed,
        PAGE,
      )) as Buffer[]
      for (const id of ids.map(String)) {
        if (query.signal?.aborted) return { ...sum, complete: false }
        const found = await considered(place, id, since, query)
        if (found === undefined || query.dryRun) passed++
        if (found === undefined) continue
        sum.contexts++
        sum.events += found.events
        sum.rawBytes += found.rawBytes
        query.onProgress?.(sum.contexts)
      }
      if (ids.length < PAGE) break
    }
  }
  return { ...sum, complete: true }
}

/** What it had, when it is one of those asked for and was removed (or would be); undefined when it stays. */
async function considered(
  place: ContextPlace,
  id: ContextId,
  since: number,
  { tenant, tool, dryRun }: RemovalQuery,
): Promise<Pick<Removed, 'events' | 'rawBytes'> | undefined> {
  const head = await place.link.call('GET', place.keys.head(id))
  if (!Buffer.isBuffer(head) || head.length < IDENTITY_AT) return undefined
  const owner = clearIdentity(head)
  if (tenant !== undefined && owner?.tenant !== tenant) return undefined
  if (tool !== undefined && owner?.tool !== tool) return undefined
  if (!dryRun && !(await removeContext(place, id, since, head))) return undefined
  return { events: head.readUInt32BE(1), rawBytes: head.readUIntBE(5, 6) }
}

/**
 * Removes a context as its head was read.
 * @param since ms: only where nothing happened to it after that
 * @returns false when something did, or it is gone
 * Throws Fault REDIS_UNAVAILABLE: it may have been done.
 */
export async function removeContext(
  { link, keys }: ContextPlace,
  id: ContextId,
  since: number,
  head: Buffer,
): Promise<boolean> {
  const ids: Buffer[] = []
  for (let at = IDENTITY_AT + head.readUInt16BE(33); at + ID_BYTES <= head.length; at += ID_BYTES)
    ids.push(head.subarray(at, at + ID_BYTES))
  const bytes = contextIdBytes(id)
  const indexed = (of: readonly Buffer[], first: number) => {
    const hashes = [...new Set(of.map((event) => keys.events(event)))]
    const numbers = new Map(hashes.map((hash, i) => [hash, first + i]))
    return { hashes, args: of.flatMap((event) => [numbers.get(keys.events(event)) as number, event]) }
  }
  const { hashes, args } = indexed(ids.slice(0, MAX_IDS), OWN_KEYS + 1)
  const own = [keys.head(id), keys.log(id), keys.raw(id), keys.active, keys.parts(id)]
  own.push(keys.card(id), keys.named(id))
  const sets = [keys.hot, keys.warm, keys.wanted, keys.dirty, keys.unenriched, keys.cards, keys.garbage]
  const names = [...own, ...sets, keys.traces(id), ...hashes]
  if ((await link.run(REMOVE, names, [id, since, head.length, bytes, ...args])) !== 1) return false
  for (let at = MAX_IDS; at < ids.length; at += MAX_IDS) {
    const rest = indexed(ids.slice(at, at + MAX_IDS), 2)
    await link.run(FORGET, [keys.head(id), ...rest.hashes], [bytes, ...rest.args])
  }
  return true
}
