import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { passed, redisTime, useWorld } from '../../../../tests/heart/world.ts'
import { deriveEventId } from '../event.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import {
  bloomPositions,
  createLocalFilters,
  DAY_MS,
  dayOf,
  designLoad,
  type LongMemoryOptions,
  rememberedDays,
  settledKey,
  settledMember,
  wasSettled,
} from './long-memory.ts'
import { type HeldEntry, settleDone } from './settle.ts'

const BITS = 8_192
const HASHES = 7
const LOAD = designLoad(BITS, HASHES) // 811

const world = useWorld()
const { keys } = world
const memory: LongMemoryOptions = {
  keys,
  horizonMs: 3 * DAY_MS,
  bloomBits: BITS,
  bloomHashes: HASHES,
  settledShards: 16,
}

const locatorArbitrary = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes))
const locators = (count: number) => Array.from({ length: count }, () => randomBytes(16))

/** Settles events with these locators as the consumer does, at this time; the entries exist and are pending. */
async function settleAt(
  link: RedisLink,
  all: readonly Buffer[],
  redisMs: number,
  options: LongMemoryOptions = memory,
): Promise<number> {
  let settled = 0
  for (let from = 0; from < all.length; from += 100) {
    const batch = all.slice(from, from + 100)
    const fields = ['v', '1']
    await Promise.all(batch.map(() => link.call('XADD', keys.stream, '*', ...fields)))
    await link.call('XGROUP', 'CREATE', keys.stream, keys.group, 0, 'MKSTREAM').catch(() => undefined)
    const args = ['GROUP', keys.group, 'a', 'COUNT', 200, 'STREAMS', keys.stream, '>']
    const [[, read]] = (await link.call('XREADGROUP', ...args)) as [[Buffer, RedisReply[][]]]
    const entries = batch.map((locator, index) => ({
      streamId: String(read[index]![0]),
      holding: { kind: 'pending', consumer: 'a' },
      record: { id: deriveEventId(locator), locator, derived: true },
    }))
    settled += await settleDone(link, keys, options, entries as unknown as HeldEntry[], 'settled', redisMs)
  }
  return settled
}

describe('bloom positions', () => {
  it('are within the filter, as many as hashes, and the same for the same locator', () => {
    fc.assert(
      fc.property(
        locatorArbitrary,
        fc.integer({ min: 1, max: 2 ** 32 }),
        fc.integer({ min: 1, max: 20 }),
        (locator, bits, hashes) => {
          const positions = bloomPositions(locator, bits, hashes)
          expect(positions).toHaveLength(hashes)
          for (const position of positions) {
            expect(Number.isSafeInteger(position)).toBe(true)
            expect(position).toBeGreaterThanOrEqual(0)
            expect(position).toBeLessThan(bits)
          }
          expect(bloomPositions(Buffer.from(locator), bits, hashes)).toEqual(positions)
        },
      ),
      { numRuns: 1_000 },
    )
  })
})

describe('a locator of small first and large second half', () => {
  // `| 1` made a negative number of it once; BITFIELD refuses negative offsets, and the event could never be settled.
  const locator = Buffer.from('000000000001ffffffffffff00000001', 'hex')

  it('has positions within the filter', () => {
    for (const position of bloomPositions(locator, 10_000_000, 7)) expect(position).toBeGreaterThanOrEqual(0)
  })

  it('is settled and remembered like any other', async () => {
    const link = await world.link()
    const now = await redisTime(link)
    expect(await settleAt(link, [locator], now)).toBe(1)
    expect(await wasSettled(link, memory, now, locator)).toBe(true)
  })
})

describe('designLoad', () => {
  it('is where half of the bits are set', () => {
    expect(LOAD).toBe(811)
    expect(designLoad(1, 100)).toBe(1)
    const set = new Set(locators(LOAD).flatMap((locator) => bloomPositions(locator, BITS, HASHES)))
    expect(set.size / BITS).toBeGreaterThan(0.45)
    expect(set.size / BITS).toBeLessThan(0.55)
  })
})

