/**
 * Moves of events between the tiers of a context. Each is one Lua script that switches from one place to the other at once:
 *
 *             cool                    freeze (or drop, where the object is there)
 *   hot lists ────▶ warm segment ────────────────────────────────────▶ object in cold storage
 *             ◀────              ◀──────────────────────────────────── (the object stays until others hold its events)
 *             heat                    thaw
 *
 * Whoever moves has read what it moves, packed it and looked whether it opens as what went in. The script sees that nothing was
 * changed since (another mover, a removal and a new beginning), that what arrived is what was sent (SHA-1), and switches. So two
 * movers cannot harm each other, and who dies between any two steps has changed nothing; cold storage is written, and read back,
 * before the switch (cold.ts).
 *
 * When Redis is out of memory it refuses only the first write of a script. Cooling and freezing begin with what frees memory, so
 * that a Redis that is full can be emptied.
 */

import { createHash } from 'node:crypto'
import type { RedisReply } from '@weir/core/redis/link'
import { defineScript, type RedisArg } from '@weir/core/redis/script'
import type { ContextId } from '../context-id.ts'
import type { ContextPlace } from '../context-place.ts'
import { ID_BYTES, IDENTITY_AT } from '../head.ts'
import { type ObjectRef, type Part, partField, type Range } from './parts.ts'
import type { Elements } from './segment.ts'

/**
 * `moved`; `active`: something happened to it since it was due; `changed`: it is not any more what was read. Nothing was written
 * then.
 */
export type Moved = 'moved' | 'active' | 'changed'

/** A segment as it was read. */
export interface ReadSegment {
  readonly part: Part
  readonly segment: Buffer
}

const sha1Of = (bytes: Buffer): string => createHash('sha1').update(bytes).digest('hex')

/** Both are told by numbers: a part's field without its kind. */
const fieldBase = ({ from, count }: Range): string => `${from}:${count}`

/*
 * Lua of several scripts: the object of a part is not what its events are read from any more, and is kept beside. What is no reference is
 * an error, so it is read before the first write: a script that breaks off in between has lost what it had taken.
 */
const MAKE_STALE = `
local function object_of(parts, base)
  local ref = redis.call('HGET', parts, base .. ':cold')
  if not ref then return nil end
  local name = cjson.decode(ref).n
  assert(type(name) == 'string', 'a reference without a name')
  return {ref = ref, name = name}
end
local function make_stale(parts, base, object)
  if not object then return end
  redis.call('HDEL', parts, base .. ':cold')
  redis.call('HSET', parts, base .. ':stale:' .. object.name, object.ref)
end
`

/*
 * KEYS  1 head, 2 log, 3 raw, 4 parts, 5 hot, 6 warm
 * ARGV  1 context, 2 from, 3 count of events taken from the lists, 4 beginnings of their ids, 5 their score in hot, or '' for whatever,
 *       6 base of the new field, 7 segment, 8 its SHA-1, 9 base of the warm part that is in it too, or '', 10 SHA-1 of that one's segment,
 *       11 score in warm
 */
const COOL = defineScript(
  'cool-context',
  `
local call = redis.call
${MAKE_STALE}
local head = call('GET', KEYS[1])
if not head then return 'changed' end
local from, count = tonumber(ARGV[2]), tonumber(ARGV[3])
local ids = ${IDENTITY_AT} + struct.unpack('>I2', head, 34) + 1 + from * ${ID_BYTES}
local length = call('LLEN', KEYS[2])
if struct.unpack('>I4', head, 2) - length ~= from or length < count then return 'changed' end
if string.sub(head, ids, ids + count * ${ID_BYTES} - 1) ~= ARGV[4] then return 'changed' end
if ARGV[5] ~= '' and call('ZSCORE', KEYS[5], ARGV[1]) ~= ARGV[5] then return 'active' end
if redis.sha1hex(ARGV[7]) ~= ARGV[8] then return 'changed' end
if ARGV[9] ~= '' then
  local before = call('HGET', KEYS[4], ARGV[9] .. ':warm')
  if not before or redis.sha1hex(before) ~= ARGV[10] then return 'changed' end
end
local object = ARGV[9] ~= '' and object_of(KEYS[4], ARGV[9])
call('LTRIM', KEYS[3], count, -1)
call('LTRIM', KEYS[2], count, -1)
if ARGV[9] ~= '' then
  call('HDEL', KEYS[4], ARGV[9] .. ':warm')
  make_stale(KEYS[4], ARGV[9], object)
end
call('HSET', KEYS[4], ARGV[6] .. ':warm', ARGV[7])
call('ZADD', KEYS[6], ARGV[11], ARGV[1])
if length == count then call('ZREM', KEYS[5], ARGV[1]) end
return 'moved'
`,
)

