/**
 * A consumer's dealings with Redis' clock: knows its time, notices when it jumps, has what a jump back leaves repaired, and
 * tells the operator (docs/redis.md, "When Redis' clock jumps").
 */
import type { Clock } from '@weir/core/clock'
import type { PartitionKeys } from '@weir/core/keys'
import type { RedisLink } from '@weir/core/redis/link'
import { redisTime } from '@weir/core/redis/time'
import { CLOCK_TOLERANCE_MS, type ClockLimits, keepClock } from '@weir/core/stream/clock-repair'
import { createClockWatch } from '@weir/core/stream/clock-watch'
import type { Logger } from 'pino'

export interface RedisClock {
  /** Redis' time as this process estimates it, ms. */
  now(): number
  /** Asks Redis what time it is. */
  read(): Promise<void>
  /** Asks it, and tells whether idle times can be believed: not for a while after a jump. */
  idleIsTrue(): Promise<boolean>
  /** Notes the time in Redis, and repairs what a jump back has left. To be called every few seconds. */
  keep(): Promise<void>
}

export interface RedisClockOptions {
  readonly link: RedisLink
  readonly keys: PartitionKeys
  readonly clock: Clock
  readonly log: Logger
  /** Tools whose breakers there may be. */
  readonly tools: readonly string[]
  readonly limits: ClockLimits
  /** Within this time every living consumer renews what it holds, ms. */
  readonly settleMs: number
}

export function createRedisClock(options: RedisClockOptions): RedisClock {
  const { link, keys, clock, log } = options
  const watch = createClockWatch(clock.monotonic, options.settleMs)
  let skewMs = 0
  let behind = false

  const read = async () => {
    const askedAt = clock.monotonic()
    const redisMs = await redisTime(link)
    const answeredAt = clock.monotonic()
    skewMs = redisMs - clock.now() + (answeredAt - askedAt) / 2
    const jumpMs = watch.saw(redisMs, askedAt, answeredAt)
    if (jumpMs > 0) {
      log.warn(
        { event: 'redis_clock', jump_ms: Math.round(jumpMs) },
        "Redis' clock jumped forward: what waits for a time is early; nothing is taken over from others for a while",
      )
    }
  }
  return {
    now: () => clock.now() + skewMs,
    read,
    async idleIsTrue() {
      await read()
      return watch.steady
    },
    async keep() {
      const { behindMs, repaired } = await keepClock(link, keys, options.tools, options.limits)
      const wasBehind = behind
      behind = behindMs > CLOCK_TOLERANCE_MS
      if (behind && !wasBehind) {
        log.error(
          { event: 'redis_clock', behind_ms: behindMs },
          "Redis' clock was set back: it is behind times that it told before. Check the clocks of the Redis servers (NTP). Until it has caught up, ids of the stream tell no time; a redelivery of what was accepted meanwhile may run again",
        )
      } else if (wasBehind && !behind) {
        log.info({ event: 'redis_clock' }, "Redis' clock has caught up with the ids of its stream")
      }
      if (repaired !== undefined) {
        log.warn(
          { event: 'redis_clock', ...repaired },
          'repaired what was set for a time that is too far ahead',
        )
      }
    },
  }
}
