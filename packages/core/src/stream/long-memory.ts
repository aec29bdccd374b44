/**
 * Long memory: which events with stable ids were settled, beyond the window and up to the horizon.
 *
 *   <settled>:<day>:<shard>   set of 64-bit integers, exact: about 10 bytes an event as long as it is small, which is up to
 *                             SET_IDS; further ones stand in a second set, `…+`, in a third, `…++`, and so on
 *   <bloom>:<day>:<n>         bloom filter n of that day, bloom_filter_size bits. Only says "certainly new".
 *   <bloom>:<day>             hash {n: current filter, count: ids in it, at: last change, Redis ms,
 *                             s<n>: `bits:hashes:begin ms` of filter n, which a change of configuration does not change}
 *
 * Filled by the settle batch, off the hot path, by Redis' day. Each gateway keeps a local copy of the filters and
 * asks it first: "certainly new" costs no Redis call. "Maybe" is confirmed against the sets before anything is
 * refused, so a false positive costs a look-up, never an event. When a filter reaches its design load, or another size
 * is configured, the next one of the day begins.
 */
import type { PartitionKeys } from '../keys.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'

export const DAY_MS = 86_400_000

export interface LongMemoryOptions {
  readonly keys: PartitionKeys
  /** How long settled ids are remembered, ms; 0 = not at all. */
  readonly horizonMs: number
  /** Size of one filter. */
  readonly bloomBits: number
  readonly bloomHashes: number
  /** Set shards per day. */
  readonly settledShards: number
}

/** Ids one filter takes before the next begins: half of its bits set (n = m/k · ln 2). */
export function designLoad(bits: number, hashes: number): number {
  return Math.max(1, Math.floor((bits / hashes) * Math.LN2))
}

/** The bit positions of a locator: Kirsch–Mitzenmacher double hashing over its 16 (already uniform) bytes. */
export function bloomPositions(locator: Buffer, bits: number, hashes: number): number[] {
  const h1 = locator.readUIntBE(0, 6)
  // Odd, so that it shares no factor with a power of two. Not by `| 1`: that is a signed 32-bit number.
  const second = locator.readUIntBE(6, 6)
  const h2 = second + 1 - (second % 2)
  const positions: number[] = []
  for (let i = 0; i < hashes; i++) positions.push((h1 + i * (h2 % bits)) % bits)
  return positions
}

/** Ids in one set. Redis keeps a larger one (set-max-intset-entries) as a hash table, which takes 78 bytes an id. */
const SET_IDS = 512

/**
 * Lua: `remember(key, member, expiry)` puts a member into the sets of a shard, false when it is there already;
 * `remembered(key, member)` tells whether it is there.
 */
export const SETTLED_SETS = `
local function remember(key, member, expiry)
  local size = redis.call('SCARD', key)
  while size >= ${SET_IDS} do
    if redis.call('SISMEMBER', key, member) == 1 then return false end
    key = key .. '+'
    size = redis.call('SCARD', key)
  end
  if redis.call('SADD', key, member) == 0 then return false end
  if size == 0 then redis.call('PEXPIREAT', key, expiry) end
  return true
end
local function remembered(key, member)
  while redis.call('SISMEMBER', key, member) == 0 do
    if redis.call('SCARD', key) < ${SET_IDS} then return false end
    key = key .. '+'
  end
  return true
end
`

/** The member that stands for a locator in a settled set: its last 8 bytes as a signed integer. */
export function settledMember(locator: Buffer): string {
  return locator.readBigInt64BE(8).toString()
}

export function settledKey(options: LongMemoryOptions, day: number, locator: Buffer): string {
  return `${options.keys.settled}:${day}:${locator.readUInt32BE(4) % options.settledShards}`
}

export function dayOf(redisMs: number): number {
  return Math.floor(redisMs / DAY_MS)
}

/** The days within the horizon, newest first. */
export function rememberedDays(options: LongMemoryOptions, redisMs: number): number[] {
  if (options.horizonMs === 0) return []
  const days: number[] = []
  for (let day = dayOf(redisMs); day >= dayOf(redisMs - options.horizonMs); day--) days.push(day)
  return days
}

/** Settled-set keys of a locator for every remembered day. */
export function settledKeys(options: LongMemoryOptions, redisMs: number, locator: Buffer): string[] {
  return rememberedDays(options, redisMs).map((day) => settledKey(options, day, locator))
}

/*
 * KEYS  the settled shards of the remembered days
 * ARGV  1 member
 * Reply 1 it is in one of them | 0
 */
const WAS_SETTLED = defineScript(
  'was-settled',
  `${SETTLED_SETS}
for i = 1, #KEYS do
  if remembered(KEYS[i], ARGV[1]) then return 1 end
end
return 0
`,
)

