/** One look at a context in Redis: what it is, the newest of its hot events, and where the others are. */
import type { RedisLink, RedisReply } from '@weir/core/redis/link'
import { defineScript } from '@weir/core/redis/script'
import type { Tier } from '../compose.ts'
import type { ContextId } from '../context-id.ts'
import type { ContextKeys } from '../context-keys.ts'
import { IDENTITY_AT } from '../head.ts'
import { type Part, partsOf } from './parts.ts'

export interface Look {
  /** The head as it lies in Redis (head.ts). */
  readonly head: Buffer
  /** Events in the hot lists. */
  readonly hotEvents: number
  /** Elements of the log: the newest or the oldest of the hot events, as was asked for. */
  readonly digests: readonly Buffer[]
  /** Records of the same events, where they were asked for. */
  readonly records: readonly Buffer[]
  /** In the order of their events, which come before the hot ones. */
  readonly parts: readonly Part[]
  /** The newest part's segment, where it is warm, small and was asked for. */
  readonly newestSegment: Buffer | undefined
}

/** What is wanted of the hot events. */
export type Wanted =
  /** So many of the newest, and the newest segment if they are fewer. */
  | { readonly newest: number }
  /** The oldest with their records: so many at most, and no more once there are so many bytes. */
  | { readonly oldest: number; readonly bytes: number }

/** A segment that comes along with a look; larger ones are fetched when they are needed. */
const SEGMENT_BYTES = 256 * 1024
/** Records that Redis hands to the script at once. */
const STEP = 16

/*
 * KEYS  1 head, 2 log, 3 raw, 4 parts
 * ARGV  1 newest digests, 2 oldest events, 3 bytes of records after which it takes no more
 * Reply nil: there is no such context. Else {head, events in the log, {digest…}, {record…}, {field of the parts…}, newest segment or ''}
 */
const LOOK = defineScript(
  'look-at-context',
  `
local call = redis.call
local head = call('GET', KEYS[1])
if not head or #head < ${IDENTITY_AT} then return false end
local newest, oldest, bytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local hot = call('LLEN', KEYS[2])
local digests, records, segment = {}, {}, ''
if newest > 0 then
  digests = call('LRANGE', KEYS[2], -newest, -1)
elseif oldest > 0 then
  local at = 0
  while at < oldest and at < hot and bytes > 0 do
    local last = math.min(at + ${STEP}, oldest) - 1
    for _, record in ipairs(call('LRANGE', KEYS[3], at, last)) do
      if bytes > 0 then
        records[#records + 1] = record
        bytes = bytes - #record
      end
    end
    at = last + 1
  end
  if #records > 0 then digests = call('LRANGE', KEYS[2], 0, #records - 1) end
end
local fields = call('HKEYS', KEYS[4])
if #fields > 0 and newest > #digests then
  local before = struct.unpack('>I4', head, 2) - hot
  for _, field in ipairs(fields) do
    local from, count = string.match(field, '^(%d+):(%d+):warm$')
    if from and from + count == before and call('HSTRLEN', KEYS[4], field) <= ${SEGMENT_BYTES} then
      segment = call('HGET', KEYS[4], field)
    end
  end
end
return {head, hot, digests, records, fields, segment}
`,
)

/** undefined when there is no such context. Throws Fault REDIS_UNAVAILABLE, RECORD_CORRUPT. */
export async function lookAt(
  { link, keys }: { readonly link: RedisLink; readonly keys: ContextKeys },
  id: ContextId,
  wanted: Wanted,
): Promise<Look | undefined> {
  const [newest, oldest, bytes] =
    'newest' in wanted ? [wanted.newest, 0, 0] : [0, wanted.oldest, wanted.bytes]
  const names = [keys.head(id), keys.log(id), keys.raw(id), keys.parts(id)]
  const reply = (await link.run(LOOK, names, [newest, oldest, bytes])) as RedisReply[] | null
  if (reply === null) return undefined
  const [head, hotEvents, digests, records, fields, segment] = reply as [
    Buffer,
    number,
    Buffer[],
    Buffer[],
    Buffer[],
    Buffer,
  ]
  const parts = partsOf(id, fields.map(String), head.readUInt32BE(1) - hotEvents)
  return { head, hotEvents, digests, records, parts, newestSegment: segment.length > 0 ? segment : undefined }
}

/** How many of its events are in parts. */
export function eventsInParts({ head, hotEvents }: Pick<Look, 'head' | 'hotEvents'>): number {
  return head.readUInt32BE(1) - hotEvents
}

/** The tier of a context: where its newest event is. */
export function tierOf({ hotEvents, parts }: Pick<Look, 'hotEvents' | 'parts'>): Tier {
  if (hotEvents > 0) return 'hot'
  return parts.at(-1)?.warm ? 'warm' : 'cold'
}
