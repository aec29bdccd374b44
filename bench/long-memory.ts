/**
 * The long memory at its size: how many look-ups in a million are in vain because a bloom filter says "maybe" to what it has
 * never seen, what asking the local copy costs, and how many bytes of Redis a settled id takes.
 *
 *     pnpm bench:long-memory [--bits 10000000] [--asked 1000000] [--quick]
 *
 * Filled by the script that settles, from entries that are really pending. `--bits` is the size of one filter
 * (bloom_filter_size); the design fill follows from it.
 */
import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import { longMemory } from '@weir/core/config/parts'
import { eventIdFromBytes } from '@weir/core/event'
import type { EventRecord } from '@weir/core/record'
import type { RedisReply } from '@weir/core/redis/link'
import { ensureGroup } from '@weir/core/stream/group'
import {
  createLocalFilters,
  DAY_MS,
  designLoad,
  type LocalFilters,
  type LongMemoryOptions,
  wasSettled,
} from '@weir/core/stream/long-memory'
import { settleDone } from '@weir/core/stream/settle'
import { startWorld, type World } from './processes.ts'
import { inPipeline } from './records.ts'
import { headline, machine, printTable, target } from './table.ts'

const { values } = parseArgs({
  options: {
    bits: { type: 'string' },
    asked: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
})
const bits = Number(values.bits ?? (values.quick ? 200_000 : 10_000_000))
/** Several days' filters are filled at this size: how often a full filter errs does not depend on it. */
const smallBits = Math.min(bits, values.quick ? 100_000 : 1_000_000)
const asked = Number(values.asked ?? (values.quick ? 100_000 : 1_000_000))

/** Target, bytes for a settled id beyond its window: exact set and filter together. */
const BYTES_PER_ID = { atMost: 12 }
/** Shares of the design load; beyond 1 the day's second filter begins. */
const FILLS = [0.1, 0.25, 0.5, 0.75, 1, 1.4]
/** Entries settled in one script call, as the consumer does, and between two trims of the stream. */
const BATCH = 100
const ROUND = 2000
/** Remembered ids that are asked for, to see that none is forgotten. */
const KEPT = 10_000
const CONFIRMED = 20_000
const CONFIRM_DEPTH = 8

/** Puts ids into the memory of the day of `redisMs`. Returns some of them. */
async function remember(
  world: World,
  memory: LongMemoryOptions,
  count: number,
  redisMs: number,
): Promise<Buffer[]> {
  const { link, keys } = world
  await ensureGroup(link, keys)
  const kept: Buffer[] = []
  for (let done = 0; done < count; done += ROUND) {
    const size = Math.min(ROUND, count - done)
    const block = randomBytes(size * 16)
    await inPipeline(Array(size).fill(0), size, () => link.call('XADD', keys.stream, '*', 'v', '1'))
    const reply = (await link.call(
      ...(['XREADGROUP', 'GROUP', keys.group, 'bench', 'COUNT', size, 'STREAMS', keys.stream, '>'] as const),
    )) as [RedisReply, [Buffer, RedisReply][]][]
    const entries = reply[0]![1].map(([streamId], i) => ({
      streamId: String(streamId),
      holding: { kind: 'pending', consumer: 'bench' } as const,
      record: settledRecord(block.subarray(i * 16, i * 16 + 16)),
    }))
    if (kept.length < KEPT) kept.push(...entries.map(({ record }) => record.locator))
    const batches = Array.from({ length: Math.ceil(size / BATCH) }, (_, i) =>
      entries.slice(i * BATCH, (i + 1) * BATCH),
    )
    const settled = await Promise.all(
      batches.map((batch) => settleDone(link, keys, memory, batch, 'settled', redisMs)),
    )
    if (settled.reduce((sum, n) => sum + n, 0) !== size) throw new Error('not every entry was settled')
    await link.call('XTRIM', keys.stream, 'MAXLEN', 0)
  }
  return kept
}

function settledRecord(locator: Buffer): EventRecord {
  return {
    id: eventIdFromBytes(locator),
    tenant: 'default',
    tool: 'github',
    type: 'push',
    receivedAt: 0,
    locator,
    derived: true,
    encoding: 'plain',
    dictionary: '',
    packed: locator,
    traceparent: '',
    attempts: 0,
  }
}

interface Asked {
  /** "Maybe" to ids that were never settled, in a million. */
  readonly perMillion: number
  /** One question, ns. */
  readonly ns: number
}

/** Asks for ids that nobody has ever seen. */
function ask(filters: LocalFilters): Asked {
  const block = randomBytes(asked * 16)
  const strangers = Array.from({ length: asked }, (_, i) => block.subarray(i * 16, i * 16 + 16))
  let wrong = 0
  const started = performance.now()
  for (const locator of strangers) if (filters.maybe(locator)) wrong++
  const ms = performance.now() - started
  return { perMillion: (wrong / asked) * 1e6, ns: (ms * 1e6) / asked }
}

/** Chance that a filter of this many ids says "maybe" to a stranger. */
function expected(memory: LongMemoryOptions, ids: number): number {
  const { bloomBits, bloomHashes } = memory
  return (1 - Math.exp((-bloomHashes * ids) / bloomBits)) ** bloomHashes
}

/** Bytes of the day's filters, as Redis counts them. */
async function filterBytes(world: World, memory: LongMemoryOptions, day: number): Promise<number> {
  let bytes = 0
  for (let n = 0; ; n++) {
    const size = await world.link.call('MEMORY', 'USAGE', `${memory.keys.bloom}:${day}:${n}`)
    if (size === null) return bytes
    bytes += size as number
  }
}

async function redisNow(world: World): Promise<number> {
  const [seconds] = (await world.link.call('TIME')) as Buffer[]
  return Number(String(seconds)) * 1000
}

/** One day, filled step by step. */
async function byFill(
  world: World,
  memory: LongMemoryOptions,
): Promise<{ rows: string[][]; forgotten: number }> {
  const load = designLoad(memory.bloomBits, memory.bloomHashes)
  const now = await redisNow(world)
  await world.link.call('FLUSHALL', 'SYNC')
  const empty = await world.usedMemory()
  const filters = createLocalFilters(memory)
  const rows: string[][] = []
  let ids = 0
  let forgotten = 0
  for (const fill of FILLS) {
    const more = Math.round(load * fill) - ids
    const kept = await remember(world, memory, more, now)
    ids += more
    await filters.refresh(world.link, now)
    forgotten += kept.filter((locator) => !filters.maybe(locator)).length
    const { perMillion, ns } = ask(filters)
    const bloom = await filterBytes(world, memory, Math.floor(now / DAY_MS))
    const whole = (await world.usedMemory()) - empty
    const first = expected(memory, Math.min(ids, load))
    const theory = 1 - (1 - first) * (1 - expected(memory, Math.max(0, ids - load)))
    rows.push([
      `${(fill * 100).toFixed(0)} %`,
      String(ids),
      (ids / memory.settledShards).toFixed(0),
      perMillion.toFixed(0),
      (theory * 1e6).toFixed(0),
      ns.toFixed(0),
      ((whole - bloom) / ids).toFixed(1),
      (bloom / ids).toFixed(2),
      `${(whole / ids).toFixed(1)} (${target(whole / ids, BYTES_PER_ID)})`,
    ])
    if (fill === 0.5 || fill === 1) {
      const at = `with a filter at ${fill * 100} % of its load`
      headline({
        question: `memory of a settled id ${at}`,
        figure: whole / ids,
        unit: 'B',
        goal: BYTES_PER_ID,
      })
      headline({ question: `look-ups in vain per million ${at}`, figure: perMillion, unit: '' })
    }
  }
  return { rows, forgotten }
}

/** Full filters of several days. */
async function byDays(world: World, memory: LongMemoryOptions): Promise<string[][]> {
  const load = designLoad(memory.bloomBits, memory.bloomHashes)
  const now = await redisNow(world)
  await world.link.call('FLUSHALL', 'SYNC')
  const rows: string[][] = []
  for (let days = 0; days * DAY_MS <= memory.horizonMs; days++) {
    await remember(world, memory, load, now - days * DAY_MS)
    const filters = createLocalFilters(memory)
    await filters.refresh(world.link, now)
    const { perMillion, ns } = ask(filters)
    rows.push([
      String(filters.filters),
      perMillion.toFixed(0),
      ((1 - (1 - expected(memory, load)) ** (days + 1)) * 1e6).toFixed(0),
      ns.toFixed(0),
      (filters.bytes / 1024).toFixed(0),
    ])
  }
  return rows
}

/** What a look-up in vain costs Redis, µs. */
async function confirmCost(world: World, memory: LongMemoryOptions): Promise<number> {
  const now = await redisNow(world)
  const strangers = Array.from({ length: CONFIRMED }, () => randomBytes(16))
  const before = world.redisCpu()
  await inPipeline(strangers, CONFIRM_DEPTH, (locator) => wasSettled(world.link, memory, now, locator))
  return ((world.redisCpu() - before) / CONFIRMED) * 1e6
}

const world = await startWorld({ appendfsync: 'no', redisArgs: ['--appendonly', 'no'] })
try {
  const memory: LongMemoryOptions = { ...longMemory(world.config, world.keys), bloomBits: bits }
  const { rows, forgotten } = await byFill(world, memory)
  const days = await byDays(world, { ...memory, bloomBits: smallBits })
  const confirm = await confirmCost(world, memory)
  console.log(
    `${machine({ Redis: world.version })} · filters of ${bits} bits, ${memory.bloomHashes} hashes, design load ${designLoad(bits, memory.bloomHashes)} ids; ${asked} strangers asked for`,
  )
  printTable(
    'One day of the long memory, by the fill of its filter',
    [
      'fill',
      'ids',
      'per shard',
      'look-ups in vain per million',
      'expected',
      'maybe(), ns',
      'bytes per id: exact',
      'filter',
      'together',
    ],
    rows,
  )
  printTable(
    `Full filters of the days within the horizon (${smallBits} bits each)`,
    ['filters', 'look-ups in vain per million', 'expected', 'maybe(), ns', 'local copy, KiB'],
    days,
  )
  console.log(
    `\nA look-up costs Redis ${confirm.toFixed(1)} µs (${CONFIRM_DEPTH} at a time). Forgotten ids: ${forgotten}.`,
  )
  if (forgotten > 0) process.exitCode = 1
} finally {
  await world.stop()
}
