import { describe, expect, it } from 'vitest'
import { usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { MOST_PARKED_LOOKS, oldestParkedAge } from './oldest-parked.ts'

const redis = useRedis({ appendfsync: 'no' })
const openPipeline = usePipeline(redis)

describe('the oldest parked event', () => {
  it('is told by when it was accepted, not by when it is due', async () => {
    const pipeline = await openPipeline()
    const { link, keys } = pipeline
    expect(await oldestParkedAge(link, keys)).toBe(0)
    for (let i = 0; i < 3; i++) await pipeline.accept()
    const entries = await pipeline.read('consumer-1')
    // The one that came first is due last.
    for (const [index, entry] of entries.entries())
      await pipeline.park(entry, { delayMs: 90_000 - index * 10_000 })
    const accepted = Number(entries[0]?.streamId.split('-')[0])
    const before = (await pipeline.now()) - accepted
    const age = await oldestParkedAge(link, keys)
    expect(age).toBeGreaterThanOrEqual(before)
    expect(age).toBeLessThanOrEqual((await pipeline.now()) - accepted)
  })

  it('of very many is found among those due first and those due last', async () => {
    const { link, keys, now } = await openPipeline()
    const at = await now()
    const count = MOST_PARKED_LOOKS * 2
    const park = async (from: number, to: number, ageOf: (index: number) => number) => {
      const pairs = Array.from({ length: to - from }, (_, i) => [
        from + i,
        `${at - ageOf(from + i)}-${from + i}`,
      ])
      await link.call('ZADD', keys.parkedDue, ...pairs.flat())
    }
    for (let from = 0; from < count; from += 1_000) await park(from, from + 1_000, () => 1_000)
    await park(count, count + 1, () => 500_000)
    expect(await oldestParkedAge(link, keys)).toBeGreaterThanOrEqual(500_000)
    await park(-1, 0, () => 900_000)
    expect(await oldestParkedAge(link, keys)).toBeGreaterThanOrEqual(900_000)
  })
})
