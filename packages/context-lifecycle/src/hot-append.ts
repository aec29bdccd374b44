/**
 * An event comes into its context: its digest and its record, in one atomic step, once. A repeat (the consumer died between
 * this and its acknowledgement, or the event's handlers failed and it is tried again) finds its id and changes nothing.
 *
 *   no head ──▶ made, with the identity        id is there ──▶ known, nothing written        else ──▶ appended
 *
 * The first write is one that fails cleanly when Redis is out of memory; after it nothing is refused.
 */
import type { RedisLink, RedisReply } from '@weir/core/redis/link'
import { defineScript } from '@weir/core/redis/script'
import { type ContextId, contextIdBytes } from './context-id.ts'
import type { ContextKeys } from './context-keys.ts'
import { HEAD_VERSION, ID_BYTES, IDENTITY_AT } from './head.ts'

/** Sealed bytes begin with a version and the id of their key, so long in all. */
export const SEAL_KEY_END = 9

export interface Addition {
  /** 16 bytes of the event's id. */
  readonly eventId: Buffer
  /** For the first event of the context. */
  readonly identity: Buffer
  readonly digest: Buffer
  readonly record: Buffer
  /** When it was received at the gateway, ms. */
  readonly receivedAt: number
}

/*
 * KEYS  1 head, 2 log, 3 raw, 4 active, 5 events, 6 hot, 7 dirty
 * ARGV  1 beginning of the event's id, 2 context, 3 identity, 4 digest, 5 record, 6 received, ms, 7 bytes of the context's id
 * Reply events in the context now, or 0: it is there already
 *
 * An event that the index does not know is in no context. So a context of many events is not read for each one: at 50,000 that took a
 * millisecond.
 *
 * An identity is written anew when it is sealed with another key than before, or was not sealed: the key before may have been
 * destroyed. Its line ends with the flag `1]` then, and the seal's beginning names the key.
 */
const APPEND = defineScript(
  'append-to-context',
  `
local call = redis.call
local head, id = call('GETRANGE', KEYS[1], 0, ${IDENTITY_AT - 1}), ARGV[1]
local events, bytes, ids = 0, 0, 0
if #head > 0 then
  ids = ${IDENTITY_AT} + struct.unpack('>I2', head, 34)
  if call('HEXISTS', KEYS[5], id) == 1 then
    local there = call('GETRANGE', KEYS[1], ids, -1)
    local at = string.find(there, id, 1, true)
    while at do
      if (at - 1) % ${ID_BYTES} == 0 then return 0 end
      at = string.find(there, id, at + 1, true)
    end
  end
  events, bytes = struct.unpack('>I4I6', head, 2)
end
call('RPUSH', KEYS[3], ARGV[5])
call('RPUSH', KEYS[2], ARGV[4])
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if #head > 0 then
  local new = string.find(ARGV[3], '\\n', 1, true)
  if string.sub(ARGV[3], new - 2, new - 2) == '1' then
    local identity = call('GETRANGE', KEYS[1], ${IDENTITY_AT}, ids - 1)
    local line = string.find(identity, '\\n', 1, true)
    if string.sub(identity, line + 1, line + ${SEAL_KEY_END}) ~= string.sub(ARGV[3], new + 1, new + ${SEAL_KEY_END}) then
      call('SET', KEYS[1], string.sub(head, 1, 33) .. struct.pack('>I2', #ARGV[3]) .. ARGV[3] .. call('GETRANGE', KEYS[1], ids, -1))
    end
  end
  call('SETRANGE', KEYS[1], 1, struct.pack('>I4I6', events + 1, bytes + #ARGV[5]))
  call('SETRANGE', KEYS[1], 17, struct.pack('>I6', now))
  call('APPEND', KEYS[1], id)
else
  call('SET', KEYS[1], struct.pack('>I1I4I6I6I6I4I6I2', ${HEAD_VERSION}, 1, #ARGV[5], tonumber(ARGV[6]), now, 0, 0, #ARGV[3]) .. ARGV[3] .. id)
end
local at = string.format('%d', now)
call('ZADD', KEYS[4], at, ARGV[2])
call('ZADD', KEYS[6], at, ARGV[2])
call('ZADD', KEYS[7], 'NX', at, ARGV[2])
call('HSET', KEYS[5], id, ARGV[7])
return events + 1
`,
)

