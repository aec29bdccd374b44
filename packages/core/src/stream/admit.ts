/**
 * Admission: limits, dedupe and append in one atomic step. A mark without an entry, or an entry without its mark,
 * cannot exist.
 *
 * The outcome is a function of Redis' own time and the evidence:
 *
 *   the caller's slice is not the current one          → reslice(now)         nothing written
 *   own id stands in the window's evidence             → known                nothing written
 *   occurrences in the window ≥ max_size               → duplicate(first id)  nothing written
 *   a limit is exceeded                                → limited(which, wait) nothing written or counted
 *   otherwise XADD, evidence, rates                    → accepted(stream id)
 *
 * With a derived id the own id *is* the occurrence, so a first attempt that finds it is a duplicate and a repeat
 * after an unknown outcome is known; only the caller can tell which, hence `repeat`.
 *
 * Usual events of one turn of the event loop share a call (admit-together.ts); here is what is asked for one event alone.
 */
import { type EventId, eventIdBytes, eventIdFromBytes } from '../event.ts'
import type { PartitionKeys } from '../keys.ts'
import { FIELD_NAMES, type FieldList, usualValues } from '../record.ts'
import type { RedisArg, RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript, type Script } from '../redis/script.ts'
import { createTogether, valuesForTogether } from './admit-together.ts'
import { type EvidencePlace, evidencePlace } from './evidence.ts'
import { FENCE } from './fence.ts'
import { COUNT_LIMITS, type Limited, limitKey, type RateLimit } from './limits.ts'

export interface Admission {
  readonly id: EventId
  readonly tool: string
  readonly locator: Buffer
  readonly derived: boolean
  readonly fields: FieldList
  /** True when an earlier attempt with this id had an unknown outcome, and for draining. */
  readonly repeat: boolean
  /** The limits that are counted in this partition, with the event; see limits.ts for the others. */
  readonly limits: readonly RateLimit[]
}

export type AdmissionOutcome =
  | { readonly kind: 'accepted'; readonly streamId: string }
  | { readonly kind: 'known' }
  | { readonly kind: 'duplicate'; readonly firstId: EventId }
  | Limited

/** What an admission by a plan of partitions (stream/plans.ts) has to say besides. */
export interface Standing {
  /** Epoch of the plan that brought it here. */
  readonly epoch: number
  readonly plan: string
  /** Occurrences that other partitions found in the window; the first one's id, where ids are minted. */
  readonly elsewhere: number
  readonly firstId: EventId | undefined
}

/** The partition knows a later plan, and nothing was written. */
export interface Moved {
  readonly kind: 'moved'
  readonly plan: string
}

/** What a partition knows of an occurrence that will be admitted in another one, if at all. */
export type Sighting =
  | { readonly kind: 'known' }
  | { readonly kind: 'seen'; readonly occurrences: number; readonly firstId: EventId | undefined }
  | Moved

/** The dedupe window of a tool. */
export interface DedupeWindow {
  /** ms */
  readonly duration: number
  /** How many occurrences of one key pass within it. */
  readonly maxSize: number
}

export interface AdmitterOptions {
  readonly keys: PartitionKeys
  readonly window: (tool: string) => DedupeWindow
  readonly evidenceShards: number
  /** Local wall clock, ms; corrected by what Redis says. */
  readonly now: () => number
}

export interface Admitter {
  /**
   * Admits one event. Throws Fault REDIS_UNAVAILABLE (outcome unknown: admit again with `repeat`, or spool) or
   * REDIS_OUT_OF_MEMORY (nothing was written).
   */
  admit(link: RedisLink, admission: Admission): Promise<AdmissionOutcome>
  /** Admits one event, unless the partition knows of a later plan. Throws as `admit` does. */
  admitUnder(link: RedisLink, admission: Admission, standing: Standing): Promise<AdmissionOutcome | Moved>
  /**
   * Looks for evidence of an event that this partition will not admit any more: in the same step it learns the plan, and
   * from then on refuses what comes under an earlier one. Throws Fault REDIS_UNAVAILABLE.
   */
  look(link: RedisLink, admission: Admission, standing: Standing): Promise<Sighting>
  /** How many occurrences of one key pass within the window of this tool. */
  maxSize(tool: string): number
  /** Redis' clock as last seen, ms. */
  redisNow(): number
}

