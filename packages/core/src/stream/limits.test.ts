import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { outOfMemory, redisTime, useWorld } from '../../../../tests/heart/world.ts'
import type { RedisLink } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'
import {
  COUNT_LIMITS,
  leasePermits,
  limitKey,
  limitPartition,
  type RateLimit,
  returnLimits,
  SUB_PERIODS,
  takeLimits,
} from './limits.ts'

const world = useWorld()
const { keys } = world

const limitOf = (changes: Partial<RateLimit> = {}): RateLimit => ({
  type: 'global',
  name: 'all',
  limit: 600,
  periodMs: 60_000,
  ...changes,
})
const NONE = { cell: 0, permits: 0 }

/*
 * The functions that count, at a time that the test chooses.
 * KEYS 1 the limit · ARGV 1 limit, 2 period, 3 now, 4 want (0 = by `one`), 5 cell, 6 back · Reply {granted, cell, wait}
 */
const COUNT = defineScript(
  'count-at',
  `${COUNT_LIMITS}
local limit, period, now, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local state = redis.call('GET', KEYS[1])
if want == 0 then
  local next, wait = one(state, limit, period, now)
  if next then redis.call('SET', KEYS[1], next) end
  return {next and 1 or 0, 0, wait or 0}
end
local next, granted, cell, wait = counted(state, limit, period, now, want, tonumber(ARGV[5]), tonumber(ARGV[6]))
redis.call('SET', KEYS[1], next)
return {granted, cell, wait or 0}
`,
)

interface At {
  readonly limit: RateLimit
  readonly now: number
  readonly want: number
  readonly back?: { readonly cell: number; readonly permits: number }
}

async function count(link: RedisLink, { limit, now, want, back = NONE }: At) {
  const args = [limit.limit, limit.periodMs, now, want, back.cell, back.permits]
  const [granted, cell, wait] = (await link.run(COUNT, [limitKey(keys, limit)], args)) as number[]
  return { granted: granted!, cell: cell!, wait: wait! }
}

describe('counting in sixteenths', () => {
  /** 1,000 and 300 ms: sixteenths that are no whole number of milliseconds. */
  const sequences = fc.record({
    periodMs: fc.constantFrom(1_000, 300, 60_000),
    limit: fc.integer({ min: 129, max: 400 }),
    start: fc.integer({ min: 1.7e12, max: 1.8e12 }),
    moves: fc.array(
      fc.record({
        /** Thousandths of the period: mostly one sixteenth or two, sometimes many, now and then more than all. */
        ahead: fc.oneof(
          { weight: 3, arbitrary: fc.integer({ min: 0, max: 120 }) },
          fc.integer({ min: 0, max: 1_300 }),
        ),
        want: fc.integer({ min: 1, max: 150 }),
        /** How much of what is out is given back, in 400ths; up to 20 from the sixteenth before the last. */
        part: fc.integer({ min: 0, max: 100 }),
      }),
      { minLength: 5, maxLength: 40 },
    ),
  })

  it('grants to the last permit, and never more than the limit in any period, wherever it begins', async () => {
    const link = await world.link()
    let serial = 0
    await fc.assert(
      fc.asyncProperty(sequences, async ({ periodMs, limit: most, start, moves }) => {
        const limit = limitOf({ name: `p${serial++}`, limit: most, periodMs })
        const step = periodMs / SUB_PERIODS
        /** Permits that are out, by sixteenth. */
        const out = new Map<number, number>()
        const sumUpTo = (cell: number) => {
          let sum = 0
          for (let each = cell - SUB_PERIODS; each <= cell; each++) sum += out.get(each) ?? 0
          return sum
        }
        let now = start
        for (const { ahead, want, part } of moves) {
          now += Math.round((ahead * periodMs) / 1_000)
          const cell = Math.floor(now / step)
          // The latest that are out, or the ones before them.
          const known = [...out.keys()].slice(-2)
          const from = known[part < 20 ? 0 : known.length - 1]
          const back = {
            cell: from ?? 0,
            permits: from === undefined ? 0 : Math.floor(((out.get(from) ?? 0) * part) / 400),
          }
          const answer = await count(link, { limit, now, want, back })
          if (from !== undefined) out.set(from, (out.get(from) ?? 0) - back.permits)
          expect(answer).toMatchObject({ cell, granted: Math.min(want, most - sumUpTo(cell)) })
          out.set(cell, (out.get(cell) ?? 0) + answer.granted)
          if (answer.granted > 0) continue
          expect(sumUpTo(Math.floor((now + answer.wait) / step))).toBeLessThan(most)
          expect(sumUpTo(Math.floor((now + answer.wait - 1) / step))).toBe(most)
        }
        // A period touches seventeen sixteenths at most, wherever it begins.
        for (const cell of out.keys()) expect(sumUpTo(cell)).toBeLessThanOrEqual(most)
      }),
      { numRuns: 60 },
    )
  })

  it('forgets nothing when the clock goes back a little, and does not wait for it when it was far ahead', async () => {
    const link = await world.link()
    const limit = limitOf({ periodMs: 1_000 })
    const now = 1_700_000_000_000
    expect((await count(link, { limit, now, want: 600 })).granted).toBe(600)
    expect((await count(link, { limit, now: now - 500, want: 1 })).granted).toBe(0)
    expect((await count(link, { limit, now: now - 86_400_000, want: 1 })).granted).toBe(1)
  })

  it('takes nothing back that was not given, or so long ago that it does not count', async () => {
    const link = await world.link()
    const limit = limitOf({ periodMs: 1_600 })
    const { cell } = await count(link, { limit, now: 1_600_000, want: 600 })
    for (const back of [
      { cell: cell - 1, permits: 5 },
      { cell: cell + 1, permits: 5 },
      { cell: cell - 17, permits: 5 },
    ]) {
      expect((await count(link, { limit, now: 1_600_000, want: 1, back })).granted).toBe(0)
    }
    const many = { cell, permits: 10_000 }
    expect((await count(link, { limit, now: 1_600_100, want: 10_000, back: many })).granted).toBe(600)
  })

  it('begins anew over what another kind of limit left', async () => {
    const link = await world.link()
    for (const [before, after] of [
      [20, 600],
      [600, 20],
    ] as const) {
      const name = `${before}`
      await takeLimits({ link, keys }, [limitOf({ name, limit: before })])
      expect(await takeLimits({ link, keys }, [limitOf({ name, limit: after })])).toMatchObject({
        kind: 'taken',
      })
    }
  })
})

