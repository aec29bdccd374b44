/**
 * What in the events' Redis is encrypted with which key: entries of the streams (settled ones that are kept are among them),
 * copies of parked events, dead letters, and published learned dictionaries. It only reads, page by page, and of each body
 * only the first bytes, which name the key.
 *
 * Streams are read before parked events and those before dead letters, the way that events go: one that moves on meanwhile is
 * counted twice rather than not at all. One that is replayed meanwhile may be missed: whoever destroys something because
 * nothing uses it counts twice.
 */
import { dictionaryOf, readLearned } from '../dictionaries.ts'
import type { PartitionKeys } from '../keys.ts'
import type { Partition } from '../partition.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { keysWithPrefix } from '../redis/scan.ts'
import { defineScript } from '../redis/script.ts'
import { isSealed } from '../sealing.ts'

/** The id of the key that bytes are sealed with; undefined when they are not sealed. The first {@link HEAD_BYTES} are enough. */
export type KeyOf = (sealed: Buffer) => string | undefined

export interface Uses {
  /** Entries of the streams. */
  readonly entries: number
  /** Copies of parked events. */
  readonly parked: number
  readonly deadLetters: number
  /** Learned dictionaries, in each partition in which they are published. */
  readonly dictionaries: number
}

/** What one key, or none, is used for by one tenant. */
export interface TenantUses extends Uses {
  /** `damaged`: said to be encrypted, or not to be read at all, and naming no key. */
  readonly kind: 'sealed' | 'plain' | 'damaged'
  /** Id of the key; '' where there is none. */
  readonly key: string
  /** '' where it is not known. */
  readonly tenant: string
}

export interface SealedCounts {
  readonly uses: readonly TenantUses[]
  /** False: the signal stopped it before the end. */
  readonly complete: boolean
}

/** Enough of a body to see what it is sealed with. */
const HEAD_BYTES = 64
/** Records looked at in one script: about a millisecond. */
const PAGE = 100

const HEAD_OF = `
local function head_of(fields)
  local tenant, enc, body = '', '', ''
  for i = 1, #fields, 2 do
    if fields[i] == 'tenant' then tenant = fields[i + 1]
    elseif fields[i] == 'enc' then enc = fields[i + 1]
    elseif fields[i] == 'body' then body = string.sub(fields[i + 1], 1, ${HEAD_BYTES}) end
  end
  return {tenant, enc, body}
end
`

/*
 * KEYS  1 stream, or dead letters
 * ARGV  1 start of the range, 2 how many
 * Reply {last id or '', {tenant, enc, first bytes of the body}…}
 */
const STREAM_HEADS = defineScript(
  'stream-heads',
  `${HEAD_OF}
local page = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])
local reply = {''}
for _, entry in ipairs(page) do
  reply[1] = entry[1]
  reply[#reply + 1] = head_of(entry[2])
end
return reply
`,
)

/*
 * KEYS  1 parked records
 * ARGV  1 cursor, 2 about how many
 * Reply {next cursor, {tenant, enc, first bytes of the body}…}; one may come twice while the hash gets smaller
 */
const PARKED_HEADS = defineScript(
  'parked-heads',
  `${HEAD_OF}
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local reply = {page[1]}
for i = 2, #page[2], 2 do
  local readable, fields = pcall(cmsgpack.unpack, page[2][i])
  if readable and type(fields) ~= 'table' then readable = false end
  reply[#reply + 1] = readable and head_of(fields) or {'', '', ''}
end
return reply
`,
)

interface Head {
  readonly tenant: string
  readonly encoding: string
  readonly first: Buffer
}

/** A dictionary that is published encrypted. */
export interface SealedDictionary {
  readonly id: string
  /** Id of the key that it is sealed with. */
  readonly key: string
  readonly stored: Buffer
}

