/**
 * Taking over entries whose consumer died, and finding one's own that were delivered in a reply that never arrived.
 */
import type { PartitionKeys } from '../keys.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'

export interface PendingEntry {
  readonly streamId: string
  readonly consumer: string
  /** ms since it was last delivered or renewed */
  readonly idleMs: number
  /** How often it was delivered. */
  readonly deliveries: number
}

/** Pending entries, oldest first. @param page.idleMs only those idle at least so long; @param page.after exclusive */
export async function listPending(
  link: RedisLink,
  keys: PartitionKeys,
  page: {
    readonly idleMs?: number
    readonly consumer?: string
    readonly after?: string
    readonly count: number
  },
): Promise<PendingEntry[]> {
  const args: (string | number)[] = [keys.stream, keys.group]
  if (page.idleMs !== undefined) args.push('IDLE', page.idleMs)
  args.push(page.after === undefined ? '-' : `(${page.after}`, '+', page.count)
  if (page.consumer !== undefined) args.push(page.consumer)
  const reply = (await link.call('XPENDING', ...args)) as RedisReply[]
  return reply.map((item) => {
    const [streamId, consumer, idleMs, deliveries] = item as RedisReply[]
    return {
      streamId: String(streamId),
      consumer: String(consumer),
      idleMs: idleMs as number,
      deliveries: deliveries as number,
    }
  })
}

/** One delivered entry: its id and its field/value list (`null` when the entry was deleted from the stream). */
export interface DeliveredEntry {
  readonly streamId: string
  readonly fields: Buffer[] | null
}

/**
 * Makes these pending entries this consumer's, if they are still idle at least `idleMs`; counts as a delivery.
 * Entries that no longer exist in the stream are dropped from the pending list by Redis and not returned.
 */
export async function claimPending(
  link: RedisLink,
  keys: PartitionKeys,
  consumer: string,
  idleMs: number,
  streamIds: readonly string[],
): Promise<DeliveredEntry[]> {
  if (streamIds.length === 0) return []
  const reply = (await link.call(
    'XCLAIM',
    keys.stream,
    keys.group,
    consumer,
    idleMs,
    ...streamIds,
  )) as RedisReply[]
  return entriesOf(reply)
}

/** Decodes an XRANGE/XCLAIM-shaped reply. */
export function entriesOf(reply: RedisReply[]): DeliveredEntry[] {
  const entries: DeliveredEntry[] = []
  for (const item of reply) {
    if (item === null) continue
    const [streamId, fields] = item as [Buffer, Buffer[] | null]
    entries.push({ streamId: streamId.toString('latin1'), fields })
  }
  return entries
}

/*
 * KEYS  1 stream, 2 consumers hash
 * ARGV  1 group, 2 idle ms ('' = only the one named), 3 consumer or ''
 * Reply names of the removed consumers
 */
const REMOVE_CONSUMERS = defineScript(
  'remove-consumers',
  `
local removed = {}
if redis.call('EXISTS', KEYS[1]) == 0 then return removed end
local there = false
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do there = there or group[2] == ARGV[1] end
if not there then return removed end
for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local c = {}
  for i = 1, #info, 2 do c[info[i]] = info[i + 1] end
  if c.pending == 0 and (c.name == ARGV[3] or (ARGV[2] ~= '' and c.idle >= tonumber(ARGV[2]))) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], c.name)
    redis.call('HDEL', KEYS[2], c.name)
    removed[#removed + 1] = c.name
  end
end
return removed
`,
)

/**
 * Deletes consumers that own nothing: this one by name (leaving), or all that were idle for so long.
 * Checked and deleted in one script, because DELCONSUMER would throw away what a consumer still owns.
 */
export async function removeConsumers(
  link: RedisLink,
  keys: PartitionKeys,
  which: { readonly name: string } | { readonly idleMs: number },
): Promise<string[]> {
  const args = 'name' in which ? ['', which.name] : [which.idleMs, '']
  const reply = await link.run(REMOVE_CONSUMERS, [keys.stream, keys.consumers], [keys.group, ...args])
  return (reply as RedisReply[]).map(String)
}
