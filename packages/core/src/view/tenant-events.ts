/**
 * What the streams hold of one tenant: events that wait, settled ones that are still kept, parked ones, dead letters; and the
 * compression dictionaries that their records name, and those of others. It reads page by page, and of each record only what says
 * whose it is. Streams are read before parked events and those before dead letters, the way that events go.
 */
import type { PartitionKeys } from '../keys.ts'
import type { Partition } from '../partition.ts'
import { decodeRecord, type EventRecord } from '../record.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'
import { redisTime } from '../redis/time.ts'
import type { EvidencePlace } from '../stream/evidence.ts'
import { purgeParked } from '../stream/purge-parked.ts'

export interface TenantEvents {
  /** In the stream, and no consumer has read them. */
  readonly unread: number
  /** With a consumer. */
  readonly pending: number
  /** Settled, parked or dead, and not trimmed yet: their bytes can still be read. */
  readonly kept: number
  /** When the newest of those came into the stream, ms since the epoch; undefined where there is none. */
  readonly newestKeptMs: number | undefined
  readonly parked: number
  /** Of the parked: those that a consumer has in hand. */
  readonly held: number
  readonly dead: number
  /** Records that do not say whose they are. */
  readonly ownerless: number
  /** Ids of the dictionaries that its records name. */
  readonly dictionaries: ReadonlySet<string>
  /** Ids of those that records of other tenants name. */
  readonly others: ReadonlySet<string>
}

export interface PurgedParked {
  readonly purged: number
  /** Left, because a consumer has them in hand. */
  readonly held: number
  /** False: the signal stopped it before the end. */
  readonly complete: boolean
}

/** Records looked at in one script: about a millisecond. */
const PAGE = 100

/*
 * KEYS  1 stream, or dead letters
 * ARGV  1 start of the range, 2 how many, 3 tenant, 4 group, or '' for dead letters
 * Reply {last id or '', looked at, unread, pending, kept, newest kept or '', ownerless, {dictionaries of the tenant…}, {of others…}}
 */
const STREAM_RECORDS = defineScript(
  'tenant-stream',
  `
local call = redis.call
local function parse(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function behind(id, last)
  local ms, seq = parse(id)
  local lastMs, lastSeq = parse(last)
  return ms < lastMs or (ms == lastMs and seq <= lastSeq)
end
local page = call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])
local delivered
if ARGV[4] ~= '' and #page > 0 then
  for _, group in ipairs(call('XINFO', 'GROUPS', KEYS[1])) do
    local g = {}
    for i = 1, #group, 2 do g[group[i]] = group[i + 1] end
    if g.name == ARGV[4] then delivered = g['last-delivered-id'] end
  end
end
local reply = {'', #page, 0, 0, 0, '', 0, {}, {}}
local known = {}
for _, entry in ipairs(page) do
  local tenant, dictionary = '', ''
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'tenant' then tenant = entry[2][i + 1]
    elseif entry[2][i] == 'dict' then dictionary = entry[2][i + 1] end
  end
  reply[1] = entry[1]
  if tenant == '' then reply[7] = reply[7] + 1 end
  local list = reply[tenant == ARGV[3] and 8 or 9]
  if dictionary ~= '' and not known[tenant .. '/' .. dictionary] then
    known[tenant .. '/' .. dictionary] = true
    list[#list + 1] = dictionary
  end
  if tenant == ARGV[3] then
    if ARGV[4] == '' then reply[5] = reply[5] + 1
    elseif not delivered or not behind(entry[1], delivered) then reply[3] = reply[3] + 1
    elseif #call('XPENDING', KEYS[1], ARGV[4], entry[1], entry[1], 1) == 1 then reply[4] = reply[4] + 1
    else
      reply[5] = reply[5] + 1
      reply[6] = entry[1]
    end
  end
end
return reply
`,
)

/*
 * KEYS  1 parked records, 2 parked due, 3 parked state
 * ARGV  1 cursor, 2 about how many, 3 tenant
 * Reply {next cursor, ownerless, {dictionaries of others…}, {stream id, fields without the body or '', due ms, 1 in hand | 0}…}
 *
 * One may come twice while the hash gets smaller.
 */
const PARKED_RECORDS = defineScript(
  'tenant-parked',
  `
local call = redis.call
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local page = call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local reply = {page[1], 0, {}}
for i = 1, #page[2], 2 do
  local sid = page[2][i]
  local readable, fields = pcall(cmsgpack.unpack, page[2][i + 1])
  if not readable or type(fields) ~= 'table' then fields = {} end
  local tenant, dictionary = '', ''
  for f = 1, #fields, 2 do
    if fields[f] == 'tenant' then tenant = fields[f + 1]
    elseif fields[f] == 'dict' then dictionary = fields[f + 1]
    elseif fields[f] == 'body' then fields[f + 1] = '' end
  end
  if tenant == '' then reply[2] = reply[2] + 1 end
  if tenant == ARGV[3] then
    local due, raw = call('ZSCORE', KEYS[2], sid), call('HGET', KEYS[3], sid)
    local held = raw and cjson.decode(raw).by ~= '' and due and tonumber(due) > now
    reply[#reply + 1] = {sid, fields, string.format('%d', tonumber(due or 0)), held and 1 or 0}
  elseif dictionary ~= '' then
    reply[3][#reply[3] + 1] = dictionary
  end
end
return reply
`,
)