/** Exact: was this event settled within the horizon? */
export async function wasSettled(
  link: RedisLink,
  options: LongMemoryOptions,
  redisMs: number,
  locator: Buffer,
): Promise<boolean> {
  const keys = settledKeys(options, redisMs, locator)
  return keys.length > 0 && (await link.run(WAS_SETTLED, keys, [settledMember(locator)])) === 1
}

export interface LocalFilters {
  /** False = certainly not settled before the last refresh. Before the first one nothing is certain. */
  maybe(locator: Buffer): boolean
  /** Copies what changed since the last refresh. */
  refresh(link: RedisLink, redisMs: number): Promise<void>
  /** For metrics. */
  readonly filters: number
  readonly bytes: number
  /** Ids in them, as of the last refresh. */
  readonly ids: number
  /** How full the filter is that takes new ids, of its design load (1 = the next one begins); 0 without one. */
  readonly fill: number
}

interface FilterCopy {
  /** Changes whenever the filter does, also when Redis was set back and filled anew. */
  readonly version: string
  /** `bits:hashes` */
  readonly shape: string
  readonly bits: Buffer
  readonly ids: number
}

/** Filters of one shape: their bit positions are computed once. */
interface Group {
  readonly bloomBits: number
  readonly bloomHashes: number
  readonly filters: readonly Buffer[]
}

/** A gateway's copy of the bloom filters. */
export function createLocalFilters(options: LongMemoryOptions): LocalFilters {
  const copies = new Map<string, FilterCopy>()
  let groups: readonly Group[] = []
  let newest: FilterCopy | undefined
  let refreshed = options.horizonMs === 0
  return {
    maybe(locator) {
      if (!refreshed) return true
      for (const { bloomBits, bloomHashes, filters } of groups) {
        const positions = bloomPositions(locator, bloomBits, bloomHashes)
        for (const bits of filters) {
          if (positions.every((bit) => ((bits[bit >>> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0)) return true
        }
      }
      return false
    },
    async refresh(link, redisMs) {
      const days = rememberedDays(options, redisMs)
      const wanted = new Set<string>()
      let currentOfToday = -1
      for (const day of days) {
        const meta = await readMeta(link, `${options.keys.bloom}:${day}`)
        if (day === dayOf(redisMs)) currentOfToday = meta.length - 1
        for (const [n, { shape, version, ids }] of meta.entries()) {
          const name = `${day}:${n}`
          wanted.add(name)
          if (copies.get(name)?.version === version) continue
          const bits = await link.call('GET', `${options.keys.bloom}:${name}`)
          if (Buffer.isBuffer(bits)) copies.set(name, { version, shape, bits, ids })
        }
      }
      for (const name of copies.keys()) if (!wanted.has(name)) copies.delete(name)
      groups = groupsOf(copies.values())
      newest = copies.get(`${dayOf(redisMs)}:${currentOfToday}`)
      refreshed = true
    },
    get filters() {
      return copies.size
    },
    get bytes() {
      let sum = 0
      for (const copy of copies.values()) sum += copy.bits.length
      return sum
    },
    get ids() {
      let sum = 0
      for (const copy of copies.values()) sum += copy.ids
      return sum
    },
    get fill() {
      return newest === undefined ? 0 : newest.ids / loadOf(newest.shape)
    },
  }
}

interface FilterMeta {
  readonly shape: string
  readonly version: string
  readonly ids: number
}

/** Design load of a filter of this shape. */
function loadOf(shape: string): number {
  const [bits, hashes] = shape.split(':').map(Number) as [number, number]
  return designLoad(bits, hashes)
}

/** What is known of every filter of a day, in their order. */
async function readMeta(link: RedisLink, key: string): Promise<FilterMeta[]> {
  const flat = (await link.call('HGETALL', key)) as RedisReply[]
  const fields = new Map<string, string>()
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(String(flat[i]), String(flat[i + 1]))
  const current = Number(fields.get('n') ?? -1)
  const meta: FilterMeta[] = []
  for (let n = 0; n <= current; n++) {
    const born = fields.get(`s${n}`) ?? ''
    // A full one never changes again; what could be set back is the moment at which its successor began.
    const state =
      n < current ? `full before ${fields.get(`s${n + 1}`)}` : `${fields.get('count')} at ${fields.get('at')}`
    const shape = born.slice(0, born.lastIndexOf(':'))
    // A full one has its design load; only the current one's ids are counted.
    const ids = n < current ? loadOf(shape) : Number(fields.get('count') ?? 0)
    meta.push({ shape, version: `${born}, ${state}`, ids })
  }
  return meta
}

function groupsOf(copies: Iterable<FilterCopy>): Group[] {
  const byShape = new Map<string, Buffer[]>()
  for (const { shape, bits } of copies) byShape.set(shape, [...(byShape.get(shape) ?? []), bits])
  return [...byShape].map(([shape, filters]) => {
    const [bloomBits, bloomHashes] = shape.split(':').map(Number) as [number, number]
    return { bloomBits, bloomHashes, filters }
  })
}