/** Where the arguments of a script begin that differ between the two: ARGV numbers. */
interface Arrangement {
  /** Own id, '' or absent for a derived one; after it max size, after that two for each limit. */
  readonly own: number
  /** Lua: appends the record; its stream id is in `sid` then. */
  readonly append: string
}

const LAST_VALUE = 3 + FIELD_NAMES.length
/** The fields that encodeRecord writes: their names stand in the script; as arguments they cost Redis 2 µs of 18. */
const USUAL: Arrangement = {
  own: LAST_VALUE + 3,
  append: `local more = {}
if ARGV[${LAST_VALUE + 1}] ~= '' then more = {'k', ARGV[${LAST_VALUE + 1}]} end
if ARGV[${LAST_VALUE + 2}] ~= '' then more[#more + 1], more[#more + 2] = 'tp', ARGV[${LAST_VALUE + 2}] end
local sid = call('XADD', KEYS[1], '*', ${FIELD_NAMES.map((name, i) => `'${name}', ARGV[${4 + i}]`).join(', ')}, unpack(more))`,
}
const appendAny = (last: string) => `local sid = call('XADD', KEYS[1], '*', ${last})`
/** Any others: records of another version, out of the spool. */
const ANY: Arrangement = { own: 4, append: appendAny('unpack(ARGV, 6 + 2 * (#KEYS - 3))') }
const ANY_FENCED: Arrangement = { own: 4, append: appendAny('unpack(ARGV, 6 + 2 * (#KEYS - 4), #ARGV - 2)') }

const LOOK_AT_FENCE = `local fence = call('HGET', KEYS[#KEYS], 'epoch')
if fence and fence + 0 > ARGV[#ARGV - 1] + 0 then return {5, call('HGET', KEYS[#KEYS], 'plan')} end
`

/*
 * KEYS  1 stream, 2 evidence shard of slice s, 3 of slice s−1, 4… one per limit
 * ARGV  1 start of slice s, ms, 2 window ms, 3 field, then
 *       usually:     the values of the record (RecordValues); own id bytes ('' = derived), max size; per limit: limit, period ms
 *                    (with a derived id and no limits nothing follows the values)
 *       else ("any"): own id bytes, max size; per limit: limit, period ms; the record's field/value list
 * Reply stream id accepted | {1} own id is there | {2, first id bytes or ''} duplicate
 *       | {3, redis ms} reslice | {4, index of the limit (1…), wait ms}
 *
 * With a fence (on a Cluster): the last key is the plan, the last two arguments are the epoch that brought it here and the
 * occurrences elsewhere, own id and max size are always there; and one more reply: {5, newer plan}.
 *
 * XADD comes first of all writes: out of memory it is the one that is refused, and after it nothing is. Where it is
 * refused for another reason (a key of another type, an ACL) there must be no mark yet.
 */
const admitScript = (name: string, { own, append }: Arrangement, fenced = false): Script =>
  defineScript(
    name,
    `
local call = redis.call
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local start, window, field, own = ARGV[1] + 0, ARGV[2] + 0, ARGV[3], ARGV[${own}] or ''
if now < start or now >= start + window then return {3, now} end
${fenced ? LOOK_AT_FENCE : ''}local fresh = call('HLEN', KEYS[2]) == 0
local current = not fresh and call('HGET', KEYS[2], field)
local previous = call('HGET', KEYS[3], field)
-- Evidence of the other kind (max_size was changed within the window) counts for nothing: see evidence.ts.
if own == '' then
  if current and #current < 20 and now - (start + current) < window then return {2, ''} end
  if previous and #previous < 20 and now - (start - window + previous) < window then return {2, ''} end
elseif current or previous then
  local order, valid = {}, {}
  local function scan(value, base)
    if #value % 20 ~= 0 then return end
    for at = 1, #value, 20 do
      local id = string.sub(value, at + 4, at + 19)
      if valid[id] == nil then order[#order + 1], valid[id] = id, false end
      if now - (base + struct.unpack('>I4', value, at)) < window then valid[id] = true end
    end
  end
  if previous then scan(previous, start - window) end
  if current then scan(current, start) end
  if valid[own] then return {1} end
  local count, first = 0, nil
  for _, id in ipairs(order) do
    if valid[id] then count, first = count + 1, first or id end
  end
  if count >= tonumber(ARGV[${own + 1}])${fenced ? ' - ARGV[#ARGV]' : ''} then return {2, first} end
end
local limits = #KEYS - ${fenced ? 4 : 3}
local states
if limits > 0 then
  ${COUNT_LIMITS}
  states = {}
  for i = 1, limits do
    local limit, period = tonumber(ARGV[${own} + 2 * i]), tonumber(ARGV[${own + 1} + 2 * i])
    local state, wait = one(call('GET', KEYS[3 + i]), limit, period, now)
    if not state then return {4, i, math.max(1, math.ceil(wait))} end
    states[i] = state
  end
end
${append}
local mark = string.format('%d', now - start)
if own ~= '' then
  local kept = {}
  if current and #current % 20 == 0 then
    for at = 1, #current, 20 do
      if now - (start + struct.unpack('>I4', current, at)) < window then kept[#kept + 1] = string.sub(current, at, at + 19) end
    end
  end
  kept[#kept + 1] = struct.pack('>I4', now - start) .. own
  mark = table.concat(kept)
end
call('HSET', KEYS[2], field, mark)
if fresh then call('PEXPIREAT', KEYS[2], string.format('%d', start + 3 * window)) end
for i = 1, limits do
  call('SET', KEYS[3 + i], states[i], 'PX', string.format('%d', 2 * ARGV[${own + 1} + 2 * i]))
end
return sid
`,
  )