interface ParkedOfTenant {
  readonly streamId: string
  readonly record: EventRecord | undefined
  readonly dictionary: string
  readonly dueMs: number
  readonly held: boolean
}

interface ParkedPage {
  readonly own: readonly ParkedOfTenant[]
  readonly ownerless: number
  readonly others: readonly string[]
}

/** Throws Fault REDIS_UNAVAILABLE. Where the signal stops it, what was counted until then. */
export async function readTenantEvents(
  partitions: readonly Partition[],
  tenant: string,
  signal?: AbortSignal,
): Promise<TenantEvents> {
  const sum = { unread: 0, pending: 0, kept: 0, parked: 0, held: 0, dead: 0, ownerless: 0 }
  const dictionaries = new Set<string>()
  const others = new Set<string>()
  let newestKeptMs: number | undefined
  for (const { keys, link } of partitions) {
    for await (const page of streamPages(link, keys.stream, tenant, keys.group, signal)) {
      sum.unread += page.unread
      sum.pending += page.pending
      sum.kept += page.kept
      sum.ownerless += page.ownerless
      if (page.newestKeptMs !== undefined) newestKeptMs = Math.max(newestKeptMs ?? 0, page.newestKeptMs)
      for (const id of page.own) dictionaries.add(id)
      for (const id of page.others) others.add(id)
    }
    const seen = new Set<string>()
    for await (const page of parkedPages(link, keys, tenant, signal)) {
      sum.ownerless += page.ownerless
      for (const id of page.others) others.add(id)
      for (const { streamId, dictionary, held } of page.own) {
        if (seen.has(streamId)) continue
        seen.add(streamId)
        sum.parked += 1
        if (held) sum.held += 1
        if (dictionary !== '') dictionaries.add(dictionary)
      }
    }
    for await (const page of streamPages(link, keys.deadLetters, tenant, '', signal)) {
      sum.dead += page.kept
      sum.ownerless += page.ownerless
      for (const id of page.own) dictionaries.add(id)
      for (const id of page.others) others.add(id)
    }
  }
  return { ...sum, newestKeptMs, dictionaries, others }
}

/**
 * Gives up the parked events of a tenant. A further run goes on where this one was stopped.
 * @param evidence where the evidence of an event stands
 * Throws Fault REDIS_UNAVAILABLE.
 */
export async function purgeTenantParked(
  partitions: readonly Partition[],
  tenant: string,
  evidence: (keys: PartitionKeys, tool: string, locator: Buffer) => EvidencePlace,
  signal?: AbortSignal,
): Promise<PurgedParked> {
  const sum = { purged: 0, held: 0 }
  for (const { keys, link } of partitions) {
    const held = new Set<string>()
    for await (const { own } of parkedPages(link, keys, tenant, signal)) {
      const redisMs = await redisTime(link)
      for (const parked of own) {
        const { record } = parked
        const place = record && evidence(keys, record.tool, record.locator)
        const outcome = await purgeParked(link, keys, parked, place, redisMs)
        if (outcome === 'purged') sum.purged += 1
        if (outcome === 'held') held.add(parked.streamId)
      }
    }
    sum.held += held.size
  }
  return { ...sum, complete: signal?.aborted !== true }
}

async function* streamPages(
  link: RedisLink,
  stream: string,
  tenant: string,
  group: string,
  signal?: AbortSignal,
) {
  let start = '-'
  while (!signal?.aborted) {
    const reply = await link.run(STREAM_RECORDS, [stream], [start, PAGE, tenant, group])
    const [last, looked, unread, pending, kept, newest, ownerless, own, others] = reply as [
      ...[Buffer, number, number, number, number, Buffer, number],
      ...[Buffer[], Buffer[]],
    ]
    const newestKeptMs = newest.length === 0 ? undefined : Number.parseInt(String(newest), 10)
    yield {
      ...{ unread, pending, kept, ownerless, newestKeptMs },
      own: own.map(String),
      others: others.map(String),
    }
    if (looked < PAGE) return
    start = `(${String(last)}`
  }
}

async function* parkedPages(
  link: RedisLink,
  keys: PartitionKeys,
  tenant: string,
  signal?: AbortSignal,
): AsyncGenerator<ParkedPage> {
  let cursor = '0'
  do {
    if (signal?.aborted) return
    const reply = await link.run(
      PARKED_RECORDS,
      [keys.parkedRecords, keys.parkedDue, keys.parkedState],
      [cursor, PAGE, tenant],
    )
    const [next, ownerless, others, ...own] = reply as [Buffer, number, Buffer[], ...RedisReply[]]
    yield { own: own.map(parkedOf), ownerless, others: others.map(String) }
    cursor = String(next)
  } while (cursor !== '0')
}

function parkedOf(reply: RedisReply): ParkedOfTenant {
  const [streamId, fields, due, held] = reply as [Buffer, Buffer[], Buffer, number]
  let record: EventRecord | undefined
  try {
    record = decodeRecord(fields)
  } catch {
    record = undefined // it is given up all the same
  }
  return {
    streamId: String(streamId),
    record,
    dictionary: record?.dictionary ?? '',
    dueMs: Number(String(due)),
    held: held === 1,
  }
}
