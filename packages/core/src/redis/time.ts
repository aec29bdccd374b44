/** Redis' own clock: what stands in Redis is as old as it says, whatever this machine's clock says. */
import type { RedisLink, RedisReply } from './link.ts'

/** ms since the epoch. Throws Fault REDIS_UNAVAILABLE. */
export async function redisTime(link: Pick<RedisLink, 'call'>): Promise<number> {
  const [seconds, micros] = (await link.call('TIME')) as RedisReply[]
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000)
}