/**
 * Appends an event. Returns how many events the context has now; undefined when this one was there already. Throws Fault
 * REDIS_UNAVAILABLE (nobody knows whether it was: append it again) or REDIS_OUT_OF_MEMORY (it was not).
 */
export async function appendEvent(
  link: RedisLink,
  keys: ContextKeys,
  id: ContextId,
  { eventId, identity, digest, record, receivedAt }: Addition,
): Promise<number | undefined> {
  const places = [keys.head(id), keys.log(id), keys.raw(id), keys.active]
  places.push(keys.events(eventId), keys.hot, keys.dirty)
  const beginning = eventId.subarray(0, ID_BYTES)
  const args = [beginning, id, identity, digest, record, receivedAt, contextIdBytes(id)]
  const events = await link.run(APPEND, places, args)
  return events === 0 ? undefined : (events as number)
}

/** How accesses are noted for prewarming (prewarm/access-log.ts). */
export interface AccessNotes {
  /** How long they are kept, ms. */
  readonly keepMs: number
}

/** Accesses kept of one shard: 2.4 MB of Redis. */
const ACCESSES_KEPT = 65_536
/** A context that is read again and again is noted once in so long, ms: more teaches nothing, and pushes out what does. */
const NOTED_ONCE_MS = 60_000

/*
 * KEYS  1 head, 2 active, 3 hot, 4 parts, 5 wanted, 6 accesses
 * ARGV  1 context, 2 bytes of its id, 3 how long accesses are noted, ms; 0 = they are not
 * Reply 1, or 0: there is no such context
 *
 * A hot context's stay is counted from now. One that has events elsewhere is wanted: the sweep brings them nearer. The notes end
 * with their time also where nobody reads any more: then the whole stream does.
 */
const TOUCH = defineScript(
  'touch-context',
  `
local call = redis.call
local head = call('GETRANGE', KEYS[1], 0, ${IDENTITY_AT - 1})
if #head < ${IDENTITY_AT} then return 0 end
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local accesses, before = struct.unpack('>I4I6', head, 24)
call('SETRANGE', KEYS[1], 23, struct.pack('>I4I6', math.min(accesses + 1, 4294967295), now))
local at = string.format('%d', now)
call('ZADD', KEYS[2], at, ARGV[1])
call('ZADD', KEYS[3], 'XX', at, ARGV[1])
if call('EXISTS', KEYS[4]) == 1 then call('ZADD', KEYS[5], at, ARGV[1]) end
local keep = tonumber(ARGV[3])
if keep > 0 and now - before >= ${NOTED_ONCE_MS} then
  call('XADD', KEYS[6], 'MINID', string.format('%d', now - keep), '*', 'c', ARGV[2])
  if call('XLEN', KEYS[6]) > ${ACCESSES_KEPT} then call('XTRIM', KEYS[6], 'MAXLEN', '~', ${ACCESSES_KEPT}) end
  call('PEXPIRE', KEYS[6], ARGV[3])
end
return 1
`,
)

/** Counts an access, and notes it where that is wanted. False when there is no such context. Throws as `appendEvent`. */
export async function touchContext(
  link: RedisLink,
  keys: ContextKeys,
  id: ContextId,
  notes: AccessNotes | undefined,
): Promise<boolean> {
  const reply: RedisReply = await link.run(
    TOUCH,
    [keys.head(id), keys.active, keys.hot, keys.parts(id), keys.wanted, keys.accesses],
    [id, contextIdBytes(id), notes?.keepMs ?? 0],
  )
  return reply === 1
}
