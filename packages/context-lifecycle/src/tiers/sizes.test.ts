/** What contexts take in each tier. */
import { describe, expect, it } from 'vitest'
import { useRedis } from '../../../../tests/support/redis.ts'
import { useTiers } from '../../../../tests/support/tiers.ts'
import { OBJECTS } from './parts.ts'
import { estimateTierBytes } from './sizes.ts'

const tiers = useTiers(useRedis())
const { idOf } = tiers

describe('the bytes of the tiers', () => {
  it('are none where there is no context', async () => {
    expect(await estimateTierBytes([tiers.world().place])).toEqual({ hot: 0, warm: 0, cold: 0 })
  })

  it('of a few contexts are what Redis and cold storage have of them', async () => {
    const { link, store } = tiers
    const all = tiers.world()
    for (const number of [1, 2, 3])
      for (const delivery of ['a', 'b']) await tiers.append(all, number, `${number}${delivery}`)
    expect(await all.mover.cool(idOf(2), 1)).toMatchObject({ kind: 'moved' })
    await tiers.toCold(all, 3)
    await tiers.append(all, 3, '3c')

    const used = async (key: string) => Number(await link.call('MEMORY', 'USAGE', key))
    const inLists = async (number: number) =>
      (await used(all.keys.raw(idOf(number)))) + (await used(all.keys.log(idOf(number))))
    const segments = (await link.call('HVALS', all.keys.parts(idOf(2)))) as Buffer[]
    expect(segments).toHaveLength(1)
    // Beside it lies the dictionary, which is no context's.
    const objects = [...store.objects].filter(([name]) => name.startsWith(OBJECTS)).map(([, bytes]) => bytes)
    expect(objects).toHaveLength(1)
    expect(await estimateTierBytes([all.place])).toEqual({
      hot: (await inLists(1)) + (await inLists(3)),
      warm: segments[0]?.length,
      cold: objects[0]?.length,
    })
  })

  it('of many contexts are told from some of them', async () => {
    const all = tiers.world()
    for (let number = 100; number < 140; number++) await tiers.append(all, number, `${number}`)
    const exact = await estimateTierBytes([all.place])
    const some = await estimateTierBytes([all.place], 10)
    expect(exact.hot).toBeGreaterThan(40 * 100)
    // They are as good as equal.
    expect(some.hot / exact.hot).toBeGreaterThan(0.95)
    expect(some.hot / exact.hot).toBeLessThan(1.05)
  })
})
