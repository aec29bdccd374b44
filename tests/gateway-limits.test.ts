/** Rate limits, and what the gateway remembers of events beyond the window. */
import { keysOf, longMemory } from '@weir/core/config/parts'
import { settleDone } from '@weir/core/stream/settle'
import { describe, expect, it } from 'vitest'
import {
  type Answer,
  POLL,
  send,
  sendGithub,
  storedEvents,
  type TestGateway,
  useGateway,
} from './support/gateway.ts'

const { redis, gateway } = useGateway()

const statuses = (answers: readonly Answer[]) => ({
  accepted: answers.filter(({ status }) => status === 202).length,
  limited: answers.filter(({ status }) => status === 429).length,
})

describe('rate limits', () => {
  const send30 = (port: number, path = '/webhooks/github') =>
    Promise.all(Array.from({ length: 30 }, (_, i) => sendGithub(port, `d-${i}`, '{}', path)))

  it('for each address: of 30 requests at 20 a minute exactly 20 pass', () =>
    gateway(
      async (running) => {
        const answers = await send30(running.port)
        expect(statuses(answers)).toEqual({ accepted: 20, limited: 10 })
        expect(await storedEvents(redis.client())).toHaveLength(20)
        expect(await running.counter('webhook_rate_limit_allowed_total')).toBe(20)
        const limited =
          (await running.counter('webhook_rate_limit_exceeded_total', 'limit_type=tenant')) +
          (await running.counter('webhook_rate_limit_exceeded_total', 'limit_type=ip'))
        expect(limited).toBe(10)
        for (const key of await redis.client().keys('*limits*')) expect(key).not.toContain('127.0.0.1')
      },
      { 'security.rate_limit_rpm': 20 },
    ))

  it('say when to come again, and a duplicate is not refused', () =>
    gateway(
      async ({ port }) => {
        const answers = await send30(port)
        const refused = answers.find(({ status }) => status === 429)
        expect(refused?.json).toMatchObject({ code: 'RATE_LIMITED', status: 429 })
        expect(Number(refused?.headers['retry-after'])).toBeGreaterThan(0)
        expect(refused?.headers['ratelimit-policy']).toMatch(/^"(ip|tenant)";q=20;w=60$/)
        expect(refused?.headers.ratelimit).toMatch(/^"(ip|tenant)";r=0;t=\d+$/)
        const first = answers.findIndex(({ status }) => status === 202)
        expect((await sendGithub(port, `d-${first}`)).status).toBe(200)
      },
      { 'security.rate_limit_rpm': 20 },
    ))

  it('of a tool and of all together are per second', () =>
    gateway(
      async (running) => {
        const answers = await send30(running.port)
        // The burst may lie across two seconds' windows.
        const { accepted, limited } = statuses(answers)
        expect(limited).toBeGreaterThan(0)
        expect(accepted + limited).toBe(30)
        const refused = answers.find(({ status }) => status === 429)
        expect(refused?.headers['ratelimit-policy']).toBe('"tool";q=5;w=1')
        expect(refused?.headers['retry-after']).toBe('1')
        // What was refused was not used up: it passes a second later.
        await expect
          .poll(async () => (await sendGithub(running.port, 'again')).status, {
            timeout: 5_000,
            interval: 200,
          })
          .not.toBe(429)
      },
      { 'security.per_tool_rate_limits.github': 5 },
    ))

  it('answer 503 to senders that try again after 5xx only', () =>
    gateway(
      async ({ port }) => {
        const alert = (i: number) =>
          send(port, '/webhook', {
            headers: ['Content-Type', 'application/json'],
            body: JSON.stringify({ groupKey: `g${i}`, status: 'firing', alerts: [] }),
          })
        const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => alert(i)))
        const refused = answers.find(({ status }) => status !== 202)
        expect(refused?.status).toBe(503)
        expect(refused?.json).toMatchObject({ code: 'RATE_LIMITED', status: 503 })
        expect(refused?.headers['retry-after']).toMatch(/^\d+$/)
      },
      { 'security.rate_limit_rpm': 5, 'tools.alertmanager.signature': 'none' },
    ))

  it('are not used up by requests that are not believed', () =>
    gateway(
      async ({ port }) => {
        const wrong = Array.from({ length: 30 }, () => send(port, '/webhooks/github', { body: '{}' }))
        expect(new Set((await Promise.all(wrong)).map(({ status }) => status))).toEqual(new Set([401]))
        expect(statuses(await send30(port)).accepted).toBe(20)
      },
      { 'security.rate_limit_rpm': 20 },
    ))

  it('are shared by two gateways: of 30 requests at 20 a minute exactly 20 pass', () =>
    gateway(
      (one) =>
        gateway(
          async (other) => {
            const answers = await Promise.all(
              Array.from({ length: 30 }, (_, i) => sendGithub(i % 2 === 0 ? one.port : other.port, `d-${i}`)),
            )
            expect(statuses(answers)).toEqual({ accepted: 20, limited: 10 })
            expect(await storedEvents(redis.client())).toHaveLength(20)
          },
          { 'security.rate_limit_rpm': 20 },
        ),
      { 'security.rate_limit_rpm': 20 },
    ))

  it('that are large are leased by each gateway, and are one limit all the same', () => {
    const settings = { 'security.rate_limit_rpm': 300 }
    return gateway(
      (one) =>
        gateway(async (other) => {
          const answers: Answer[] = []
          for (let i = 0; i < 10; i++) {
            const burst = Array.from({ length: 40 }, (_, n) =>
              sendGithub(n % 2 === 0 ? one.port : other.port, `d-${i}-${n}`),
            )
            answers.push(...(await Promise.all(burst)))
          }
          const { accepted, limited } = statuses(answers)
          expect(accepted + limited).toBe(400)
          expect(accepted).toBeLessThanOrEqual(300)
          // For each of two limits each gateway may hold a block that it did not come to spend: a twentieth.
          expect(accepted).toBeGreaterThanOrEqual(300 - 2 * 15)
          const refused = answers.find(({ status }) => status === 429)
          expect(refused?.json).toMatchObject({ code: 'RATE_LIMITED' })
          expect(refused?.headers['ratelimit-policy']).toMatch(/^"(ip|tenant)";q=300;w=60$/)
          for (const { counter } of [one, other]) {
            expect(await counter('webhook_rate_limit_leases_total', 'result=granted')).toBeGreaterThan(0)
          }
        }, settings),
      settings,
    )
  })

  it('hold while Redis is away: each gateway counts alone, and asks Redis again when it is back', () =>
    gateway(
      async (running) => {
        expect((await sendGithub(running.port, 'before')).status).toBe(202)
        await redis.server.kill('SIGKILL')
        await expect.poll(() => running.link.connected, POLL).toBe(false)
        expect(statuses(await send30(running.port))).toEqual({ accepted: 20, limited: 10 })
        expect(await running.counter('webhook_rate_limit_redis_errors_total')).toBe(30)
        expect(await running.counter('webhook_spooled_total', 'reason=redis_down')).toBe(20)
        await redis.server.restart()
        await expect.poll(() => running.spool?.records, POLL).toBe(0)
        // The drained ones do not count, the one before the outage does.
        const after = await Promise.all(
          Array.from({ length: 30 }, (_, i) => sendGithub(running.port, `after-${i}`)),
        )
        expect(statuses(after)).toEqual({ accepted: 19, limited: 11 })
        expect(await running.counter('webhook_rate_limit_redis_errors_total')).toBe(30)
      },
      { 'security.rate_limit_rpm': 20 },
    ))

  it('can be switched off', () =>
    gateway(
      async (running) => {
        expect(statuses(await send30(running.port)).accepted).toBe(30)
        expect(await running.counter('webhook_rate_limit_allowed_total')).toBe(0)
        expect(await redis.client().keys('*limits*')).toEqual([])
      },
      { 'security.rate_limit_rpm': 1, 'security.enable_rate_limiting': false },
    ))
})

