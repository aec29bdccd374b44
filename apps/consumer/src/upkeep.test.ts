import { type Clock, systemClock } from '@weir/core/clock'
import { eventIdBytes } from '@weir/core/event'
import { ensureGroup } from '@weir/core/stream/group'
import { wasSettled } from '@weir/core/stream/long-memory'
import { wakeParked } from '@weir/core/stream/parked'
import { afterEach, describe, expect, it } from 'vitest'
import { useRedis } from '../../../tests/support/redis.ts'
import { type ConsumerWorld, onGithub, withConsumer } from './testing.ts'

const redis = useRedis()

describe('trimming', () => {
  it('removes only what is settled and older than keep_settled, and nothing that anybody still needs', async () => {
    const gate = Promise.withResolvers<void>()
    const handler = onGithub((event) => {
      const { n } = event.payload as { n: number }
      if (n === 150) return gate.promise
      if (n === 160) throw new Error('again')
    })
    const backoff = { baseMs: 3_600_000, maxMs: 3_600_000 }
    const settings = { keepSettledMs: 0, backoff, handlerTimeoutMs: 60_000 }
    await withConsumer(redis, settings, [handler], async (world) => {
      const events = await world.admitMany(500, (n) => ({ body: JSON.stringify({ n }) }))
      await world.until({ settled: 498, pending: 1, parked: 1 })
      await expect
        .poll(async () => Number(await world.link.call('XLEN', world.keys.stream)))
        .toBeLessThan(500)
      const first = (await world.link.call('XRANGE', world.keys.stream, '-', '+', 'COUNT', 1)) as Buffer[][]
      const firstMs = Number(String(first[0]?.[0]).split('-')[0])
      expect(firstMs).toBeLessThanOrEqual(Number(events[150]!.streamId.split('-')[0]))
      gate.resolve()
      await world.until({ settled: 499 })
      await wakeParked(world.link, world.keys, 'retry')
      await world.until({ parked: 1, accepted: 500 })
    })
  })

  it('keeps settled entries for keep_settled', async () => {
    await withConsumer(redis, { keepSettledMs: 3_600_000 }, [], async (world) => {
      await world.admitMany(300)
      await world.until({ settled: 300 })
      const trims = async () =>
        Number(
          /cmdstat_xtrim:calls=(\d+)/.exec(String(await world.link.call('INFO', 'commandstats')))?.[1] ?? 0,
        )
      const before = await trims()
      await expect.poll(trims).toBeGreaterThan(before + 1)
      expect(await world.link.call('XLEN', world.keys.stream)).toBe(300)
    })
  })
})

describe('out of memory', () => {
  const fill = (world: ConsumerWorld) => world.link.call('CONFIG', 'SET', 'maxmemory', '1')
  afterEach(() => redis.client().config('SET', 'maxmemory', '0'))
  const free = (world: ConsumerWorld) => world.link.call('CONFIG', 'SET', 'maxmemory', '0')

  it('reading and acknowledging go on, past outcomes that cannot be written', async () => {
    const handler = onGithub((event) => {
      if ((event.payload as { n: number }).n % 2 === 0 && event.attempt === 1) throw new Error('again')
    })
    const settings = { prefetchCount: 1000, reclaimIdleMs: 1_500 }
    await withConsumer(
      redis,
      settings,
      [handler],
      async (world) => {
        await world.admitMany(600, (n) => ({ body: JSON.stringify({ n }) }))
        await ensureGroup(world.link, world.keys)
        await fill(world)
        world.consumer.start()
        // 300 failures wait for memory; what succeeded is acknowledged all the same.
        await expect.poll(async () => (await world.ledger()).settled).toBe(300)
        await world.until({ pending: 300, unread: 0, dead: 0, parked: 0 })
        // Another consumer does not mistake what waits here for abandoned, however long it takes.
        world.start([handler])
        const since = performance.now()
        await expect.poll(() => performance.now() - since).toBeGreaterThan(2_500)
        expect(new Set((await world.pending()).map(({ consumer }) => consumer))).toEqual(
          new Set([world.consumer.name]),
        )
        await free(world)
        await world.until({ settled: 600, dead: 0, parked: 0, pending: 0 })
      },
      { started: false },
    )
  })

  it('dead letters wait too, and are written when there is memory', async () => {
    await withConsumer(
      redis,
      {},
      [],
      async (world) => {
        await world.admitMany(10, () => ({ body: 'nothing' }))
        await ensureGroup(world.link, world.keys)
        await fill(world)
        world.consumer.start()
        await expect.poll(() => world.lines.some(({ err }) => String(err).includes('maxmemory'))).toBe(true)
        await world.until({ pending: 10, dead: 0 })
        await free(world)
        await world.until({ dead: 10, pending: 0 })
      },
      { started: false },
    )
  })
})

describe('clocks', () => {
  it('a consumer whose clock is an hour off processes, parks and settles by the time of Redis', async () => {
    for (const skew of [3_600_000, -3_600_000]) {
      await redis.client().flushall()
      const clock: Clock = { ...systemClock, now: () => Date.now() + skew }
      const handler = onGithub((event) => {
        if (event.attempt < 3) throw new Error('again')
      })
      await withConsumer(
        redis,
        {},
        [handler],
        async (world) => {
          const event = await world.admit()
          await world.until({ settled: 1 })
          await world.rest()
          const latency = (await world.consumer.metrics.registry.metrics())
            .split('\n')
            .find((line) => line.startsWith('webhook_event_accepted_to_settled_seconds_sum{'))
          expect(Number(latency?.split(' ').at(-1))).toBeLessThan(60)
          // Remembered under the right day: it is known beyond its window.
          expect(await wasSettled(world.link, world.memory, Date.now(), eventIdBytes(event.id))).toBe(true)
        },
        { deps: { clock } },
      )
    }
  })
})