/** @param onProgress so many records are looked at, of about so many; what moves meanwhile may make it more */
export async function countSealed(
  partitions: readonly Partition[],
  keyOf: KeyOf,
  signal?: AbortSignal,
  onProgress?: (looked: number, of: number) => void,
): Promise<SealedCounts> {
  const all = onProgress === undefined ? 0 : await countRecords(partitions)
  let looked = 0
  const uses = new Map<string, { -readonly [Name in keyof TenantUses]: TenantUses[Name] }>()
  const add = (kind: TenantUses['kind'], key: string, tenant: string, what: keyof Uses): void => {
    const name = `${kind} ${key} ${tenant}`
    let row = uses.get(name)
    if (row === undefined) {
      row = { kind, key, tenant, entries: 0, parked: 0, deadLetters: 0, dictionaries: 0 }
      uses.set(name, row)
    }
    row[what] += 1
  }
  const addRecord = ({ tenant, encoding, first }: Head, what: keyof Uses): void => {
    looked += 1
    onProgress?.(looked, Math.max(all, looked))
    const key = isSealed({ encoding }) ? keyOf(first) : undefined
    if (key !== undefined) add('sealed', key, tenant, what)
    else add(encoding === '' || isSealed({ encoding }) ? 'damaged' : 'plain', '', tenant, what)
  }
  for (const partition of partitions) {
    const { keys, link } = partition
    for await (const head of streamHeads(link, keys.stream, signal)) addRecord(head, 'entries')
    for await (const head of parkedHeads(link, keys, signal)) addRecord(head, 'parked')
    for await (const head of streamHeads(link, keys.deadLetters, signal)) addRecord(head, 'deadLetters')
    const plain = new Map<string, string>()
    const owners = new Map<string, string>()
    for (const [owner, { id }] of await readLearned(link, keys)) {
      owners.set(id, owner.slice(0, owner.indexOf('/')))
      if ((await link.call('EXISTS', keys.dictionary(id))) === 1) plain.set(id, owners.get(id) ?? '')
    }
    for await (const { id, key } of sealedDictionaries(partition, keyOf, signal)) {
      add('sealed', key, owners.get(id) ?? '', 'dictionaries')
      plain.delete(id)
    }
    for (const tenant of plain.values()) add('plain', '', tenant, 'dictionaries')
  }
  return { uses: [...uses.values()], complete: signal?.aborted !== true }
}

async function countRecords(partitions: readonly Partition[]): Promise<number> {
  const counts = await Promise.all(
    partitions.flatMap(({ keys, link }) => [
      link.call('XLEN', keys.stream),
      link.call('HLEN', keys.parkedRecords),
      link.call('XLEN', keys.deadLetters),
    ]),
  )
  return counts.reduce<number>((sum, count) => sum + Number(count), 0)
}

/** The encrypted dictionaries that a partition has, also those that no new event is packed with. */
export async function* sealedDictionaries(
  { keys, link }: Partition,
  keyOf: KeyOf,
  signal?: AbortSignal,
): AsyncGenerator<SealedDictionary> {
  const prefix = keys.dictionary('')
  for (const name of await keysWithPrefix(link, prefix, signal)) {
    if (signal?.aborted) return
    const id = name.slice(prefix.length)
    const first = await link.call('GETRANGE', keys.dictionary(id), 0, HEAD_BYTES - 1)
    if (keyOf(first as Buffer) === undefined) continue
    const stored = await link.call('GET', keys.dictionary(id))
    const key = Buffer.isBuffer(stored) ? keyOf(stored) : undefined
    // The bytes of a plain one may begin as those of a sealed one do.
    if (!Buffer.isBuffer(stored) || key === undefined || dictionaryOf(stored).id === id) continue
    yield { id, key, stored }
  }
}

async function* streamHeads(link: RedisLink, stream: string, signal?: AbortSignal): AsyncGenerator<Head> {
  let start = '-'
  while (!signal?.aborted) {
    const [last, ...page] = (await link.run(STREAM_HEADS, [stream], [start, PAGE])) as RedisReply[]
    yield* page.map(headOf)
    if (page.length < PAGE) return
    start = `(${String(last)}`
  }
}

async function* parkedHeads(
  link: RedisLink,
  keys: PartitionKeys,
  signal?: AbortSignal,
): AsyncGenerator<Head> {
  let cursor = '0'
  do {
    if (signal?.aborted) return
    const [next, ...page] = (await link.run(
      PARKED_HEADS,
      [keys.parkedRecords],
      [cursor, PAGE],
    )) as RedisReply[]
    yield* page.map(headOf)
    cursor = String(next)
  } while (cursor !== '0')
}

function headOf(reply: RedisReply): Head {
  const [tenant, encoding, first] = reply as [Buffer, Buffer, Buffer]
  return { tenant: String(tenant), encoding: String(encoding), first }
}