describe('members and shards', () => {
  it('tell every pair of locators apart', () => {
    fc.assert(
      fc.property(locatorArbitrary, locatorArbitrary, (a, b) => {
        expect(settledMember(a)).toMatch(/^-?\d{1,19}$/)
        if (!a.subarray(8).equals(b.subarray(8))) expect(settledMember(a)).not.toBe(settledMember(b))
      }),
    )
  })

  it('cost about ten bytes an event, also when there are more than one set of integers takes', async () => {
    const link = await world.link()
    const all = locators(24_000) // 1,500 to a shard; Redis keeps up to 512 integers in one block
    const now = await redisTime(link)
    for (let at = 0; at < all.length; at += 6_000) {
      expect(await settleAt(link, all.slice(at, at + 6_000), now)).toBe(6_000)
    }
    const shards = new Set(all.map((locator) => settledKey(memory, dayOf(now), locator)))
    expect(shards.size).toBe(16)
    let [bytes, ids] = [0, 0]
    for (const shard of shards) {
      for (const key of [shard, `${shard}+`, `${shard}++`, `${shard}+++`]) {
        const count = (await link.call('SCARD', key)) as number
        if (count === 0) continue
        expect(String(await link.call('OBJECT', 'ENCODING', key))).toBe('intset')
        expect(await link.call('PTTL', key)).toBeGreaterThan(memory.horizonMs)
        bytes += (await link.call('MEMORY', 'USAGE', key, 'SAMPLES', 0)) as number
        ids += count
      }
    }
    expect(ids).toBe(all.length)
    expect(bytes / ids, `${(bytes / ids).toFixed(1)} bytes an event`).toBeLessThan(11)
    for (const locator of all.slice(0, 500)) expect(await wasSettled(link, memory, now, locator)).toBe(true)
    for (const locator of all.slice(-500)) expect(await wasSettled(link, memory, now, locator)).toBe(true)
    for (const other of locators(200)) expect(await wasSettled(link, memory, now, other)).toBe(false)
  })

  it('are remembered once, whichever of the sets they stand in', async () => {
    const link = await world.link()
    const one = { ...memory, settledShards: 1 }
    const all = locators(1_200)
    const now = await redisTime(link)
    const settle = () => settleAt(link, all, now, one)
    await settle()
    await settle()
    const key = settledKey(one, dayOf(now), all[0] as Buffer)
    const counts = await Promise.all([key, `${key}+`, `${key}++`].map((each) => link.call('SCARD', each)))
    expect(counts).toEqual([512, 512, 176])
  })
})

describe('rememberedDays', () => {
  it('are those in which something may have been settled within the horizon, newest first', () => {
    const noon = 100 * DAY_MS + DAY_MS / 2
    expect(rememberedDays(memory, noon)).toEqual([100, 99, 98, 97])
    expect(rememberedDays({ ...memory, horizonMs: 3_600_000 }, noon)).toEqual([100])
    expect(rememberedDays({ ...memory, horizonMs: 3_600_000 }, 100 * DAY_MS + 60_000)).toEqual([100, 99])
    expect(rememberedDays({ ...memory, horizonMs: 0 }, noon)).toEqual([])
  })
})

describe('wasSettled', () => {
  it('is exact over all days of the horizon, and ends behind it', async () => {
    const link = await world.link()
    const now = await redisTime(link)
    const byAge = new Map<number, Buffer>()
    for (const age of [0, 1, 2, 3]) {
      const [locator] = locators(1)
      byAge.set(age, locator!)
      expect(await settleAt(link, [locator!], now - age * DAY_MS)).toBe(1)
    }
    for (const locator of byAge.values()) expect(await wasSettled(link, memory, now, locator)).toBe(true)
    for (const locator of locators(200)) expect(await wasSettled(link, memory, now, locator)).toBe(false)
    const yesterday = { ...memory, horizonMs: 1 }
    expect(await wasSettled(link, yesterday, now, byAge.get(2)!)).toBe(false)
    expect(await wasSettled(link, { ...memory, horizonMs: 0 }, now, byAge.get(0)!)).toBe(false)
  })

  it('holds over midnight: settled before, asked after', async () => {
    const link = await world.link()
    const midnight = (dayOf(await redisTime(link)) + 1) * DAY_MS
    const [before, after] = locators(2)
    await settleAt(link, [before!], midnight - 1)
    await settleAt(link, [after!], midnight)
    for (const locator of [before!, after!])
      expect(await wasSettled(link, memory, midnight + 1, locator)).toBe(true)
    const filters = createLocalFilters(memory)
    await filters.refresh(link, midnight + 1)
    for (const locator of [before!, after!]) expect(filters.maybe(locator)).toBe(true)
    expect(filters.filters).toBe(2)
  })

  it('is forgotten by Redis itself one day after the horizon at the latest', async () => {
    const link = await world.link()
    const now = await redisTime(link)
    await settleAt(link, locators(50), now)
    const remembering = ((await link.call('KEYS', '{webhook-events}:*')) as RedisReply[])
      .map(String)
      .filter((key) => key.startsWith(keys.bloom) || key.startsWith(keys.settled))
    expect(remembering.length).toBeGreaterThan(3)
    const end = (dayOf(now) + 1) * DAY_MS + memory.horizonMs + DAY_MS
    for (const key of remembering) expect(await link.call('PEXPIRETIME', key), key).toBe(end)
  })
})

