/**
 * Admissions that were asked for in one turn of the event loop, in one call of a script. A call costs Redis 9 µs before it
 * does anything (its arguments, the hand-over to Lua), and then TIME and a transaction in the append-only file: as much as
 * the admission itself. With eight in flight one call for all took 0.42 of what SET NX + XADD of the raw body cost, a call
 * for each 0.52; the gateway, too, has less to write and to read.
 *
 * What goes together is what comes first and is usual: derived ids, no limit that is counted with the event, no repeat,
 * records with the usual fields. It is judged as each one alone would be (admit.ts), one after the other; the same event
 * twice in a call is accepted once. Tenant, tool and packing are mostly those of the event before, and are said once then.
 *
 * All of a call share its fate. Out of memory, only its first write can be refused: then nothing was written. An answer that
 * never comes leaves all of them unknown. When a script is broken off by what is wrong with one event (a key of another
 * type), each of them is admitted again alone, as a repeat: those that had been accepted are known then.
 */
import { isFault } from '../faults.ts'
import type { PartitionKeys } from '../keys.ts'
import { FIELD_NAMES, type FieldList, RECORD_VERSION, type RecordValues, usualValues } from '../record.ts'
import type { RedisArg, RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'
import type { EvidencePlace } from './evidence.ts'

/** Events in one call; Redis does nothing else meanwhile (16 × 20 µs). */
const MAX_EVENTS = 16
/** Bytes of body in one call; a larger body goes alone: copying is what it costs. */
const MAX_BODY_BYTES = 32 * 1024

export interface TogetherEvent {
  readonly place: EvidencePlace
  /** As valuesForTogether gives them. */
  readonly values: RecordValues
  /** Of the plan that brought it here; undefined where there is none. */
  readonly epoch: number | undefined
}

export type TogetherOutcome =
  | { readonly kind: 'accepted'; readonly streamId: string }
  /** Its evidence stands in the window. */
  | { readonly kind: 'seen' }
  | { readonly kind: 'moved'; readonly plan: string }
  /** It has to be admitted alone; as a repeat when it may have been accepted. */
  | { readonly kind: 'alone'; readonly repeat: boolean }

export interface Together {
  /** Throws as `admit` does. */
  admit(link: RedisLink, event: TogetherEvent): Promise<TogetherOutcome>
}

export interface TogetherOptions {
  readonly keys: PartitionKeys
  redisNow(): number
  /** The slice was stale, for the `attempt`th time running; throws when that was too often. */
  resliced(attempt: number, redisMs: number): void
}

/** The record's values, if it can go with others. */
export function valuesForTogether(fields: FieldList): RecordValues | undefined {
  const values = usualValues(fields)
  if (values === undefined) return undefined
  const [v, , , , , , , , body, k] = values
  return v === RECORD_VERSION && k.length === 0 && body.length <= MAX_BODY_BYTES ? values : undefined
}

/** Where each value stands in the script. */
const IN_LUA: Record<(typeof FIELD_NAMES)[number], string> = {
  v: `'${RECORD_VERSION}'`,
  id: 'args[a + 1]',
  tenant: 'tenant',
  tool: 'tool',
  type: 'args[a + 2]',
  at: 'args[a + 3]',
  enc: 'enc',
  dict: 'dict',
  body: 'args[a + 4]',
}
const FIELDS = FIELD_NAMES.map((name) => `'${name}', ${IN_LUA[name]}`).join(', ')

/*
 * KEYS  1 stream, then per event: evidence shard of slice s, of slice s−1
 * ARGV  1 start of slice s, ms, 2 window ms, then
 *       groups of events: how many, tenant, tool, enc, dict, tp; of each: field, id, type, at, body
 * Reply per event: stream id accepted | nil seen; or redis ms: reslice
 *
 * With a fence (on a Cluster): the last key is the plan, ARGV 3 the epoch that brought them here, groups after it; and one more
 * reply: newer plan.
 *
 * An event's mark is both looked for and written by HSETNX (0.5 of 20 µs less than HGET and HSET behind XADD, as admit.ts has
 * them): out of memory it is the one that is refused, and where XADD is refused for another reason the mark is taken back.
 */
const together = (name: string, fenced: boolean) =>
  defineScript(
    name,
    `
local call, pcall, keys, args = redis.call, redis.pcall, KEYS, ARGV
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local start, window = args[1] + 0, args[2] + 0
local ago = now - start
if ago < 0 or ago >= window then return now end
${
  fenced
    ? `local fence = call('HGET', keys[#keys], 'epoch')
if fence and fence + 0 > args[3] + 0 then return call('HGET', keys[#keys], 'plan') end`
    : ''
}
local stream, mark = keys[1], string.format('%d', ago)
local out, n, k, a, last = {}, 0, 2, ${fenced ? 4 : 3}, #args
while a <= last do
  local upTo, tenant, tool, enc, dict, tp = n + args[a], args[a + 1], args[a + 2], args[a + 3], args[a + 4], args[a + 5]
  a = a + 6
  while n < upTo do
    n = n + 1
    local shard, field = keys[k], args[a]
    local previous = call('HGET', keys[k + 1], field)
    local seen = previous and #previous < 20 and ago - previous < 0
    if not seen and call('HSETNX', shard, field, mark) == 0 then
      local current = call('HGET', shard, field)
      seen = #current < 20 and ago - current < window
      if not seen then call('HSET', shard, field, mark) end
    end
    if seen then
      out[n] = false
    else
      local sid
      if tp == '' then
        sid = pcall('XADD', stream, '*', ${FIELDS})
      else
        sid = pcall('XADD', stream, '*', ${FIELDS}, 'tp', tp)
      end
      if sid.err then
        call('HDEL', shard, field)
        return sid
      end
      out[n] = sid
      if call('HLEN', shard) == 1 then call('PEXPIREAT', shard, string.format('%d', start + 3 * window)) end
    end
    k, a = k + 2, a + 5
  end
end
return out
`,
  )

const TOGETHER = together('admit-together', false)
const TOGETHER_FENCED = together('admit-together-fenced', true)

interface Waiting {
  readonly event: TogetherEvent
  resolve(outcome: TogetherOutcome): void
  reject(error: unknown): void
}

/** What leaves in one call. */
interface Batch {
  readonly windowMs: number
  readonly epoch: number | undefined
  readonly waiting: Waiting[]
  bytes: number
}

export function createTogether({ keys, redisNow, resliced }: TogetherOptions): Together {
  const gatherings = new WeakMap<RedisLink, Batch[]>()

  function batchFor(link: RedisLink, { place, values, epoch }: TogetherEvent): Batch {
    let open = gatherings.get(link)
    if (open === undefined) {
      open = []
      gatherings.set(link, open)
    }
    const bytes = values[8].length
    const { windowMs } = place
    const at = open.findIndex((batch) => batch.windowMs === windowMs && batch.epoch === epoch)
    let batch = open[at]
    if (batch === undefined || batch.waiting.length === MAX_EVENTS || batch.bytes + bytes > MAX_BODY_BYTES) {
      if (batch !== undefined) {
        open.splice(at, 1)
        void send(link, batch)
      }
      // Ticks come when all that this turn has brought has been worked on.
      if (open.length === 0) process.nextTick(sendAll, link, open)
      batch = { windowMs, epoch, waiting: [], bytes: 0 }
      open.push(batch)
    }
    batch.bytes += bytes
    return batch
  }

  function sendAll(link: RedisLink, open: Batch[]): void {
    for (const batch of open.splice(0)) void send(link, batch)
  }

  /** Answers all that wait; never rejects. */
  async function send(link: RedisLink, batch: Batch): Promise<void> {
    const { waiting } = batch
    if (waiting.length === 1) return waiting[0]?.resolve({ kind: 'alone', repeat: false })
    try {
      const reply = await ask(link, batch)
      for (let i = 0; i < waiting.length; i++) waiting[i]?.resolve(outcomeOf(reply, i))
    } catch (error) {
      for (const { resolve, reject } of waiting) {
        if (isFault(error)) reject(error)
        else resolve({ kind: 'alone', repeat: true })
      }
    }
  }

  async function ask(link: RedisLink, { windowMs, epoch, waiting }: Batch): Promise<RedisReply> {
    const fenced = epoch !== undefined
    const args: RedisArg[] = [0, windowMs]
    if (fenced) args.push(epoch)
    pushGroups(args, waiting)
    for (let attempt = 0; ; attempt++) {
      const slice = Math.floor(redisNow() / windowMs)
      args[0] = slice * windowMs
      const names = [keys.stream]
      for (const { event } of waiting) names.push(event.place.key(slice), event.place.key(slice - 1))
      if (fenced) names.push(keys.plan)
      const reply = await link.run(fenced ? TOGETHER_FENCED : TOGETHER, names, args)
      if (typeof reply !== 'number') return reply
      resliced(attempt, reply)
    }
  }

  return {
    admit: (link, event) =>
      new Promise((resolve, reject) => {
        batchFor(link, event).waiting.push({ event, resolve, reject })
      }),
  }
}

function outcomeOf(reply: RedisReply, index: number): TogetherOutcome {
  if (!Array.isArray(reply)) return { kind: 'moved', plan: String(reply) }
  const streamId = reply[index] as Buffer | null
  return streamId === null ? { kind: 'seen' } : { kind: 'accepted', streamId: streamId.toString('latin1') }
}

function pushGroups(args: RedisArg[], waiting: readonly Waiting[]): void {
  let head = -1
  let count = 0
  for (const { event } of waiting) {
    const [, id, tenant, tool, type, at, enc, dict, body, , tp] = event.values
    const same =
      head >= 0 &&
      args[head + 1] === tenant &&
      args[head + 2] === tool &&
      args[head + 3] === enc &&
      args[head + 4] === dict &&
      args[head + 5] === tp
    if (!same) {
      head = args.length
      count = 0
      args.push(0, tenant, tool, enc, dict, tp)
    }
    args[head] = ++count
    args.push(event.place.field, id, type, at, body)
  }
}
