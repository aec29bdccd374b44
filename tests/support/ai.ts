/** What tests of embeddings and summaries share: a clock that tests move, what a promise rejects with, and a link to Redis. */
import type { Clock } from '@weir/core/clock'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { afterEach, beforeEach } from 'vitest'
import { type SharedRedis, type SharedRedisOptions, useRedis } from './redis.ts'

export interface ManualClock extends Clock {
  /** Every wait that was begun, ms, in their order. */
  readonly waits: readonly number[]
  /** Moves time on; waits that end by then resolve. */
  advance(ms: number): Promise<void>
  /** Resolves when so many waits have been begun since the clock was made. */
  began(count: number): Promise<void>
}

/** @param passes whether waits up to so many ms resolve at once, as if they had been waited for */
export function manualClock(passes = -1): ManualClock {
  let now = 0
  const waits: number[] = []
  const open = new Set<{ readonly until: number; readonly resolve: () => void }>()
  let watchers: { readonly count: number; readonly resolve: () => void }[] = []
  return {
    now: () => now,
    monotonic: () => now,
    waits,
    wait(ms, signal) {
      waits.push(ms)
      watchers = watchers.filter(({ count, resolve }) => {
        if (waits.length >= count) resolve()
        return waits.length < count
      })
      if (signal?.aborted) return Promise.resolve()
      if (ms <= passes) {
        now += ms
        return Promise.resolve()
      }
      return new Promise((resolve) => {
        const entry = { until: now + ms, resolve }
        open.add(entry)
        signal?.addEventListener(
          'abort',
          () => {
            open.delete(entry)
            resolve()
          },
          { once: true },
        )
      })
    },
    async advance(ms) {
      now += ms
      for (const entry of open) {
        if (entry.until > now) continue
        open.delete(entry)
        entry.resolve()
      }
      await Promise.resolve()
    },
    began: (count) =>
      new Promise((resolve) => {
        if (waits.length >= count) resolve()
        else watchers.push({ count, resolve })
      }),
  }
}

/** What a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  const reason: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (reason instanceof Error) return reason
  throw new TypeError(`it did not reject with an error but with ${String(reason)}`)
}

export interface LinkedRedis {
  readonly redis: SharedRedis
  readonly link: RedisLink
}

/** A Redis server for the tests of a file, and a link to it made anew for each test. */
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