export interface Cooling {
  /** The oldest hot events: number of the first one, and how many. */
  readonly taken: Range
  /** Beginnings of their ids, as in the head. */
  readonly ids: Buffer
  /** Its score among the hot when it was claimed; undefined = whatever happened since. */
  readonly score: string | undefined
  /** With the part before it in it, where that is given. */
  readonly segment: Buffer
  readonly merged: ReadSegment | undefined
  /** From when its stay in the warm tier is counted, ms. */
  readonly since: number
}

/** Hot to warm. Throws Fault REDIS_UNAVAILABLE: it may have been done. */
export async function cool({ link, keys }: ContextPlace, id: ContextId, cooling: Cooling): Promise<Moved> {
  const { taken, ids, score, segment, merged, since } = cooling
  const whole = merged === undefined ? taken : joinedRange([merged.part, taken])
  const reply = await link.run(
    COOL,
    [keys.head(id), keys.log(id), keys.raw(id), keys.parts(id), keys.hot, keys.warm],
    [
      id,
      taken.from,
      taken.count,
      ids,
      score ?? '',
      fieldBase(whole),
      segment,
      sha1Of(segment),
      ...(merged === undefined ? ['', ''] : [fieldBase(merged.part), sha1Of(merged.segment)]),
      since,
    ],
  )
  return String(reply) as Moved
}

export function joinedRange(ranges: readonly Range[]): Range {
  const from = ranges[0]?.from ?? 0
  return { from, count: ranges.reduce((sum, { count }) => sum + count, 0) }
}

/** Elements put into a list at once. */
const PUSHED = 200

/*
 * KEYS  1 head, 2 log, 3 raw, 4 parts, 5 hot, 6 warm, 7 wanted
 * ARGV  1 context, 2 base of the newest part, 3 SHA-1 of its segment, 4 end of the part, then its digests, then its records
 */
const HEAT = defineScript(
  'heat-context',
  `
local call = redis.call
${MAKE_STALE}
local head = call('GET', KEYS[1])
local segment = call('HGET', KEYS[4], ARGV[2] .. ':warm')
if not head or not segment or redis.sha1hex(segment) ~= ARGV[3] then return 'changed' end
if struct.unpack('>I4', head, 2) - call('LLEN', KEYS[2]) ~= tonumber(ARGV[4]) then return 'changed' end
local object = object_of(KEYS[4], ARGV[2])
local events = (#ARGV - 4) / 2
for _, list in ipairs({{KEYS[3], 4 + events}, {KEYS[2], 4}}) do
  for last = events, 1, -${PUSHED} do
    local some = {}
    for i = last, math.max(1, last - ${PUSHED - 1}), -1 do some[#some + 1] = ARGV[list[2] + i] end
    call('LPUSH', list[1], unpack(some))
  end
end
call('HDEL', KEYS[4], ARGV[2] .. ':warm')
make_stale(KEYS[4], ARGV[2], object)
local t = call('TIME')
call('ZADD', KEYS[5], string.format('%d', t[1] * 1000 + math.floor(t[2] / 1000)), ARGV[1])
call('ZREM', KEYS[7], ARGV[1])
for _, field in ipairs(call('HKEYS', KEYS[4])) do
  if string.sub(field, -5) == ':warm' then return 'moved' end
end
call('ZREM', KEYS[6], ARGV[1])
return 'moved'
`,
)

/** The newest part, warm to hot. Throws Fault REDIS_OUT_OF_MEMORY (nothing was written) or REDIS_UNAVAILABLE. */
export async function heat(
  { link, keys }: ContextPlace,
  id: ContextId,
  { part, segment }: ReadSegment,
  { digests, records }: Elements,
): Promise<Moved> {
  const names = [keys.head(id), keys.log(id), keys.raw(id), keys.parts(id), keys.hot, keys.warm, keys.wanted]
  const args: RedisArg[] = [id, fieldBase(part), sha1Of(segment), part.from + part.count]
  return String(await link.run(HEAT, names, [...args, ...digests, ...records])) as Moved
}

/*
 * KEYS  1 parts, 2 warm, 3 wanted
 * ARGV  1 context, 2 base of the part, 3 name of its object, 4 segment, 5 its SHA-1
 */
const THAW = defineScript(
  'thaw-context',
  `
local call = redis.call
local ref = call('HGET', KEYS[1], ARGV[2] .. ':cold')
if not ref or cjson.decode(ref).n ~= ARGV[3] or redis.sha1hex(ARGV[4]) ~= ARGV[5] then return 'changed' end
call('HSET', KEYS[1], ARGV[2] .. ':warm', ARGV[4])
local t = call('TIME')
call('ZADD', KEYS[2], string.format('%d', t[1] * 1000 + math.floor(t[2] / 1000)), ARGV[1])
call('ZREM', KEYS[3], ARGV[1])
return 'moved'
`,
)

