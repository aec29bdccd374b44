import { type Clock, systemClock } from '@weir/core/clock'
import { ensureGroup } from '@weir/core/stream/group'
import { describe, expect, it } from 'vitest'
import { useRedis } from '../../../tests/support/redis.ts'
import { type ConsumerWorld, effects, onGithub, withConsumer } from './testing.ts'

const redis = useRedis()

/** Deliveries that Redis counted for the pending entries. */
const deliveries = async (world: ConsumerWorld) => (await world.pending()).map((entry) => entry.deliveries)

describe('consumers that die or sleep', () => {
  it("a dead consumer's entries are taken over after reclaim_idle, and it is removed when it owns nothing", async () => {
    const gate = Promise.withResolvers<void>()
    const { handler, keys } = effects()
    const settings = { reclaimIdleMs: 400, deadConsumerAfterMs: 500 }
    await withConsumer(redis, settings, [onGithub(() => gate.promise)], async (world) => {
      await world.admitMany(30)
      await world.until({ pending: 30 })
      await world.consumer.vanish()
      const survivor = world.start([handler])
      await world.until({ settled: 30, pending: 0 })
      expect(keys.size).toBe(30)
      await expect.poll(world.members).toEqual([survivor.name])
      gate.resolve()
    })
  })

  it("a backlog that fills every hand does not keep a dead consumer's entries waiting", async () => {
    const started: string[] = []
    const gates: (() => void)[] = []
    const handler = onGithub((event) => {
      started.push(event.id)
      return new Promise((resolve) => gates.push(resolve))
    })
    const settings = { reclaimIdleMs: 300, prefetchCount: 20, numWorkers: 2, handlerTimeoutMs: 60_000 }
    await withConsumer(
      redis,
      settings,
      [handler],
      async (world) => {
        const { stream, group } = world.keys
        const orphans = await world.admitMany(10)
        await ensureGroup(world.link, world.keys)
        await world.link.call('XREADGROUP', 'GROUP', group, 'dead-1', 'STREAMS', stream, '>')
        await world.admitMany(400)
        world.consumer.start()
        await expect.poll(() => world.consumer.state().held).toBe(20)
        const since = performance.now()
        await expect.poll(() => performance.now() - since).toBeGreaterThan(400)
        // One event is finished after the other, each time a new one fills the hand; some time for reclaiming too.
        for (
          let finished = 0;
          finished < 200 && !orphans.every(({ id }) => started.includes(id));
          finished++
        ) {
          gates.shift()?.()
          const before = started.length
          await expect.poll(() => started.length, { interval: 1 }).toBeGreaterThan(before)
          await expect.poll(() => world.consumer.state().held, { interval: 1 }).toBe(20)
        }
        expect(orphans.filter(({ id }) => !started.includes(id))).toEqual([])
        const releasing = setInterval(() => gates.shift()?.(), 0)
        await world.until({ settled: 410 })
        clearInterval(releasing)
      },
      { started: false },
    )
  })

  it('the report of one that died before it ever read anything is removed as well', async () => {
    await withConsumer(redis, { deadConsumerAfterMs: 300 }, [], async (world) => {
      const reports = async () =>
        ((await world.link.call('HKEYS', world.keys.consumers)) as Buffer[]).map(String)
      await expect.poll(reports).toEqual([world.consumer.name])
      await world.consumer.vanish()
      await world.link.call('HSET', world.keys.consumers, 'strange', 'not JSON')
      const survivor = world.start([])
      await expect.poll(reports).toEqual([survivor.name])
    })
  })

  it('a consumer that is silent but owns entries is not removed', async () => {
    const gate = Promise.withResolvers<void>()
    const settings = { deadConsumerAfterMs: 100, reclaimIdleMs: 60_000, handlerTimeoutMs: 50_000 }
    await withConsumer(redis, settings, [onGithub(() => gate.promise)], async (world) => {
      await world.admitMany(3)
      await world.until({ pending: 3 })
      await world.consumer.vanish()
      world.start([])
      const since = performance.now()
      await expect.poll(() => performance.now() - since).toBeGreaterThan(400)
      expect(await world.members()).toContain(world.consumer.name)
      gate.resolve()
      const ids = (await world.pending()).map(({ streamId }) => streamId)
      await world.link.call('XACK', world.keys.stream, world.keys.group, ...ids)
      await world.link.call('HINCRBY', world.keys.ledger, 'settled', ids.length)
    })
  })

  it('one that slept too long changes nothing when it wakes: no double settle, effects once', async () => {
    const done = new Map<string, string>()
    const settledBy: string[] = []
    const gates = Promise.withResolvers<void>()
    const work = (name: string, wait?: Promise<void>) =>
      onGithub(async (_, ctx) => {
        await wait
        if (!done.has(ctx.idempotencyKey)) done.set(ctx.idempotencyKey, name)
        settledBy.push(name)
      })
    // A never renews: its clock stands still after the first read.
    let asleep = false
    const wake = Promise.withResolvers<void>()
    const drowsy: Clock = {
      ...systemClock,
      wait: async (ms, signal) => {
        await systemClock.wait(ms, signal)
        if (asleep && !signal?.aborted) await wake.promise
      },
    }
    const settings = {
      reclaimIdleMs: 300,
      handlerTimeoutMs: 60_000,
      breaker: { failureThreshold: 3, openDurationMs: 60_000 },
    }
    await withConsumer(
      redis,
      settings,
      [work('A', gates.promise)],
      async (world) => {
        await world.admitMany(20)
        await expect.poll(() => world.consumer.state().running).toBe(10)
        asleep = true
        world.start([work('B')])
        await world.until({ settled: 20, pending: 0 })
        gates.resolve()
        asleep = false
        wake.resolve()
        await world.rest()
        await world.until({ accepted: 20, settled: 20, superseded: 0, dead: 0, parked: 0 })
        expect(new Set(done.values())).toEqual(new Set(['B']))
        expect(done.size).toBe(20)
        expect(settledBy.filter((name) => name === 'B')).toHaveLength(20)
        // What A had queued it did not run any more.
        expect(settledBy.filter((name) => name === 'A').length).toBeLessThanOrEqual(10)
      },
      { deps: { clock: drowsy } },
    )
  })

  it("a zombie's failure does not park or bury what another has in hand", async () => {
    const fail = Promise.withResolvers<void>()
    const settings = { reclaimIdleMs: 60_000, maxRetries: 0 }
    await withConsumer(redis, settings, [onGithub(() => fail.promise)], async (world) => {
      await world.admitMany(5)
      await expect.poll(() => world.consumer.state().running).toBe(5)
      const ids = (await world.pending()).map(({ streamId }) => streamId)
      await world.link.call('XCLAIM', world.keys.stream, world.keys.group, 'another', 0, ...ids)
      fail.reject(new Error('too late'))
      await world.rest()
      await world.until({ pending: 5, dead: 0, parked: 0 })
      await world.link.call('XACK', world.keys.stream, world.keys.group, ...ids)
      await world.link.call('HINCRBY', world.keys.ledger, 'settled', ids.length)
    })
  })

  it('entries that wait long in a queue are renewed: nobody takes them over', async () => {
    const gate = Promise.withResolvers<void>()
    const handler = onGithub(() => gate.promise)
    const settings = { reclaimIdleMs: 1_500, handlerTimeoutMs: 60_000, numWorkers: 1 }
    await withConsumer(redis, settings, [handler], async (world) => {
      await world.admitMany(150)
      await world.until({ pending: 150 })
      world.start([handler])
      const since = performance.now()
      await expect.poll(() => performance.now() - since).toBeGreaterThan(2_500)
      expect(new Set((await world.pending()).map(({ consumer }) => consumer))).toEqual(
        new Set([world.consumer.name]),
      )
      expect(new Set(await deliveries(world))).toEqual(new Set([1]))
      gate.resolve()
      await world.until({ settled: 150 })
    })
  })

  it('after many died with full hands, everybody is served soon: suspects follow one another at once', async () => {
    const { handler, keys } = effects()
    const settings = { reclaimIdleMs: 100, reclaimIntervalMs: 50 }
    await withConsumer(
      redis,
      settings,
      [handler],
      async (world) => {
        await world.admitMany(300)
        // Delivered twice without an outcome, to consumers that are no more.
        await world.link.call('XGROUP', 'CREATE', world.keys.stream, world.keys.group, '0')
        await world.link.call(
          'XREADGROUP',
          'GROUP',
          world.keys.group,
          'dead-1',
          'STREAMS',
          world.keys.stream,
          '>',
        )
        const ids = (await world.pending()).map(({ streamId }) => streamId)
        await world.link.call('XCLAIM', world.keys.stream, world.keys.group, 'dead-2', 0, ...ids)
        expect(new Set(await deliveries(world))).toEqual(new Set([2]))
        world.consumer.start()
        // 300 rounds of reclaim_interval would be 15 s.
        const since = performance.now()
        await world.until({ settled: 300 })
        expect(performance.now() - since).toBeLessThan(10_000)
        expect(keys.size).toBe(300)
      },
      { started: false },
    )
  })

  it('who has just begun takes no suspects: where all are killed again and again from outside, none is accused each time', async () => {
    const { handler, keys } = effects()
    const reclaimIdleMs = 1_000
    await withConsumer(
      redis,
      { reclaimIdleMs, reclaimIntervalMs: 10 },
      [handler],
      async (world) => {
        const { stream, group } = world.keys
        await world.admitMany(3)
        await world.link.call('XGROUP', 'CREATE', stream, group, '0')
        await world.link.call('XREADGROUP', 'GROUP', group, 'dead-1', 'STREAMS', stream, '>')
        const [suspect = ''] = (await world.pending()).map(({ streamId }) => streamId)
        await world.link.call('XCLAIM', stream, group, 'dead-2', 0, suspect)
        const all = (await world.pending()).map(({ streamId }) => streamId)
        for (const id of all)
          await world.link.call('XCLAIM', stream, group, 'dead-2', 0, id, 'IDLE', 86_400_000, 'JUSTID')
        const since = performance.now()
        world.consumer.start()
        // What nobody suspects is taken over at once.
        await world.until({ settled: 2, pending: 1 })
        expect(await deliveries(world)).toEqual([2])
        await world.until({ settled: 3 })
        expect(performance.now() - since).toBeGreaterThanOrEqual(reclaimIdleMs)
        expect(keys.size).toBe(3)
      },
      { started: false },
    )
  })

  it('with quarantine_after = 2 what died along with a poison event is still not quarantined', async () => {
    const { handler, keys } = effects()
    await withConsumer(
      redis,
      { reclaimIdleMs: 100, quarantineAfter: 2 },
      [handler],
      async (world) => {
        await world.admitMany(10)
        await world.link.call('XGROUP', 'CREATE', world.keys.stream, world.keys.group, '0')
        await world.link.call(
          'XREADGROUP',
          'GROUP',
          world.keys.group,
          'dead-1',
          'STREAMS',
          world.keys.stream,
          '>',
        )
        const seen = new Set<number>()
        world.consumer.start()
        await expect
          .poll(
            async () => {
              // Never two suspects at once: a death accuses one.
              const accused = (await deliveries(world)).filter((n) => n >= 2).length
              seen.add(accused)
              return (await world.ledger()).settled
            },
            { interval: 1 },
          )
          .toBe(10)
        expect(Math.max(...seen)).toBeLessThanOrEqual(1)
        expect(keys.size).toBe(10)
      },
      { started: false },
    )
  })
})