describe('counting each request', () => {
  it('lets a request pass exactly when fewer than the limit passed within the period before it', async () => {
    const link = await world.link()
    let serial = 0
    const moves = fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 5, maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 9 }), moves, async (most, steps) => {
        const limit = limitOf({ name: `l${serial++}`, limit: most, periodMs: 100 })
        const passed: number[] = []
        let now = 1_700_000_000_000
        for (const step of steps) {
          now += step
          const within = passed.filter((time) => now - time < limit.periodMs)
          const { granted, wait } = await count(link, { limit, now, want: 0 })
          expect(granted).toBe(within.length < most ? 1 : 0)
          if (granted === 1) passed.push(now)
          else expect(wait).toBe(passed.at(-most)! + limit.periodMs - now)
        }
      }),
      { numRuns: 60 },
    )
  })
})

describe('a lease', () => {
  it('is a block of one sixteenth, and says when that ends', async () => {
    const link = await world.link()
    const limit = limitOf({ periodMs: 1_000 })
    const before = await redisTime(link)
    const lease = await leasePermits({ link, keys }, limit, 30, NONE)
    const after = (await redisTime(link)) + 1
    expect(lease.permits).toBe(30)
    expect(lease.remainingMs).toBeGreaterThan(0)
    expect(lease.remainingMs).toBeLessThanOrEqual(62.5)
    const end = Math.ceil((lease.cell + 1) * 62.5)
    expect(end - lease.remainingMs).toBeGreaterThanOrEqual(before)
    expect(end - lease.remainingMs).toBeLessThanOrEqual(after)
    expect(await link.call('PTTL', limitKey(keys, limit))).toBeGreaterThan(1_000)
  })

  it('is counted together with the events that are counted one by one', async () => {
    const link = await world.link()
    const place = { link, keys }
    const limit = limitOf()
    const admitter = world.admitter()
    const admit = () => admitter.admit(link, world.admission({ limits: [limit] }))
    expect((await leasePermits(place, limit, 590, NONE)).permits).toBe(590)
    for (let i = 0; i < 5; i++) expect((await admit()).kind).toBe('accepted')
    for (let i = 0; i < 3; i++) expect((await takeLimits(place, [limit])).kind).toBe('taken')
    expect((await leasePermits(place, limit, 30, NONE)).permits).toBe(2)
    expect((await admit()).kind).toBe('limited')
    expect(await takeLimits(place, [limit])).toMatchObject({ kind: 'limited', limit })
    const none = await leasePermits(place, limit, 1, NONE)
    expect(none.permits).toBe(0)
    expect(none.waitMs).toBeGreaterThan(0)
    expect(none.waitMs).toBeLessThanOrEqual(64_000)
  })

  it('gives unspent permits back, though there be none to take', async () => {
    const link = await world.link()
    const place = { link, keys }
    const limit = limitOf()
    const all = await leasePermits(place, limit, 10_000, NONE)
    expect(all.permits).toBe(600)
    expect((await leasePermits(place, limit, 10, { cell: all.cell, permits: 7 })).permits).toBe(7)
    expect((await leasePermits(place, limit, 10, { cell: all.cell, permits: 2 })).permits).toBe(2)
    expect((await leasePermits(place, limit, 10, NONE)).permits).toBe(0)
  })

  it('out of memory: nothing is given', async () => {
    const link = await world.link()
    const place = { link, keys }
    await outOfMemory(link, async () => {
      const full = { code: 'REDIS_OUT_OF_MEMORY' }
      await expect(leasePermits(place, limitOf(), 10, NONE)).rejects.toMatchObject(full)
      await expect(takeLimits(place, [limitOf(), limitOf({ limit: 5, name: 'b' })])).rejects.toMatchObject(
        full,
      )
    })
    expect(await link.call('DBSIZE')).toBe(0)
  })
})

