import { readBreaker } from '@weir/core/stream/breaker'
import { describe, expect, it } from 'vitest'
import { startProxy } from '../../../tests/support/proxy.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { onGithub, withConsumer } from './testing.ts'

const redis = useRedis()

describe('stop', () => {
  it('finishes what is held, and leaves the group', async () => {
    let done = 0
    const gate = Promise.withResolvers<void>()
    const handler = onGithub(async () => {
      await gate.promise
      done++
    })
    await withConsumer(redis, { numWorkers: 2 }, [handler], async (world) => {
      await world.admitMany(20)
      await world.until({ pending: 20 })
      const stopping = world.consumer.stop()
      gate.resolve()
      await stopping
      expect(done).toBe(20)
      await world.until({ settled: 20 })
      expect(await world.members()).toEqual([])
      expect(await world.link.call('HLEN', world.keys.consumers)).toBe(0)
    })
  })

  it('reads nothing more', async () => {
    await withConsumer(redis, {}, [], async (world) => {
      await world.admit()
      await world.until({ settled: 1 })
      await world.consumer.stop()
      await world.admitMany(5)
      await world.until({ settled: 1, unread: 5, pending: 0 })
    })
  })

  it('does not wait for a blocking read to end', async () => {
    await withConsumer(redis, { blockTimeoutMs: 600_000 }, [], async (world) => {
      await world.admit()
      await world.until({ settled: 1 })
      const since = performance.now()
      await world.consumer.stop()
      expect(performance.now() - since).toBeLessThan(10_000)
    })
  })

  it('nor, started a moment ago, for one that is about to begin', async () => {
    for (let round = 0; round < 30; round++) {
      await withConsumer(redis, { blockTimeoutMs: 600_000 }, [], async (world) => {
        for (let turn = 0; turn < round; turn++) await new Promise((resolve) => setImmediate(resolve))
        const since = performance.now()
        await world.consumer.stop()
        expect(performance.now() - since).toBeLessThan(10_000)
      })
    }
  })

  it('nor for one on a connection that is half-open', async () => {
    const proxy = await startProxy(redis.port)
    await withConsumer(
      redis,
      { blockTimeoutMs: 600_000, commandTimeoutMs: 200 },
      [],
      async (world) => {
        await world.admit()
        await world.until({ settled: 1 })
        proxy.stall('both')
        const since = performance.now()
        await world.consumer.stop()
        expect(performance.now() - since).toBeLessThan(10_000)
        proxy.resume()
      },
      { blockingUrl: proxy.url },
    )
    await proxy.close()
  })

  it('aborts what still runs after shutdown_timeout; all that is unfinished goes to another consumer at once', async () => {
    const reasons: string[] = []
    const handler = onGithub(
      (_, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            reasons.push((signal.reason as Error).name)
            reject(signal.reason)
          })
        }),
    )
    // Nobody's entries are idle that long by themselves.
    const settings = { numWorkers: 5, shutdownTimeoutMs: 50, reclaimIdleMs: 3_600_000 }
    await withConsumer(redis, settings, [handler], async (world) => {
      await world.admitMany(350)
      await world.until({ pending: 350 })
      await world.consumer.stop()
      expect(reasons).toEqual(Array.from({ length: 5 }, () => 'ConsumerStopping'))
      const attempts = new Set<number>()
      world.start([onGithub((event) => void attempts.add(event.attempt))])
      await world.until({ settled: 350, dead: 0, parked: 0 })
      expect(attempts).toEqual(new Set([1])) // being stopped is no failure
    })
  })

  it('starts nothing more once the time is up, not even when workers come free', async () => {
    let started = 0
    const handler = onGithub((_, { signal }) => {
      started++
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
    const settings = { numWorkers: 3, shutdownTimeoutMs: 50, commandTimeoutMs: 300 }
    await withConsumer(redis, settings, [handler], async (world) => {
      await world.admitMany(30)
      await expect.poll(() => started).toBe(3)
      await world.until({ pending: 30 })
      await world.consumer.stop()
      expect(started).toBe(3)
      expect(world.consumer.state().running).toBe(0)
    })
  })

  it('hands leased retries back as well, due at once and unaccused', async () => {
    const gate = Promise.withResolvers<void>()
    const handler = onGithub((event) => {
      if (event.attempt === 1) throw new Error('once')
      return gate.promise
    })
    const settings = {
      numWorkers: 10,
      shutdownTimeoutMs: 50,
      reclaimIdleMs: 3_600_000,
      commandTimeoutMs: 300,
    }
    await withConsumer(redis, settings, [handler], async (world) => {
      await world.admitMany(40)
      await expect.poll(() => world.consumer.state()).toMatchObject({ held: 40, running: 10 })
      await world.until({ parked: 40 })
      await world.consumer.stop()
      const attempts = new Set<number>()
      world.start([onGithub((event) => void attempts.add(event.attempt))])
      await world.until({ settled: 40 })
      expect(attempts).toEqual(new Set([2]))
    })
  })

  it('being handed back five times is no accusation', async () => {
    const handler = onGithub(
      (_, { signal }) =>
        new Promise((_r, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    )
    const settings = { numWorkers: 1, shutdownTimeoutMs: 1, reclaimIdleMs: 3_600_000, commandTimeoutMs: 300 }
    await withConsumer(redis, settings, [handler], async (world) => {
      await world.admitMany(10)
      await world.until({ pending: 10 })
      await world.consumer.stop()
      for (let round = 0; round < 7; round++) {
        const next = world.start([handler])
        await expect.poll(() => next.state().held).toBe(10)
        await next.stop()
      }
      world.start([])
      await world.until({ settled: 10, dead: 0 })
    })
  })

  it('is harmless twice, before start, and after a start that never reached Redis', async () => {
    await withConsumer(
      redis,
      {},
      [],
      async (world) => {
        await world.consumer.stop()
        await world.consumer.stop()
        world.consumer.start() // too late: nothing happens
        await world.admit()
        const second = world.start([])
        await world.until({ settled: 1 })
        expect(second.stop()).toBe(second.stop())
        await second.stop()

        const lost = world.start([], { url: 'redis://127.0.0.1:1' })
        const since = performance.now()
        await lost.stop()
        expect(performance.now() - since).toBeLessThan(10_000)
      },
      { started: false },
    )
  })

  it('while Redis is away ends in its time; what could not be settled is taken over later', async () => {
    const gate = Promise.withResolvers<void>()
    const handler = onGithub(() => gate.promise)
    const settings = { shutdownTimeoutMs: 300, commandTimeoutMs: 300, reclaimIdleMs: 500 }
    await withConsumer(redis, settings, [handler], async (world) => {
      await world.admitMany(5)
      await expect.poll(() => world.consumer.state().running).toBe(5)
      await redis.server.kill('SIGKILL')
      gate.resolve()
      await expect.poll(() => world.consumer.state().unsettled).toBe(5)
      const since = performance.now()
      await world.consumer.stop()
      await world.consumer.vanish()
      expect(performance.now() - since).toBeLessThan(10_000)
      await redis.server.restart()
      await world.link.ready()
      world.start([])
      await world.until({ settled: 5 })
    })
  })

  it('is no failure of the tool: its breaker hears nothing', async () => {
    const handler = onGithub(
      (_, { signal }) =>
        new Promise((_r, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    )
    const settings = {
      shutdownTimeoutMs: 1,
      numWorkers: 10,
      breaker: { failureThreshold: 2, openDurationMs: 60_000 },
    }
    await withConsumer(redis, settings, [handler], async (world) => {
      await world.admitMany(10)
      await expect.poll(() => world.consumer.state().running).toBe(10)
      await world.consumer.stop()
      expect(await readBreaker(world.link, world.keys, 'github')).toMatchObject({
        state: 'closed',
        failures: 0,
      })
    })
  })
})
