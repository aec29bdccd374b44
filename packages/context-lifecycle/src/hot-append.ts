/**
 * An event comes into its context: its digest and its record, in one atomic step, once. A repeat (the consumer died between
 * this and its acknowledgement, or the event's handlers failed and it is tried again) finds its id and changes nothing.
 *
 *   no head ──▶ made, with the identity        id is there ──▶ known, nothing written        else ──▶ appended
 *
 * The first write is one that fails cleanly when Redis is out of memory; after it nothing is refused. */
import { isFault } from '@weir/core/faults'
import type { RedisLink, RedisReply } from '@weir/core/redis/link'
import { defineScript, type RedisArg } from '@weir/core/redis/script'
import { type ContextId, contextIdBytes } from './context-id.ts'
import type { ContextKeys } from './context-keys.ts'
import type { ContextPlace } from './context-place.ts'
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

/** Events in one call; Redis does nothing else meanwhile (16 × 30 µs). */
const MAX_EVENTS = 16
/** Bytes of records and digests in one call; a larger event goes alone. */
const MAX_BYTES = 64 * 1024

/*
 * KEYS  1 active, 2 hot, 3 dirty, then of each event: head, log, raw, events
 * ARGV  of each event: beginning of its id, context, identity, digest, record, received, ms, bytes of the context's id
 * Reply of each event: how many its context has now, or 0: it is there already
 *
 * Everything is looked at before anything is written, so that what is broken (a key of another type) breaks off a call that has
 * changed nothing. An event that the index does not know is in no context. So a context of many events is not read for each one: at
 * 50,000 that took a millisecond.
 *
 * An identity is written anew when it is sealed with another key than before, or was not sealed: the key before may have been
 * destroyed. Its line ends with the flag `1]` then, and the seal's beginning names the key.
 */
const APPEND = defineScript(
  'append-to-contexts',
  `
local call, keys, args = redis.call, KEYS, ARGV
local out, marks, seen, n = {}, {}, {}, 0
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local at = string.format('%d', now)
for a = 1, #args, 7 do
  n = n + 1
  local k, id = 4 * n, args[a]
  local there = seen[id .. args[a + 1]]
  if not there and call('HEXISTS', keys[k + 3], id) == 1 then
    local head = call('GETRANGE', keys[k], 33, 34)
    if #head > 0 then
      local ids = call('GETRANGE', keys[k], ${IDENTITY_AT} + struct.unpack('>I2', head), -1)
      local found = string.find(ids, id, 1, true)
      while found and (found - 1) % ${ID_BYTES} ~= 0 do found = string.find(ids, id, found + 1, true) end
      there = found
    end
  end
  if there then
    out[n] = 0
  else
    out[n], seen[id .. args[a + 1]] = 1, true
    call('STRLEN', keys[k])
    call('LLEN', keys[k + 1])
    call('LLEN', keys[k + 2])
    marks[#marks + 1] = at
    marks[#marks + 1] = args[a + 1]
  end
end
if #marks == 0 then return out end
call('ZADD', keys[1], unpack(marks))
call('ZADD', keys[2], unpack(marks))
call('ZADD', keys[3], 'NX', unpack(marks))
for i = 1, n do
  if out[i] == 1 then
    local k, a = 4 * i, 7 * i - 6
    local id, identity, record = args[a], args[a + 2], args[a + 4]
    local name = keys[k]
    call('RPUSH', keys[k + 2], record)
    call('RPUSH', keys[k + 1], args[a + 3])
    local head = call('GETRANGE', name, 0, ${IDENTITY_AT - 1})
    if #head > 0 then
      local events, bytes = struct.unpack('>I4I6', head, 2)
      local new = string.find(identity, '\\n', 1, true)
      if string.sub(identity, new - 2, new - 2) == '1' then
        local ids = ${IDENTITY_AT} + struct.unpack('>I2', head, 34)
        local before = call('GETRANGE', name, ${IDENTITY_AT}, ids - 1)
        local line = string.find(before, '\\n', 1, true)
        if string.sub(before, line + 1, line + ${SEAL_KEY_END}) ~= string.sub(identity, new + 1, new + ${SEAL_KEY_END}) then
          call('SET', name, string.sub(head, 1, 33) .. struct.pack('>I2', #identity) .. identity .. call('GETRANGE', name, ids, -1))
        end
      end
      out[i] = events + 1
      call('SETRANGE', name, 1, struct.pack('>I4I6', events + 1, bytes + #record))
      call('SETRANGE', name, 17, struct.pack('>I6', now))
      call('APPEND', name, id)
    else
      call('SET', name, struct.pack('>I1I4I6I6I6I4I6I2', ${HEAD_VERSION}, 1, #record, tonumber(args[a + 5]), now, 0, 0, #identity) .. identity .. id)
    end
    call('HSET', keys[k + 3], id, args[a + 6])
  end
end
return out
`,
)

