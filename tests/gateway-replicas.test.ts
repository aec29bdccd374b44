/** The gateway with `durability: replica`: what it answers 202 or 200 is on every replica, or in its spool. */

import { freezeFields } from '@weir/core/record'
import { describe, expect, it } from 'vitest'
import { startRedis } from '../scripts/private-redis.ts'
import { send, sendGithub, storedEvents, type TestGateway, withGateway } from './support/gateway.ts'
import { useReplicated } from './support/replicas.ts'

const redis = useReplicated({ replicas: 2 })
const POLL = { timeout: 10_000, interval: 20 }

/** Short times, so that what is late is late soon. */
const REPLICA = {
  'redis.durability': 'replica',
  'redis.replicas': 2,
  'redis.replica_timeout': '200ms',
  'redis.command_timeout': '500ms',
  'redis.reconnect_max_delay': '100ms',
  'ingest.admission_budget': '300ms',
  'ingest.spool.drain_interval': '20ms',
}

const gateway = (use: (running: TestGateway) => Promise<void>, settings: Record<string, unknown> = {}) =>
  withGateway({ redisUrl: redis.current.url, settings: { ...REPLICA, ...settings } }, use)

const ready = async ({ port }: TestGateway) => {
  const { status, json } = await send(port, '/ready', { method: 'GET' })
  return { http: status, status: json.status }
}
const up = { http: 200, status: 'ok' }
const degraded = { http: 200, status: 'degraded' }
const drained = (running: TestGateway) => expect.poll(() => running.spool?.records, POLL).toBe(0)
/** Counted once the journal has forgotten the record, which takes an fsync longer than to be empty. */
const drainedAs = (running: TestGateway, outcome: string) =>
  expect.poll(() => running.counter('webhook_spool_drained_total', `outcome=${outcome}`), POLL).toBe(1)

/** The ids in the stream of one server, sorted; duplicates stay visible. */
async function streamIds(server = redis.current.master): Promise<string[]> {
  return (await storedEvents(redis.current.client(server))).map(({ id }) => id).sort()
}

const told = (running: TestGateway, text: RegExp) =>
  running.log.filter(({ reason }) => typeof reason === 'string' && text.test(reason))

describe('an event', () => {
  it('is on every replica when it is answered, many of them after one WAIT', () =>
    gateway(async (running) => {
      for (let n = 0; n < 5; n++) {
        const { status, json } = await sendGithub(running.port, `one-${n}`)
        expect(status).toBe(202)
        for (const replica of redis.current.replicas)
          expect(await streamIds(replica)).toContain(json.event_id)
      }
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, n) => sendGithub(running.port, `d-${n}`)),
      )
      expect(answers.map(({ status }) => status)).toEqual(new Array(50).fill(202))
      const page = await running.metrics.registry.metrics()
      const waits = Number(/webhook_replica_wait_seconds_count\{result="confirmed"\} (\d+)/.exec(page)?.[1])
      expect(waits).toBeGreaterThan(5)
      expect(waits).toBeLessThan(50)
      expect(page).toContain('webhook_replica_short_total 0')
    }))

  it('goes to the spool while one replica hangs, and is there once when that one is back', () =>
    gateway(async (running) => {
      expect((await sendGithub(running.port, 'before')).status).toBe(202)
      const [hanging] = redis.current.replicas
      await hanging!.kill('SIGSTOP')
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, n) => sendGithub(running.port, `d-${n}`, `{"n":${n}}`)),
      )
      expect(answers.map(({ status }) => status)).toEqual(new Array(20).fill(202))
      expect(running.spool?.records).toBe(20)
      expect(await ready(running)).toEqual(degraded)
      // From now on nobody waits for it.
      const startedAt = performance.now()
      for (let n = 0; n < 10; n++) expect((await sendGithub(running.port, `later-${n}`)).status).toBe(202)
      expect(performance.now() - startedAt).toBeLessThan(5_000)
      expect(await running.counter('webhook_spooled_total', 'reason=redis_unknown')).toBe(20)
      expect(await running.counter('webhook_spooled_total', 'reason=redis_down')).toBe(10)
      expect(await running.counter('webhook_replica_short_total')).toBeGreaterThan(0)
      expect(told(running, /^1 of 2 replicas confirmed within 200 ms$/)).not.toEqual([])
      await hanging!.kill('SIGCONT')
      await drained(running)
      await expect.poll(() => ready(running), POLL).toEqual(up)
      const ids = await streamIds(hanging)
      expect(ids).toHaveLength(31)
      expect(new Set(ids).size).toBe(31)
      for (const { json } of answers) expect(ids).toContain(json.event_id)
      expect(await running.counter('webhook_loss_detected_total')).toBe(0)
    }))

  it('is refused with 503 where there is no spool, and accepted under the same id when it is sent again', () =>
    gateway(
      async (running) => {
        expect((await sendGithub(running.port, 'before')).status).toBe(202)
        await redis.current.replicas[1]!.kill('SIGSTOP')
        const refused = await sendGithub(running.port, 'd-1')
        expect(refused.status).toBe(503)
        expect(refused.headers['retry-after']).toMatch(/^\d+$/)
        await redis.current.replicas[1]!.kill('SIGCONT')
        await expect.poll(() => ready(running), POLL).toEqual(up)
        // It was appended all the same: nobody could say so.
        expect((await sendGithub(running.port, 'd-1')).status).toBe(200)
        expect(await streamIds()).toHaveLength(2)
      },
      { 'ingest.spool.enabled': false },
    ))

  it('that is late, but within the budget, is answered 202 without the spool', () =>
    gateway(
      async (running) => {
        expect((await sendGithub(running.port, 'before')).status).toBe(202)
        await redis.current.replicas[0]!.kill('SIGSTOP')
        const answer = sendGithub(running.port, 'd-1')
        await expect.poll(() => running.counter('webhook_replica_short_total'), POLL).toBeGreaterThan(0)
        await redis.current.replicas[0]!.kill('SIGCONT')
        expect((await answer).status).toBe(202)
        expect(await running.counter('webhook_admission_unknown_total', 'end=retried')).toBe(1)
        expect(running.spool?.records).toBe(0)
        expect(await streamIds(redis.current.replicas[0])).toHaveLength(2)
      },
      { 'ingest.admission_budget': '10s' },
    ))
})

