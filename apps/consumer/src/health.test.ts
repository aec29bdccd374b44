import { reportBreaker } from '@weir/core/stream/breaker'
import { describe, expect, it } from 'vitest'
import { useRedis } from '../../../tests/support/redis.ts'
import { createHealth } from './health.ts'
import { effects, onGithub, withConsumer } from './testing.ts'

const redis = useRedis()

describe("a consumer's health", () => {
  it('tells what it works on, what waits, and which breakers are open', async () => {
    const gate = Promise.withResolvers<void>()
    await withConsumer(redis, { numWorkers: 2 }, [onGithub(() => gate.promise)], async (world) => {
      const { link, keys } = world
      await world.admitMany(3)
      await expect.poll(() => world.consumer.state()).toMatchObject({ held: 3, running: 2 })
      const settings = { failureThreshold: 1, openDurationMs: 60_000, probeLeaseMs: 1 }
      await reportBreaker(link, keys, 'jira', settings, 1, false)
      const health = createHealth({
        state: world.consumer.state,
        partitions: () => [{ link, keys }],
        tools: ['github', 'jira'],
      })
      const now = await health()
      expect(now).toEqual({
        status: 'degraded',
        checks: {
          redis: { state: 'ok', age_ms: 0 },
          work: { state: 'ok', age_ms: expect.any(Number), held: 3, running: 2, unsettled: 0 },
          lag: {
            state: 'ok',
            age_ms: 0,
            messages: 3,
            unread: 0,
            pending: 3,
            parked: 0,
            oldest_unread_ms: 0,
            oldest_pending_ms: expect.any(Number),
            clock_behind_ms: 0,
          },
          ledger: {
            state: 'ok',
            age_ms: 0,
            verdict: 'balanced',
            unaccounted: 0,
            accepted: 3,
            settled: 0,
            dead: 0,
            group: true,
          },
          breakers: {
            state: 'degraded',
            age_ms: 0,
            detail: 'handlers fail: jira',
            open: ['jira'],
            half_open: [],
          },
        },
      })
      expect(now.checks.lag?.oldest_pending_ms).toBeGreaterThan(0)
      gate.resolve()
      await world.until({ settled: 3 })
    })
  })

  it('shows of several partitions the gravest breaker and the sum of their ledgers', async () => {
    await withConsumer(redis, {}, [effects().handler], async (world) => {
      const { link, keys } = world
      const other = { ...keys, stream: 'other', breaker: (tool: string) => `other:${tool}` }
      const settings = { failureThreshold: 2, openDurationMs: 60_000, probeLeaseMs: 1 }
      await reportBreaker(link, keys, 'github', settings, 1, false)
      await reportBreaker(link, other, 'github', settings, 2, false)
      await world.admitMany(2)
      await world.until({ settled: 2 })
      const state = world.consumer.state
      const partitions = () => [
        { link, keys },
        { link, keys: other },
      ]
      const { checks } = await createHealth({ state, partitions, tools: ['github'] })()
      expect(checks).toMatchObject({
        breakers: { state: 'degraded', open: ['github'] },
        ledger: { accepted: 2, group: false },
      })
    })
  })

  it('knows how long ago Redis answered last, also when it is away', async () => {
    await withConsumer(
      redis,
      { blockTimeoutMs: 50 },
      [effects().handler],
      async (world) => {
        await expect.poll(() => world.consumer.state().last_read_ms).not.toBeNull()
        await redis.server.kill('SIGKILL')
        const { link, keys } = world
        const health = createHealth({
          state: world.consumer.state,
          partitions: () => [{ link, keys }],
          tools: ['github'],
        })
        await expect.poll(async () => (await health()).checks.work?.age_ms).toBeGreaterThan(300)
        await expect.poll(health).toMatchObject({
          status: 'failing',
          checks: {
            redis: { state: 'failing' },
            lag: { state: 'unknown', age_ms: null, detail: expect.any(String) },
            ledger: { state: 'unknown' },
            breakers: { state: 'unknown' },
          },
        })
        await redis.server.restart()
        await expect.poll(async () => (await health()).status).toBe('ok')
      },
      { balanced: false },
    )
  })

  it('looks at a consumer that has read nothing for long, and does not know of one that never did', async () => {
    await withConsumer(redis, {}, [], async (world) => {
      const { link, keys } = world
      const workOf = async (last_read_ms: number | null) =>
        (
          await createHealth({
            state: () => ({ ...world.consumer.state(), last_read_ms }),
            partitions: () => [{ link, keys }],
            tools: [],
          })()
        ).checks.work
      expect(await workOf(null)).toMatchObject({ state: 'unknown', age_ms: null })
      expect(await workOf(120_000)).toMatchObject({ state: 'ok' })
      expect(await workOf(120_001)).toMatchObject({ state: 'degraded', detail: expect.any(String) })
    })
  })
})
