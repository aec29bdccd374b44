import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { describe, expect, it } from 'vitest'
import { useRedis } from '../../../tests/support/redis.ts'
import { checkSuitability } from './suitability.ts'

const redis = useRedis()

/** What the servers of other versions answer to INFO; there is only one version here to ask. */
const saying = (info: string) => ({ call: async () => Buffer.from(info) }) as unknown as RedisLink

describe('a Redis server', () => {
  it('with noeviction is fit', async () => {
    const link = connectRedis({
      url: redis.url,
      commandTimeoutMs: 1000,
      connectTimeoutMs: 1000,
      reconnectMaxDelayMs: 100,
      name: 'suitability',
    })
    await link.ready()
    const found = await checkSuitability(link, true)
    expect(found).toEqual({ version: expect.stringMatching(/^\d+\.\d+\.\d+$/), warning: undefined })
    await redis.client().config('SET', 'maxmemory-policy', 'allkeys-lru')
    expect((await checkSuitability(link, false)).warning).toMatch(/maxmemory-policy allkeys-lru.*noeviction/)
    await expect(checkSuitability(link, true)).rejects.toMatchObject({ code: 'REDIS_UNSUITABLE' })
    await redis.client().config('SET', 'maxmemory-policy', 'noeviction')
    await link.close()
  })

  it.each(['6.2.14', '5.0.0', 'nonsense'])(
    'of version %s is too old, or nothing that is known',
    async (version) => {
      const link = saying(`# Server\r\nredis_version:${version}\r\nmaxmemory_policy:noeviction\r\n`)
      await expect(checkSuitability(link, false)).rejects.toMatchObject({
        code: 'REDIS_UNSUITABLE',
        message: expect.stringMatching(/7\.0 or later/),
      })
    },
  )

  it.each(['7.0.0', '7.4.2', '8.2.1', '10.0.0'])('of version %s is recent enough', async (version) => {
    const link = saying(`redis_version:${version}\r\nmaxmemory_policy:noeviction\r\n`)
    expect(await checkSuitability(link, true)).toEqual({ version, warning: undefined })
  })
})
