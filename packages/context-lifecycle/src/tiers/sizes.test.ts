/** What contexts take in each tier. */
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { memoryStore } from '../../../../tests/support/cold.ts'
import { assembled, eventOf, pullRequest, recordOf } from '../../../../tests/support/contexts.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { contextIdOf } from '../context-id.ts'
import { OBJECTS } from './parts.ts'
import { estimateTierBytes } from './sizes.ts'

const redis = useRedis()
let link: RedisLink

beforeEach(async () => {
  link = connectRedis({
    url: redis.url,
    commandTimeoutMs: 5_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 100,
    name: 'sizes',
  })
  await link.ready()
})
afterEach(() => link.close())

const idOf = (number: number) => contextIdOf('acme', 'github', `acme/site#${number}`)

function world() {
  const store = memoryStore()
  const all = assembled(link, { store })
  const append = async (number: number, delivery: string) => {
    const { record } = recordOf({ delivery, json: pullRequest(number, 'edited') })
    await all.contexts.append(eventOf(record), record)
  }
  return { ...all, store, append }
}

describe('the bytes of the tiers', () => {
  it('are none where there is no context', async () => {
    expect(await estimateTierBytes([world().place])).toEqual({ hot: 0, warm: 0, cold: 0 })
  })

  it('of a few contexts are what Redis and cold storage have of them', async () => {
    const { place, keys, mover, store, append } = world()
    for (const number of [1, 2, 3])
      for (const delivery of ['a', 'b']) await append(number, `${number}${delivery}`)
    for (const number of [2, 3]) expect((await mover.cool(idOf(number), Date.now())).kind).toBe('moved')
    expect((await mover.freeze(idOf(3))).kind).toBe('moved')
    await append(3, '3c')

    const inLists = async (number: number) => {
      const used = [keys.raw(idOf(number)), keys.log(idOf(number))].map((key) =>
        link.call('MEMORY', 'USAGE', key),
      )
      return (await Promise.all(used)).reduce<number>((sum, bytes) => sum + Number(bytes), 0)
    }
    const segments = (await link.call('HVALS', keys.parts(idOf(2)))) as Buffer[]
    expect(segments).toHaveLength(1)
    // Beside it lies the dictionary, which is no context's.
    const objects = [...store.objects].filter(([name]) => name.startsWith(OBJECTS)).map(([, bytes]) => bytes)
    expect(objects).toHaveLength(1)
    expect(await estimateTierBytes([place])).toEqual({
      hot: (await inLists(1)) + (await inLists(3)),
      warm: segments[0]?.length,
      cold: objects[0]?.length,
    })
  })

  it('of many contexts are told from some of them', async () => {
    const { place, append } = world()
    for (let number = 100; number < 140; number++) await append(number, `${number}`)
    const all = await estimateTierBytes([place])
    const some = await estimateTierBytes([place], 10)
    expect(all.hot).toBeGreaterThan(40 * 100)
    // They are as good as equal.
    expect(some.hot / all.hot).toBeGreaterThan(0.95)
    expect(some.hot / all.hot).toBeLessThan(1.05)
  })
})