describe('an occurrence', () => {
  it('passes as often in a window as the tool allows, each time as an event of its own', () =>
    gateway(
      async ({ port }) => {
        const answers: Answer[] = []
        for (let i = 0; i < 4; i++) answers.push(await sendGithub(port, 'd-1'))
        expect(answers.map(({ status }) => status)).toEqual([202, 202, 200, 200])
        const ids = answers.map(({ json }) => json.event_id)
        expect(ids[1]).not.toBe(ids[0])
        expect(ids.slice(2)).toEqual([ids[0], ids[0]])
      },
      { 'deduplication.window_configs.github.max_size': 2 },
    ))
})

describe('the long memory', () => {
  const WINDOW = {
    'deduplication.window_configs.github.duration': '1s',
    'deduplication.window_configs.default.duration': '1s',
    'deduplication.refresh_interval': '20ms',
  }

  /** Settles every event of the stream, as a consumer would. */
  async function settleAll({ link, config }: TestGateway): Promise<void> {
    const keys = keysOf(config)
    const events = await storedEvents(redis.client())
    await redis.client().xreadgroup('GROUP', keys.group, 'c', 'COUNT', 1000, 'STREAMS', keys.stream, '>')
    const entries = events.map((record) => ({
      streamId: record.streamId,
      holding: { kind: 'pending', consumer: 'c' } as const,
      record,
    }))
    expect(await settleDone(link, keys, longMemory(config, keys), entries, 'settled', Date.now())).toBe(
      events.length,
    )
  }

  const evidence = async () => (await redis.client().keys('*evidence*')).length

  it('recognises a settled event after its window is over', () =>
    gateway(async (running) => {
      const first = await sendGithub(running.port, 'd-1')
      await settleAll(running)
      await expect.poll(evidence, POLL).toBe(0)
      const filters = async () =>
        (await running.metrics.registry.metrics()).match(/^webhook_long_memory_filters (\d+)/m)?.[1]
      await expect.poll(filters, POLL).toBe('1')
      const again = await sendGithub(running.port, 'd-1')
      expect(again.status).toBe(200)
      expect(again.json).toEqual({ status: 'duplicate', event_id: first.json.event_id })
      expect(await running.counter('webhook_duplicates_total', 'tool=github,memory=long')).toBe(1)
      expect(await running.counter('webhook_long_memory_lookups_total', 'result=hit')).toBe(1)
      expect(await storedEvents(redis.client())).toHaveLength(1)
    }, WINDOW))

  it('never refuses an event that only looks like one it knows', () =>
    gateway(
      async (running) => {
        for (let i = 0; i < 40; i++) await sendGithub(running.port, `known-${i}`)
        await settleAll(running)
        const fresh = await Promise.all(
          Array.from({ length: 100 }, (_, i) => sendGithub(running.port, `fresh-${i}`)),
        )
        expect(new Set(fresh.map(({ status }) => status))).toEqual(new Set([202]))
        // A filter this small says maybe to most; each maybe was looked up.
        await expect
          .poll(async () => {
            await sendGithub(running.port, `more-${Math.random()}`)
            return running.counter('webhook_long_memory_lookups_total', 'result=false_positive')
          }, POLL)
          .toBeGreaterThan(0)
        expect(await running.counter('webhook_long_memory_lookups_total', 'result=hit')).toBe(0)
      },
      { ...WINDOW, 'deduplication.bloom_filter_size': 1024, 'deduplication.bloom_filter_hash_funcs': 1 },
    ))
})