describe('local filters', () => {
  it('have no false negatives after a refresh, however many filters the day has', async () => {
    const link = await world.link()
    const filters = createLocalFilters(memory)
    const now = await redisTime(link)
    const all: Buffer[] = []
    for (let round = 0; round < 4; round++) {
      const more = locators(700)
      all.push(...more)
      await settleAt(link, more, now)
      await filters.refresh(link, now)
      for (const locator of all) expect(filters.maybe(locator)).toBe(true)
    }
    expect(filters.filters).toBe(Math.ceil(all.length / LOAD))
    expect(filters.bytes).toBeLessThanOrEqual(filters.filters * (BITS / 8))
    expect(filters.ids).toBe(all.length)
    expect(filters.fill).toBeCloseTo((all.length - (filters.filters - 1) * LOAD) / LOAD)
  })

  it('rarely say "maybe" of what was never settled', async () => {
    const link = await world.link()
    const now = await redisTime(link)
    await settleAt(link, locators(LOAD), now)
    const filters = createLocalFilters(memory)
    await filters.refresh(link, now)
    const others = locators(10_000)
    const maybes = others.filter((locator) => filters.maybe(locator)).length
    expect(maybes / others.length).toBeLessThan(0.02) // 2^-7 = 0.8 % at design load
  })

  it('begin the next filter of the day at the design load', async () => {
    const link = await world.link()
    const now = await redisTime(link)
    const meta = async () => {
      const [n, count] = (await link.call(
        'HMGET',
        `${keys.bloom}:${dayOf(now)}`,
        'n',
        'count',
      )) as RedisReply[]
      return { n: Number(String(n)), count: Number(String(count)) }
    }
    await settleAt(link, locators(LOAD), now)
    expect(await meta()).toEqual({ n: 0, count: LOAD })
    await settleAt(link, locators(1), now)
    expect(await meta()).toEqual({ n: 1, count: 1 })
  })

  it('count an event once, however often it is settled', async () => {
    const link = await world.link()
    const now = await redisTime(link)
    const all = locators(10)
    for (let i = 0; i < 3; i++) await settleAt(link, all, now)
    expect(String(await link.call('HGET', `${keys.bloom}:${dayOf(now)}`, 'count'))).toBe('10')
  })

  it('say "maybe" until they have been refreshed: what they do not know may have been settled', async () => {
    const link = await world.link()
    const now = await redisTime(link)
    const filters = createLocalFilters(memory)
    const [locator] = locators(1)
    expect(filters.maybe(locator!)).toBe(true)
    await filters.refresh(link, now)
    expect(filters.maybe(locator!)).toBe(false)
    expect(createLocalFilters({ ...memory, horizonMs: 0 }).maybe(locator!)).toBe(false)
  })

  it('copy only what changed', async () => {
    const link = await world.link()
    const control = world.redis.client()
    const now = await redisTime(link)
    await settleAt(link, locators(LOAD + 5), now)
    const filters = createLocalFilters(memory)
    const copies = async (): Promise<number> => {
      await control.config('RESETSTAT')
      await filters.refresh(link, now)
      return Number(/cmdstat_get:calls=(\d+)/.exec(await control.info('commandstats'))?.[1] ?? 0)
    }
    expect(await copies()).toBe(2)
    expect(await copies()).toBe(0)
    await settleAt(link, locators(1), now)
    expect(await copies()).toBe(1)
    await settleAt(link, locators(LOAD), now)
    expect(await copies()).toBe(2) // the one that became full, and its successor
    expect(await copies()).toBe(0)
  })

  it('forget the days behind the horizon', async () => {
    const link = await world.link()
    const now = await redisTime(link)
    const [locator] = locators(1)
    await settleAt(link, [locator!], now)
    const filters = createLocalFilters(memory)
    await filters.refresh(link, now)
    expect(filters.maybe(locator!)).toBe(true)
    await filters.refresh(link, now + 5 * DAY_MS)
    expect(filters.filters).toBe(0)
    expect(filters.maybe(locator!)).toBe(false)
  })

  it('notice that Redis was set back and filled anew to the same count', async () => {
    const link = await world.link()
    const now = await redisTime(link)
    const filters = createLocalFilters(memory)
    await settleAt(link, locators(20), now)
    await filters.refresh(link, now)
    await link.call('FLUSHALL')
    // Versions have the time of the last change in them: it must be another millisecond.
    await passed(link, (await redisTime(link)) + 1)
    const others = locators(20)
    await settleAt(link, others, now)
    await filters.refresh(link, now)
    for (const locator of others) expect(filters.maybe(locator)).toBe(true)
  })

  it('notice it also when the count of filters went back', async () => {
    const link = await world.link()
    const now = await redisTime(link)
    const filters = createLocalFilters(memory)
    await settleAt(link, locators(LOAD + 1), now)
    await filters.refresh(link, now)
    await link.call('FLUSHALL')
    const others = locators(LOAD)
    await settleAt(link, others.slice(0, 10), now)
    await filters.refresh(link, now)
    await settleAt(link, [...others.slice(10), ...locators(5)], now)
    await filters.refresh(link, now)
    for (const locator of others) expect(filters.maybe(locator)).toBe(true)
  })

  it('read filters of a size that was configured before', async () => {
    const link = await world.link()
    const now = await redisTime(link)
    const smaller = { ...memory, bloomBits: 1_024, bloomHashes: 4 }
    const [old, young] = [locators(30), locators(30)]
    await settleAt(link, old, now, smaller)
    await settleAt(link, young, now, memory)
    for (const options of [memory, smaller]) {
      const filters = createLocalFilters(options)
      await filters.refresh(link, now)
      for (const locator of [...old, ...young]) expect(filters.maybe(locator)).toBe(true)
      const maybes = locators(1_000).filter((locator) => filters.maybe(locator)).length
      expect(maybes).toBeLessThan(100)
    }
  })
})
