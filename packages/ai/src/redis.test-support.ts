/** A link to the Redis server of a test file, made anew for each test. */
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { afterEach, beforeEach } from 'vitest'
import { type SharedRedis, type SharedRedisOptions, useRedis } from '../../../tests/support/redis.ts'

export interface LinkedRedis {
  readonly redis: SharedRedis
  readonly link: RedisLink
}

export function useLink(options: SharedRedisOptions = { appendfsync: 'no' }): LinkedRedis {
  const redis = useRedis(options)
  let link: RedisLink
  beforeEach(async () => {
    link = connectRedis({
      url: redis.url,
      commandTimeoutMs: 5_000,
      connectTimeoutMs: 1_000,
      reconnectMaxDelayMs: 100,
      name: 'ai',
    })
    await link.ready()
  })
  afterEach(() => link.close())
  return {
    redis,
    get link() {
      return link
    },
  }
}
