import { afterEach, describe, expect, it } from 'vitest'
import { useRedis, withRedis } from '../../../../tests/support/redis.ts'
import { connectRedis, type RedisLink } from './link.ts'
import { checkSuitability } from './suitability.ts'

const redis = useRedis({ appendfsync: 'no' })
const links: RedisLink[] = []
afterEach(() => Promise.all(links.splice(0).map((link) => link.close())))

async function linkTo(url: string, user: { username?: string; password?: string } = {}): Promise<RedisLink> {
  const link = connectRedis({
    url,
    ...user,
    commandTimeoutMs: 5_000,
    connectTimeoutMs: 5_000,
    reconnectMaxDelayMs: 100,
    name: 'suitability',
  })
  links.push(link)
  await link.ready()
  return link
}

/** What the servers of other versions answer to INFO. */
const saying = (info: string) => ({ call: async () => Buffer.from(info) }) as unknown as RedisLink

describe('a Redis server', () => {
  it('with noeviction and an append-only file is fit', async () => {
    const link = await linkTo(redis.url)
    const found = await checkSuitability(link, true)
    expect(found).toEqual({ version: expect.stringMatching(/^\d+\.\d+\.\d+$/), warnings: [] })
  })

  it.each(['allkeys-lru', 'volatile-lru', 'volatile-ttl', 'allkeys-random'])(
    'that evicts (%s) is warned of, and in production refused, in the same sentence',
    async (policy) => {
      const link = await linkTo(redis.url)
      await redis.client().config('SET', 'maxmemory-policy', policy)
      try {
        const sentence = `Redis has maxmemory-policy ${policy}: out of memory it would evict streams and accepted events; set maxmemory-policy noeviction`
        expect((await checkSuitability(link, false)).warnings).toEqual([sentence])
        await expect(checkSuitability(link, true)).rejects.toMatchObject({
          code: 'REDIS_UNSUITABLE',
          message: sentence,
        })
      } finally {
        await redis.client().config('SET', 'maxmemory-policy', 'noeviction')
      }
    },
  )

  it('without an append-only file is warned of, also in production', () =>
    withRedis(
      async (_, { url }) => {
        const link = await linkTo(url)
        for (const production of [true, false]) {
          expect((await checkSuitability(link, production)).warnings).toEqual([
            'Redis keeps no append-only file (appendonly no): when it stops, events that it had accepted are gone; set appendonly yes',
          ])
        }
        await link.close()
      },
      { args: ['--appendonly', 'no'] },
    ))

  it('whose user may not ask is named with what is missing, and is fit as soon as he may', async () => {
    const control = redis.client()
    await control.call('ACL', 'SETUSER', 'weir', 'on', '>secret', '~*', '+@all', '-info')
    const link = await linkTo(redis.url, { username: 'weir', password: 'secret' })
    await expect(checkSuitability(link, false)).rejects.toMatchObject({
      code: 'REDIS_UNSUITABLE',
      message: expect.stringMatching(
        /^Redis refused INFO: NOPERM .*'info'.*; check the password and the ACL/,
      ),
    })
    await control.call('ACL', 'SETUSER', 'weir', '+info')
    expect((await checkSuitability(link, false)).warnings).toEqual([])
    await control.call('ACL', 'DELUSER', 'weir')
  })

  it.each(['6.2.14', '5.0.0', 'nonsense'])(
    'of version %s is too old, or nothing that is known',
    async (version) => {
      const link = saying(`# Server\r\nredis_version:${version}\r\nmaxmemory_policy:noeviction\r\n`)
      await expect(checkSuitability(link, false)).rejects.toMatchObject({
        code: 'REDIS_UNSUITABLE',
        message: `the Redis server has version ${version}; Weir needs Redis or Valkey 7.0 or later`,
      })
    },
  )

  it.each(['7.0.0', '7.4.2', '8.2.1', '10.0.0'])('of version %s is recent enough', async (version) => {
    const link = saying(`redis_version:${version}\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n`)
    expect(await checkSuitability(link, true)).toEqual({ version, warnings: [] })
  })
})
