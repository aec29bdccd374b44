import { defineHandler, type HandlerEvent, PermanentError } from '@weir/core/handlers/handler'
import { BREAKER_GAUGE, readBreaker, resetBreaker } from '@weir/core/stream/breaker'
import { describe, expect, it } from 'vitest'
import { useRedis } from '../../../tests/support/redis.ts'
import { type ConsumerWorld, withConsumer } from './testing.ts'

/** The breaker of a tool as consumers live with it. What it is by itself: core/stream/breaker.ts. */
const redis = useRedis()

const on = (tool: 'github' | 'generic', run: (event: HandlerEvent) => void | Promise<void>) =>
  defineHandler({ name: tool, tool, events: ['*'], run })
const fails = (): never => {
  throw new Error('the API is down')
}
const generic = { tool: 'generic', type: 'ping' }
/** Makes the open breaker half-open, as if its time had passed, and waits until all consumers have noticed. */
async function halfOpen(world: ConsumerWorld, consumers = [world.consumer]): Promise<void> {
  await world.link.call('HSET', world.keys.breaker('github'), 'until', 1)
  const gauges = async () => {
    const all = await Promise.all(consumers.map(({ metrics }) => metrics.breaker.get()))
    return new Set(all.flatMap(({ values }) => values.map(({ value }) => value)))
  }
  await expect.poll(gauges).toEqual(new Set([BREAKER_GAUGE['half-open']]))
}
const LONG = { failureThreshold: 5, openDurationMs: 3_600_000 }
const SHORT = { failureThreshold: 5, openDurationMs: 250 }
const slowBackoff = { baseMs: 3_600_000, maxMs: 3_600_000 }

