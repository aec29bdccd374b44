import { describe, expect, it } from 'vitest'
import { usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { readLimitUse, readLimitUses, resetLimit, usedOf } from './limit-uses.ts'
import { leasePermits, type RateLimit, takeLimits } from './limits.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = usePipeline(redis)

describe('what is counted', () => {
  const limit = (most: number): RateLimit => ({
    type: 'tenant',
    name: `t${most}`,
    limit: most,
    periodMs: 60_000,
  })

  it.each([
    ['times', limit(100)],
    ['sixteenths', limit(1000)],
  ])('is what the scripts count (%s), to the last one', async (_, each) => {
    const pipeline = await open()
    for (let n = 0; n < 90; n++) await takeLimits(pipeline, [each])
    expect(await readLimitUse([pipeline], 1, each)).toEqual({ limit: each, used: 90 })
    for (let n = 90; n < each.limit; n++) expect((await takeLimits(pipeline, [each])).kind).toBe('taken')
    expect((await takeLimits(pipeline, [each])).kind).toBe('limited')
    expect((await readLimitUse([pipeline], 1, each)).used).toBe(each.limit)
    expect(await resetLimit([pipeline], each)).toBe(true)
    expect(await resetLimit([pipeline], each)).toBe(false)
    expect((await takeLimits(pipeline, [each])).kind).toBe('taken')
  })

  it('has what gateways leased', async () => {
    const pipeline = await open()
    await leasePermits(pipeline, limit(1000), 40, { cell: 0, permits: 0 })
    expect((await readLimitUse([pipeline], 1, limit(1000))).used).toBe(40)
  })

  it('is read for every limit that is known, and for no other', async () => {
    const pipeline = await open()
    await takeLimits(pipeline, [limit(100), limit(1000), { ...limit(100), name: 'unknown' }])
    const known = [limit(100), limit(1000)]
    const uses = await readLimitUses([pipeline], 1, (type, name) =>
      known.find((each) => each.type === type && each.name === name),
    )
    expect(uses.map((use) => use.limit.name).sort()).toEqual(['t100', 't1000'])
  })
})

describe('a state', () => {
  const PERIOD = 16_000
  /** Sixteenth 1000 is the newest and has 5; the one before it has 1, …, the oldest 16. */
  const counted = Buffer.alloc(1 + 6 + 4 + 4 + 64)
  counted.write('c')
  counted.writeUIntBE(1000, 1, 6)
  counted.writeUInt32BE(5, 7)
  counted.writeUInt32BE(136, 11)
  for (let cell = 0; cell < 16; cell++) counted.writeUInt32BE(16 - cell, 15 + 4 * cell)
  const at = (sixteenth: number) => usedOf(counted, PERIOD, sixteenth * 1000)

  it('loses a sixteenth at a time', () => {
    expect(at(1000)).toBe(5 + 136)
    expect(at(1001)).toBe(5 + 136 - 16)
    expect(at(1002)).toBe(5 + 136 - 16 - 15)
    expect(at(1015)).toBe(5 + 1)
    expect(at(1016)).toBe(5)
    expect(at(1017)).toBe(0)
  })

  it('forgets nothing where the clock went back a little, and everything where it went back far', () => {
    expect(at(984)).toBe(141)
    expect(at(983)).toBe(0)
  })

  it('of times has those of the period', () => {
    const listed = Buffer.alloc(1 + 3 * 6)
    listed.write('l')
    for (const [n, time] of [10_000, 20_000, 30_000].entries()) listed.writeUIntBE(time, 1 + 6 * n, 6)
    expect(usedOf(listed, PERIOD, 30_000)).toBe(2)
    expect(usedOf(listed, PERIOD, 26_000)).toBe(2)
    expect(usedOf(listed, PERIOD, 25_999)).toBe(3)
  })

  it('that is none counts nothing', () => {
    expect(usedOf(Buffer.from('nonsense'), PERIOD, 0)).toBe(0)
    expect(usedOf(Buffer.alloc(0), PERIOD, 0)).toBe(0)
  })
})
