/** Living consumers while Redis' clock goes three days forward and comes back. */
import { readBreaker, reportBreaker } from '@weir/core/stream/breaker'
import { readLedger } from '@weir/core/stream/ledger'
import { describe, expect, it } from 'vitest'
import { canShiftClock, DAY_MS } from '../../../tests/support/clock.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { useServerClock } from '../../../tests/support/use-server-clock.ts'
import { type ConsumerWorld, effects, onGithub, withConsumer } from './testing.ts'

const JUMP_MS = 3 * DAY_MS
/** Entries of a dead consumer are taken over after so long, and idle times believed again so long after a jump, ms. */
const RECLAIM_MS = 1_000
const settings = {
  reclaimIdleMs: RECLAIM_MS,
  deadConsumerAfterMs: 60_000,
  numWorkers: 20,
  handlerTimeoutMs: 30_000,
}

describe.skipIf(!canShiftClock)("while Redis' clock jumps", () => {
  const clock = useServerClock()
  const redis = useRedis({ binary: clock.binary })
  const told = (world: ConsumerWorld, text: RegExp) => world.lines.filter(({ msg }) => text.test(msg))

  /** Waits until this consumer knows the time: it has written a report. */
  const reported = (world: ConsumerWorld, name: string) =>
    expect.poll(() => world.link.call('HEXISTS', world.keys.consumers, name)).toBe(1)

  /** Handlers that hang until the gate opens; how often each event was begun. */
  const hanging = () => {
    const gate = Promise.withResolvers<void>()
    const begun = new Map<string, number>()
    const handler = onGithub(async ({ id }) => {
      begun.set(id, (begun.get(id) ?? 0) + 1)
      await gate.promise
    })
    return { begun, handler, open: gate.resolve }
  }

  it('forward, living consumers keep what they work on: each event runs once, none is poison', async () => {
    const { begun, handler, open } = hanging()
    // Deliveries before count: the fifth would be the last.
    await withConsumer(redis, { ...settings, quarantineAfter: 2 }, [handler], async (world) => {
      const other = world.start([handler])
      await reported(world, other.name)
      await world.admitMany(20)
      await expect.poll(() => begun.size).toBe(20)
      for (const aheadMs of [1, 2, 3].map((times) => times * JUMP_MS)) {
        const seen = told(world, /jumped forward/).length
        clock.set(aheadMs)
        // Both notice.
        await expect.poll(() => told(world, /jumped forward/).length).toBe(seen + 2)
      }
      open()
      await world.until({ settled: 20, dead: 0 })
      expect([...begun.values()]).toEqual(Array(20).fill(1))
    })
  })

  it('forward, a dead consumer is found out all the same, only later', async () => {
    const { begun, handler } = hanging()
    const { handler: working, keys } = effects()
    await withConsumer(redis, settings, [handler], async (world) => {
      await world.admitMany(5)
      await expect.poll(() => begun.size).toBe(5)
      const survivor = world.start([working])
      await reported(world, survivor.name)
      clock.set(JUMP_MS)
      await expect.poll(() => told(world, /jumped forward/).length).toBe(2)
      await world.consumer.vanish()
      await world.until({ settled: 5 })
      expect(keys.size).toBe(5)
    })
  })

  it('forward, retries that wait for days run at once', async () => {
    let fails = true
    const { handler, keys } = effects()
    const failing = onGithub((event, ctx) => {
      if (fails) throw new Error('not yet')
      return handler.run(event, ctx)
    })
    const backoff = { baseMs: JUMP_MS, maxMs: JUMP_MS }
    await withConsumer(redis, { ...settings, backoff }, [failing], async (world) => {
      await world.admitMany(10)
      await world.until({ parked: 10 })
      fails = false
      clock.set(JUMP_MS)
      await world.until({ settled: 10, parked: 0 })
      expect(keys.size).toBe(10)
    })
  })

  it('back, what a dead consumer was delivered meanwhile is taken over, and it is told once', async () => {
    const { begun, handler } = hanging()
    const { handler: working, keys } = effects()
    await withConsumer(redis, settings, [handler], async (world) => {
      clock.set(JUMP_MS)
      await world.admitMany(5)
      await expect.poll(() => begun.size).toBe(5)
      await world.consumer.vanish()
      clock.set(0)
      world.start([working])
      await world.until({ settled: 5, dead: 0 })
      expect(keys.size).toBe(5)
      expect(told(world, /was set back/)).toHaveLength(1)
      expect(told(world, /was set back/)[0]).toMatchObject({ level: 50, event: 'redis_clock' })
      expect(told(world, /repaired/)[0]).toMatchObject({ pending: 5 })
    })
  })

  it('back, living consumers keep what they work on', async () => {
    const { begun, handler, open } = hanging()
    await withConsumer(redis, settings, [handler], async (world) => {
      world.start([handler])
      clock.set(JUMP_MS)
      await world.admitMany(20)
      await expect.poll(() => begun.size).toBe(20)
      clock.set(0)
      await expect.poll(() => told(world, /repaired/).length).toBe(1)
      const since = performance.now()
      await expect.poll(() => performance.now() - since).toBeGreaterThan(2 * RECLAIM_MS)
      open()
      await world.until({ settled: 20, dead: 0 })
      expect([...begun.values()]).toEqual(Array(20).fill(1))
    })
  })

  it('back, retries and breakers that were set for days ahead go on now', async () => {
    const { handler, keys } = effects()
    let fails = true
    const failing = onGithub((event, ctx) => {
      if (fails) throw new Error('not yet')
      return handler.run(event, ctx)
    })
    const breaker = { failureThreshold: 1, openDurationMs: 1_000 }
    const waiting = { ...settings, backoff: { baseMs: 5_000, maxMs: 5_000 }, breaker }
    await withConsumer(redis, waiting, [failing], async (world) => {
      clock.set(JUMP_MS)
      await world.admitMany(3)
      await world.until({ parked: 3 })
      await reportBreaker(world.link, world.keys, 'github', { ...breaker, probeLeaseMs: 1 }, 1, false)
      expect(await readBreaker(world.link, world.keys, 'github')).toMatchObject({ state: 'open' })
      fails = false
      clock.set(0)
      await world.until({ settled: 3, parked: 0 })
      expect(keys.size).toBe(3)
      expect(await readBreaker(world.link, world.keys, 'github')).toMatchObject({ state: 'closed' })
    })
  })

  it('back, events go on through as before, and Redis is not asked about each of them', async () => {
    const { handler, keys } = effects()
    await withConsumer(redis, settings, [handler], async (world) => {
      clock.set(JUMP_MS)
      await world.admitMany(1)
      await world.until({ settled: 1 })
      clock.set(0)
      await expect.poll(() => told(world, /was set back/).length).toBe(1)
      const asked = await redis.client().info('commandstats')
      await world.admitMany(100)
      await world.until({ settled: 101 })
      expect(keys.size).toBe(101)
      const calls = (text: string) => Number(/cmdstat_sismember:calls=(\d+)/.exec(text)?.[1] ?? 0)
      expect(calls(await redis.client().info('commandstats'))).toBe(calls(asked))
      expect((await readLedger(world.link, world.keys)).clockBehindMs).toBeGreaterThan(JUMP_MS - 60_000)
    })
  })

  it('back, and once it has caught up says so', async () => {
    await withConsumer(redis, settings, [effects().handler], async (world) => {
      clock.set(5_000)
      await world.admitMany(1)
      await world.until({ settled: 1 })
      clock.set(0)
      await expect.poll(() => told(world, /was set back/).length).toBe(1)
      clock.set(5_000)
      await expect.poll(() => told(world, /has caught up/).length).toBe(1)
    })
  })

  it('back, a read that waits is not left waiting for days', async () => {
    const { handler, keys } = effects()
    await withConsumer(redis, settings, [handler], async (world) => {
      clock.set(JUMP_MS)
      await world.admitMany(1)
      await world.until({ settled: 1 })
      clock.set(0)
      // Its time-out is three days away, for Redis: the consumer gives it up by its own clock.
      await expect.poll(() => told(world, /blocking read was not answered; reconnecting/).length).toBe(1)
      await world.admitMany(5)
      await world.until({ settled: 6 })
      expect(keys.size).toBe(6)
    })
  })
})