describe('a breaker', () => {
  it('opens after 5 failures in a row; then events of that tool wait without using attempts, others flow', async () => {
    let runs = 0
    const handlers = [
      on('github', () => {
        runs++
        fails()
      }),
      on('generic', () => undefined),
    ]
    const settings = { breaker: LONG, backoff: slowBackoff, numWorkers: 1 }
    await withConsumer(redis, settings, handlers, async (world) => {
      await world.admitMany(20)
      await world.until({ parked: 20, pending: 0 })
      expect(runs).toBe(5)
      await world.admitMany(10, () => generic)
      await world.until({ settled: 10, parked: 20 })
      const states = (await world.link.call('HVALS', world.keys.parkedState)) as Buffer[]
      const waiting = states
        .map((state) => JSON.parse(String(state)))
        .filter(({ reason }) => reason === 'breaker')
      expect(waiting).toHaveLength(15)
      expect(waiting.every(({ n }) => n === 0)).toBe(true)
      await expect
        .poll(async () => (await world.consumer.metrics.breaker.get()).values)
        .toEqual(
          expect.arrayContaining([
            { labels: { tool_id: 'github' }, value: 1 },
            { labels: { tool_id: 'generic' }, value: 0 },
          ]),
        )
      expect(world.lines.filter(({ msg }) => msg === 'circuit breaker open')).toMatchObject([
        { level: 50, tool: 'github', failures: 5 },
      ])
    })
  })

  it('a success between failures starts the count anew', async () => {
    const handler = on('github', (event) => {
      if ((event.payload as { n: number }).n % 5 !== 4) fails()
    })
    const settings = { breaker: LONG, backoff: slowBackoff, numWorkers: 1 }
    await withConsumer(redis, settings, [handler], async (world) => {
      for (let n = 0; n < 20; n++) await world.admit({ body: JSON.stringify({ n }) })
      await world.until({ parked: 16, settled: 4 })
      expect(await readBreaker(world.link, world.keys, 'github')).toMatchObject({
        state: 'closed',
        failures: 0,
      })
    })
  })

  it('is not opened by events that are malformed or refused for good: the tool is well', async () => {
    const handler = on('github', () => {
      throw new PermanentError('not ours')
    })
    await withConsumer(redis, { breaker: LONG }, [handler], async (world) => {
      await world.admitMany(10)
      await world.admitMany(10, () => ({ body: 'nothing' }))
      await world.until({ dead: 20 })
      expect(await readBreaker(world.link, world.keys, 'github')).toMatchObject({
        state: 'closed',
        failures: 0,
      })
    })
  })

  it('lets one event through as the probe after open_duration; a failing probe keeps it open', async () => {
    const order: string[] = []
    let healthy = false
    const handler = on('github', (event) => {
      order.push(event.id)
      if (!healthy) fails()
    })
    const settings = { breaker: SHORT, backoff: slowBackoff, numWorkers: 4 }
    await withConsumer(redis, settings, [handler], async (world) => {
      await world.admitMany(30)
      await world.until({ parked: 30 })
      const opened = order.length
      expect(opened).toBeGreaterThanOrEqual(5)
      expect(opened).toBeLessThan(5 + 4) // those that were running when it opened
      // Probes come one at a time, each a new event's only attempt.
      await expect.poll(() => order.length).toBe(opened + 2)
      expect(new Set(order).size).toBe(order.length)
      expect((await readBreaker(world.link, world.keys, 'github')).state).not.toBe('closed')
      healthy = true
      await expect
        .poll(async () => (await readBreaker(world.link, world.keys, 'github')).state)
        .toBe('closed')
    })
  })

  it('closes when the probe succeeds, and wakes everything that waited', async () => {
    let healthy = false
    let running = 0
    let most = 0
    const gate = Promise.withResolvers<void>()
    const handler = on('github', async () => {
      if (!healthy) fails()
      most = Math.max(most, ++running)
      await gate.promise
      running--
    })
    // Waiting events are due only after an hour: if nobody woke them they would not come.
    const settings = { breaker: { failureThreshold: 5, openDurationMs: 3_600_000 }, numWorkers: 4 }
    const backoff = { baseMs: 1, maxMs: 1 }
    await withConsumer(redis, { ...settings, backoff }, [handler], async (world) => {
      await world.admitMany(50)
      await world.until({ parked: 50, pending: 0 })
      healthy = true
      await halfOpen(world)
      await world.admit()
      await expect.poll(() => running).toBe(1)
      await world.admitMany(5)
      await expect.poll(async () => (await world.ledger()).unread).toBe(0)
      await expect.poll(() => world.consumer.state().held).toBe(1) // the others were parked, not run
      expect(most).toBe(1)
      gate.resolve()
      await world.until({ settled: 56, parked: 0 })
    })
  })

  it('is shared: what one consumer saw fail, another does not try, not even one that starts later', async () => {
    const ran: string[] = []
    const failing = (name: string) =>
      on('github', () => {
        ran.push(name)
        fails()
      })
    const settings = { breaker: LONG, backoff: slowBackoff, numWorkers: 1 }
    await withConsumer(redis, settings, [failing('first')], async (world) => {
      await world.admitMany(10)
      await world.until({ parked: 10 })
      await world.consumer.stop()
      world.start([failing('second')])
      await world.admitMany(10)
      await world.until({ parked: 20 })
      expect(ran).toEqual(['first', 'first', 'first', 'first', 'first'])
    })
  })

  it('is shared: the probe of one consumer frees the events of all', async () => {
    let healthy = false
    const handler = () =>
      on('github', () => {
        if (!healthy) fails()
      })
    const settings = { breaker: LONG, backoff: slowBackoff, numWorkers: 1 }
    await withConsumer(redis, settings, [handler()], async (world) => {
      const second = world.start([handler()])
      await world.admitMany(40)
      await world.until({ parked: 40 })
      healthy = true
      const failed = (await readBreaker(world.link, world.keys, 'github')).failures
      await halfOpen(world, [world.consumer, second])
      await world.admit()
      // Those that failed themselves wait for their own backoff.
      await world.until({ settled: 41 - failed, parked: failed })
    })
  })

  it('that an operator reset frees the waiting events', async () => {
    let healthy = false
    const handler = on('github', () => {
      if (!healthy) fails()
    })
    const settings = { breaker: LONG, backoff: slowBackoff, numWorkers: 1 }
    await withConsumer(redis, settings, [handler], async (world) => {
      await world.admitMany(10)
      await world.until({ parked: 10 })
      healthy = true
      await resetBreaker(world.link, world.keys, 'github')
      await world.until({ settled: 5, parked: 5 })
    })
  })

  it('is not closed by a probe that says nothing: one that is malformed, or stopped half-way', async () => {
    const gate = Promise.withResolvers<void>()
    let hang = false
    const handler = on('github', () => (hang ? gate.promise : fails()))
    const settings = { breaker: LONG, backoff: slowBackoff, numWorkers: 1, shutdownTimeoutMs: 50 }
    await withConsumer(redis, settings, [handler], async (world) => {
      await world.admitMany(5)
      await world.until({ parked: 5 })
      await halfOpen(world)
      await world.admit({ body: 'nothing' })
      await world.until({ dead: 1 })
      expect(await readBreaker(world.link, world.keys, 'github')).toMatchObject({
        state: 'half-open',
        waitMs: 0,
      })
      hang = true
      await world.admit()
      await expect.poll(() => world.consumer.state().running).toBe(1)
      await world.consumer.stop()
      expect(await readBreaker(world.link, world.keys, 'github')).toMatchObject({
        state: 'half-open',
        waitMs: 0,
      })
    })
  })

  it('is not opened by handlers that were aborted because others had taken their events over', async () => {
    const gate = Promise.withResolvers<void>()
    const handler = on('github', () => gate.promise)
    const settings = { breaker: LONG, numWorkers: 10, reclaimIdleMs: 300 }
    await withConsumer(redis, settings, [handler], async (world) => {
      await world.admitMany(10)
      await expect.poll(() => world.consumer.state().running).toBe(10)
      const ids = (await world.pending()).map(({ streamId }) => streamId)
      await world.link.call('XCLAIM', world.keys.stream, world.keys.group, 'another', 0, ...ids)
      await expect.poll(() => world.consumer.state().running).toBe(0)
      expect(await readBreaker(world.link, world.keys, 'github')).toMatchObject({
        state: 'closed',
        failures: 0,
      })
      gate.resolve()
      await world.until({ settled: 10 })
    })
  })
})