describe('limits of another partition', () => {
  const narrow = limitOf({ type: 'ip', name: 'a', limit: 2 })
  const wide = limitOf({ type: 'tenant', name: 'a', limit: 5 })

  it('are taken all or none', async () => {
    const link = await world.link()
    const place = { link, keys }
    for (let i = 0; i < 2; i++) expect((await takeLimits(place, [wide, narrow])).kind).toBe('taken')
    for (let i = 0; i < 9; i++) {
      expect(await takeLimits(place, [wide, narrow])).toMatchObject({ kind: 'limited', limit: narrow })
    }
    for (let i = 0; i < 3; i++) expect((await takeLimits(place, [wide])).kind).toBe('taken')
    expect(await takeLimits(place, [wide])).toMatchObject({ kind: 'limited', limit: wide })
  })

  it('are returned for an event that was not accepted, each once', async () => {
    const link = await world.link()
    const place = { link, keys }
    const large = limitOf({ limit: 130 })
    const limits = [narrow, large]
    await leasePermits(place, large, 128, NONE)
    const stamps: number[] = []
    for (let i = 0; i < 2; i++) {
      const outcome = await takeLimits(place, limits)
      if (outcome.kind === 'taken') stamps.push(outcome.stamp)
    }
    expect((await takeLimits(place, limits)).kind).toBe('limited')
    await returnLimits(place, limits, stamps[1]!)
    const ttl = (await link.call('PTTL', limitKey(keys, narrow))) as number
    expect(ttl).toBeGreaterThan(0)
    expect((await takeLimits(place, limits)).kind).toBe('taken')
    expect((await takeLimits(place, limits)).kind).toBe('limited')
    // A stamp that nobody took changes nothing; neither does one whose limit is gone.
    await returnLimits(place, [narrow], stamps[0]! - 5_000)
    expect((await takeLimits(place, [narrow])).kind).toBe('limited')
    await returnLimits(place, [limitOf({ name: 'gone' })], stamps[0]!)
    expect(await link.call('EXISTS', limitKey(keys, limitOf({ name: 'gone' })))).toBe(0)
  })
})

describe('the partition of a limit', () => {
  it('is the same everywhere, and all are used', () => {
    expect(limitPartition(limitOf(), 1)).toBe(0)
    expect(limitPartition(limitOf(), 16)).toBe(limitPartition(limitOf({ limit: 5 }), 16))
    const used = new Set<number>()
    for (let i = 0; i < 500; i++) used.add(limitPartition(limitOf({ type: 'ip', name: `${i}` }), 16))
    expect([...used].sort((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, p) => p))
  })
})