const ADMIT = admitScript('admit', USUAL)
const ADMIT_ANY = admitScript('admit-any', ANY)
const ADMIT_FENCED = admitScript('admit-fenced', USUAL, true)
const ADMIT_ANY_FENCED = admitScript('admit-any-fenced', ANY_FENCED, true)

/*
 * KEYS  1 plan, 2 evidence shard of slice s, 3 of slice s−1, 4 stream
 * ARGV  1 start of slice s, ms, 2 window ms, 3 field, 4 own id bytes ('' = derived), 5 epoch, 6 plan
 * Reply {1} own id is there | {2, occurrences, first id bytes or ''} | {3, redis ms} reslice | {5, newer plan}
 */
const LOOK = defineScript(
  'look',
  `${FENCE}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local start, window, field, own, epoch = ARGV[1] + 0, ARGV[2] + 0, ARGV[3], ARGV[4], ARGV[5] + 0
if now < start or now >= start + window then return {3, now} end
local later = newer(KEYS[1], epoch)
if later then return {5, later} end
learn(KEYS[1], epoch, ARGV[6], KEYS[4])
local order, valid = {}, {}
local function scan(value, base)
  if own == '' then
    if #value < 20 and now - (base + value) < window then order[1], valid[''] = '', true end
  elseif #value % 20 == 0 then
    for at = 1, #value, 20 do
      local id = string.sub(value, at + 4, at + 19)
      if valid[id] == nil then order[#order + 1], valid[id] = id, false end
      if now - (base + struct.unpack('>I4', value, at)) < window then valid[id] = true end
    end
  end
end
local previous, current = redis.call('HGET', KEYS[3], field), redis.call('HGET', KEYS[2], field)
if previous then scan(previous, start - window) end
if current then scan(current, start) end
if own ~= '' and valid[own] then return {1} end
local count, first = 0, nil
for _, id in ipairs(order) do
  if valid[id] then count, first = count + 1, first or id end
end
return {2, count, first or ''}
`,
)

/** Script and arguments of an admission; the first argument, the start of the slice, is left to be filled in. */
function arranged(
  { derived, id, fields, limits }: Admission,
  { duration, maxSize }: DedupeWindow,
  field: Buffer,
  standing: Standing | undefined,
): { readonly script: Script; readonly args: RedisArg[] } {
  const tail: RedisArg[] = []
  const fenced = standing !== undefined
  if (!derived || limits.length > 0 || fenced) tail.push(derived ? '' : eventIdBytes(id), maxSize)
  for (const limit of limits) tail.push(limit.limit, limit.periodMs)
  const end = fenced ? [standing.epoch, standing.elsewhere] : []
  const values = usualValues(fields)
  if (values !== undefined) {
    const script = fenced ? ADMIT_FENCED : ADMIT
    return { script, args: [0, duration, field, ...values, ...tail, ...end] }
  }
  if (tail.length === 0) tail.push('', maxSize)
  const script = fenced ? ADMIT_ANY_FENCED : ADMIT_ANY
  return { script, args: [0, duration, field, ...tail, ...fields, ...end] }
}

/** How often the caller's slice may be wrong in a row; twice needs two slice boundaries within one round trip. */
const MAX_RESLICES = 5