/** Cold to warm; the object stays. Throws as `heat`. */
export async function thaw(
  { link, keys }: ContextPlace,
  id: ContextId,
  part: Range,
  object: string,
  segment: Buffer,
): Promise<Moved> {
  const names = [keys.parts(id), keys.warm, keys.wanted]
  const reply = await link.run(THAW, names, [id, fieldBase(part), object, segment, sha1Of(segment)])
  return String(reply) as Moved
}

/*
 * KEYS  1 parts, 2 warm, 3 puts, 4 active
 * ARGV  1 context, 2 base of the new part, 3 name of its object, 4 the reference; 5 its last activity as it was read, or '' for whatever; then
 *       for each part in it: its base, the SHA-1 of its segment or '', the name of its object or ''
 *
 * With the name '' nothing was put: the part has its object already. An object that is not announced any more was given up, and may be gone
 * by now: whoever put it was held up for that long.
 *
 * What is superseded is not garbage yet: a Redis that loses the last of what it had written refers to it again.
 */
const FREEZE = defineScript(
  'freeze-context',
  `
local call = redis.call
for i = 6, #ARGV, 3 do
  local segment, ref = call('HGET', KEYS[1], ARGV[i] .. ':warm'), call('HGET', KEYS[1], ARGV[i] .. ':cold')
  if (segment and redis.sha1hex(segment) or '') ~= ARGV[i + 1] then return 'changed' end
  if (ref and cjson.decode(ref).n or '') ~= ARGV[i + 2] then return 'changed' end
end
if ARGV[3] ~= '' and not call('ZSCORE', KEYS[3], ARGV[3]) then return 'changed' end
if ARGV[5] ~= '' and call('ZSCORE', KEYS[4], ARGV[1]) ~= ARGV[5] then return 'active' end
local t = call('TIME')
local now = string.format('%d', t[1] * 1000 + math.floor(t[2] / 1000))
for i = 6, #ARGV, 3 do call('HDEL', KEYS[1], ARGV[i] .. ':warm') end
if ARGV[3] ~= '' then
  for i = 6, #ARGV, 3 do
    if ARGV[i + 2] ~= '' then
      call('HDEL', KEYS[1], ARGV[i] .. ':cold')
      call('ZADD', KEYS[3], now, ARGV[i + 2])
    end
  end
  call('HSET', KEYS[1], ARGV[2] .. ':cold', ARGV[4])
  call('ZREM', KEYS[3], ARGV[3])
end
local fields, warm, held = call('HKEYS', KEYS[1]), false, {}
for _, field in ipairs(fields) do
  local from, count, kind = string.match(field, '^(%d+):(%d+):(%a+)')
  if kind == 'warm' then warm = true end
  if kind == 'cold' then held[tonumber(from)] = tonumber(count) end
end
for _, field in ipairs(fields) do
  local from, count, name = string.match(field, '^(%d+):(%d+):stale:(.+)$')
  if from then
    local at, last = 0, from + count
    while held[at] and at < last do at = at + held[at] end
    if at >= last then
      call('HDEL', KEYS[1], field)
      call('ZADD', KEYS[3], now, name)
    end
  end
end
if not warm then call('ZREM', KEYS[2], ARGV[1]) end
return 'moved'
`,
)

/** A part that goes cold, or that is put into the same object. */
export interface Frozen {
  readonly part: Part
  /** Its segment where it is warm. */
  readonly segment: Buffer | undefined
  /** Its object where it has one. */
  readonly object: string | undefined
}

/**
 * Warm to cold: `object` holds the events of all these parts. Where it is undefined the only part has its object already.
 * @param active its last activity as it was read; undefined = whatever happened since
 * Throws Fault REDIS_UNAVAILABLE: it may have been done.
 */
export async function freeze(
  { link, keys }: ContextPlace,
  id: ContextId,
  parts: readonly Frozen[],
  object: ObjectRef | undefined,
  ref: string,
  active: string | undefined,
): Promise<Moved> {
  const reply: RedisReply = await link.run(
    FREEZE,
    [keys.parts(id), keys.warm, keys.puts, keys.active],
    [
      id,
      fieldBase(joinedRange(parts.map(({ part }) => part))),
      object?.name ?? '',
      ref,
      active ?? '',
      ...parts.flatMap(({ part, segment, object: old }) => [
        fieldBase(part),
        segment === undefined ? '' : sha1Of(segment),
        old ?? '',
      ]),
    ],
  )
  return String(reply) as Moved
}

/** The segment of a warm part; undefined when it is not warm any more. Throws Fault REDIS_UNAVAILABLE. */
export async function warmSegment(
  { link, keys }: ContextPlace,
  id: ContextId,
  part: Range,
): Promise<Buffer | undefined> {
  const found = await link.call('HGET', keys.parts(id), partField(part, 'warm'))
  return Buffer.isBuffer(found) ? found : undefined
}