export interface Appends {
  /**
   * Appends an event. Resolves with how many events the context has now; undefined when this one was there already. Throws Fault
   * REDIS_UNAVAILABLE (nobody knows whether it was: append it again) or REDIS_OUT_OF_MEMORY (it was not).
   */
  append(place: ContextPlace, id: ContextId, addition: Addition): Promise<number | undefined>
}

interface Waiting {
  readonly id: ContextId
  readonly addition: Addition
  resolve(events: number | undefined): void
  reject(error: unknown): void
}

/** What leaves in one call. */
interface Batch {
  readonly waiting: Waiting[]
  bytes: number
}

/**
 * Appends that are asked for in one turn of the event loop go in one call of the script, as far as they lie in one place. They
 * share its fate; when it is broken off by what is wrong with one of them, each is appended again alone.
 */
export function createAppends(): Appends {
  const open = new Map<ContextPlace, Batch>()

  function sendAll(): void {
    for (const [place, { waiting }] of open) void send(place, waiting)
    open.clear()
  }

  /** Answers all that wait; never rejects. */
  async function send(place: ContextPlace, waiting: readonly Waiting[]): Promise<void> {
    try {
      const reply = (await run(place, waiting)) as readonly number[]
      for (const [i, { resolve }] of waiting.entries()) resolve(reply[i] === 0 ? undefined : reply[i])
    } catch (error) {
      if (isFault(error) || waiting.length === 1) for (const { reject } of waiting) reject(error)
      else for (const each of waiting) void send(place, [each])
    }
  }

  return {
    append: (place, id, addition) =>
      new Promise((resolve, reject) => {
        const bytes = addition.record.length + addition.digest.length
        let batch = open.get(place)
        if (batch !== undefined && (batch.waiting.length === MAX_EVENTS || batch.bytes + bytes > MAX_BYTES)) {
          void send(place, batch.waiting)
          open.delete(place)
          batch = undefined
        }
        if (batch === undefined) {
          // Ticks come when all that this turn has brought has been worked on.
          if (open.size === 0) process.nextTick(sendAll)
          batch = { waiting: [], bytes: 0 }
          open.set(place, batch)
        }
        batch.waiting.push({ id, addition, resolve, reject })
        batch.bytes += bytes
      }),
  }
}

function run({ link, keys }: ContextPlace, waiting: readonly Waiting[]): Promise<RedisReply> {
  const names = [keys.active, keys.hot, keys.dirty]
  const args: RedisArg[] = []
  for (const { id, addition } of waiting) {
    const { eventId, identity, digest, record, receivedAt } = addition
    names.push(keys.head(id), keys.log(id), keys.raw(id), keys.events(eventId))
    args.push(eventId.subarray(0, ID_BYTES), id, identity, digest, record, receivedAt, contextIdBytes(id))
  }
  return link.run(APPEND, names, args)
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

/** Counts an access, and notes it where that is wanted. False when there is no such context. Throws as `append`. */
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