export function createAdmitter(options: AdmitterOptions): Admitter {
  let skewMs = 0 // Redis' clock minus ours
  const redisNow = () => options.now() + skewMs
  const layouts = new Map<string, { window: DedupeWindow; place: (locator: Buffer) => EvidencePlace }>()
  const layoutOf = (tool: string) => {
    let layout = layouts.get(tool)
    if (layout === undefined) {
      const window = options.window(tool)
      const shape = { keys: options.keys, tool, windowMs: window.duration, shards: options.evidenceShards }
      layout = { window, place: (locator) => evidencePlace(shape, locator) }
      layouts.set(tool, layout)
    }
    return layout
  }
  const resliced = (attempt: number, redisMs: number) => {
    if (attempt === MAX_RESLICES) throw new Error(`admission: the slice was stale ${attempt} times running`)
    skewMs = redisMs - options.now()
  }

  const together = createTogether({ keys: options.keys, redisNow, resliced })

  async function admit(
    link: RedisLink,
    admission: Admission,
    standing: Standing | undefined,
  ): Promise<AdmissionOutcome | Moved> {
    const { derived, repeat, limits, fields, id, tool, locator } = admission
    const values = derived && !repeat && limits.length === 0 ? valuesForTogether(fields) : undefined
    if (values === undefined) return admitAlone(link, admission, standing)
    const place = layoutOf(tool).place(locator)
    const outcome = await together.admit(link, { place, values, epoch: standing?.epoch })
    switch (outcome.kind) {
      case 'seen':
        return { kind: 'duplicate', firstId: id }
      case 'alone':
        return admitAlone(link, { ...admission, repeat: outcome.repeat }, standing)
      default:
        return outcome
    }
  }

  async function admitAlone(
    link: RedisLink,
    admission: Admission,
    standing: Standing | undefined,
  ): Promise<AdmissionOutcome | Moved> {
    const { window, place: placeOf } = layoutOf(admission.tool)
    const place = placeOf(admission.locator)
    const limits = admission.limits
    const { script, args } = arranged(admission, window, place.field, standing)
    for (let attempt = 0; ; attempt++) {
      const slice = Math.floor(redisNow() / window.duration)
      args[0] = slice * window.duration
      const keys = [options.keys.stream, place.key(slice), place.key(slice - 1)]
      for (const limit of limits) keys.push(limitKey(options.keys, limit))
      if (standing !== undefined) keys.push(options.keys.plan)
      const reply = await link.run(script, keys, args)
      if (Buffer.isBuffer(reply)) return { kind: 'accepted', streamId: reply.toString('latin1') }
      const [kind, first, second] = reply as RedisReply[]
      switch (kind) {
        case 1:
          return { kind: 'known' }
        case 2:
          if (admission.derived) {
            return admission.repeat ? { kind: 'known' } : { kind: 'duplicate', firstId: admission.id }
          }
          return { kind: 'duplicate', firstId: standing?.firstId ?? eventIdFromBytes(first as Buffer) }
        case 4:
          return {
            kind: 'limited',
            limit: limits[(first as number) - 1] as RateLimit,
            retryAfterMs: second as number,
          }
        case 5:
          return { kind: 'moved', plan: String(first) }
      }
      resliced(attempt, first as number)
    }
  }

  return {
    redisNow,
    maxSize: (tool) => layoutOf(tool).window.maxSize,
    // Without a standing no partition can have moved.
    admit: (link, admission) => admit(link, admission, undefined) as Promise<AdmissionOutcome>,
    admitUnder: admit,
    async look(link, { tool, locator, derived, id }, { epoch, plan }) {
      const { window, place: placeOf } = layoutOf(tool)
      const place = placeOf(locator)
      for (let attempt = 0; ; attempt++) {
        const slice = Math.floor(redisNow() / window.duration)
        const reply = (await link.run(
          LOOK,
          [options.keys.plan, place.key(slice), place.key(slice - 1), options.keys.stream],
          [
            slice * window.duration,
            window.duration,
            place.field,
            derived ? '' : eventIdBytes(id),
            epoch,
            plan,
          ],
        )) as RedisReply[]
        const [kind, first, second] = reply
        switch (kind) {
          case 1:
            return { kind: 'known' }
          case 2: {
            const bytes = second as Buffer
            const firstId = bytes.length === 0 ? undefined : eventIdFromBytes(bytes)
            return { kind: 'seen', occurrences: first as number, firstId }
          }
          case 5:
            return { kind: 'moved', plan: String(first) }
        }
        resliced(attempt, first as number)
      }
    },
  }
}