describe('a duplicate', () => {
  it('is as durable as the first one: not 200 while a replica lacks the event that another gateway appended', () =>
    gateway(async (running) => {
      const { current } = redis
      expect((await sendGithub(running.port, 'before')).status).toBe(202)
      await current.replicas[0]!.kill('SIGSTOP')
      await withGateway(
        { redisUrl: current.url, settings: { 'ingest.spool.drain_interval': '20ms' } },
        async (other) => {
          const first = await sendGithub(other.port, 'd-1')
          expect(first.status).toBe(202)
          // This gateway has written nothing since its last confirmed event.
          const second = await sendGithub(running.port, 'd-1')
          expect(second.status).toBe(202)
          expect(second.json.event_id).toBe(first.json.event_id)
          expect(running.spool?.records).toBe(1)
        },
      )
      await current.replicas[0]!.kill('SIGCONT')
      await drainedAs(running, 'known')
      expect((await sendGithub(running.port, 'd-1')).status).toBe(200)
      expect(await streamIds(current.replicas[0])).toHaveLength(2)
    }))
})

describe('the spool', () => {
  it('keeps a record that is in the stream until every replica has it', () =>
    gateway(
      async (running) => {
        const { current } = redis
        expect((await sendGithub(running.port, 'd-1')).status).toBe(202)
        const client = current.client(current.master)
        const [entry] = await client.xrangeBuffer('webhook-events', '-', '+')
        await client.del('webhook-events', ...(await client.keys('{webhook-events}:evidence:*')))
        await current.replicas[0]!.kill('SIGSTOP')
        await running.spool!.append(freezeFields(entry![1]))
        await expect.poll(() => client.xlen('webhook-events'), POLL).toBe(1)
        await expect.poll(() => running.counter('webhook_replica_short_total'), POLL).toBeGreaterThan(0)
        expect(running.spool!.records).toBe(1)
        await current.replicas[0]!.kill('SIGCONT')
        await drained(running)
        expect(await streamIds(current.replicas[0])).toHaveLength(1)
        await drainedAs(running, 'known')
      },
      { 'ingest.spool.drain_interval': '20ms' },
    ))
})

describe('a master without its replicas', () => {
  it('is no reason not to start: degraded, into the spool, loudly, until they are there', () =>
    gateway(
      async (running) => {
        expect(await ready(running)).toEqual(degraded)
        const answer = await sendGithub(running.port, 'd-1')
        expect(answer.status).toBe(202)
        expect(running.spool?.records).toBe(1)
        const sentence = /the master has 2 of 3 replicas .*durability: replica.*spool.*durability: local/
        expect(told(running, sentence)).toMatchObject([{ level: 50, event: 'redis' }])
        expect(await streamIds()).toEqual([])
        const { master } = redis.current
        const third = await startRedis({ args: ['--replicaof', '127.0.0.1', String(master.port)] })
        try {
          await drained(running)
          await expect.poll(() => ready(running), POLL).toEqual(up)
          expect(await streamIds(third)).toEqual([answer.json.event_id])
        } finally {
          await third.stop()
        }
      },
      { 'redis.replicas': 3 },
    ))

  it('but with more of them than must confirm goes on, and says what to set', () =>
    gateway(
      async (running) => {
        expect((await sendGithub(running.port, 'd-1')).status).toBe(202)
        expect(running.spool?.records).toBe(0)
        const [warned, ...more] = running.log.filter(({ warnings }) => warnings !== undefined)
        expect(more).toEqual([])
        expect(warned?.warnings).toEqual([
          expect.stringContaining('set webhook.redis.replicas: 2'),
          expect.stringContaining('set min-replicas-to-write 1'),
        ])
      },
      { 'redis.replicas': 1 },
    ))
})
