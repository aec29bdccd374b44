/** The gateway while Redis is away, slow, full, paused or set back: nothing accepted is lost, nothing is there twice. */
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadBundledDictionaries } from '@weir/core/dictionaries'
import type { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  POLL,
  send,
  sendGithub,
  storedEvents,
  type TestGateway,
  useGateway,
  withGateway,
} from './support/gateway.ts'
import { type RedisServer, withRedis } from './support/redis.ts'

/** Short times, so that outages take milliseconds. */
const QUICK = {
  'redis.command_timeout': '250ms',
  'redis.reconnect_max_delay': '100ms',
  'ingest.admission_budget': '400ms',
  'ingest.spool.drain_interval': '20ms',
}

const { redis, gateway } = useGateway(QUICK)

const drained = (running: TestGateway) => expect.poll(() => running.spool?.records, POLL).toBe(0)
const ready = async (port: number) => {
  const { status, json } = await send(port, '/ready', { method: 'GET' })
  return { http: status, status: json.status, redis: json.redis }
}
/** Events that wait for their admission. */
const inFlight = async (port: number) => {
  const { text } = await send(port, '/metrics', { method: 'GET' })
  return Number(/^webhook_ingest_in_flight (\d+)$/m.exec(text)?.[1])
}
const up = { http: 200, status: 'ok', redis: 'ok' }
const degraded = { http: 200, status: 'degraded', redis: 'disconnected' }

/** The ids in the stream, sorted; duplicates stay visible. */
async function streamIds(client: Redis): Promise<string[]> {
  return (await storedEvents(client)).map(({ id }) => id).sort()
}

describe('without Redis', () => {
  it('events go to the spool and are answered 202, then to the stream when Redis is back, each once', () =>
    gateway(async (running) => {
      const { port } = running
      const before = await sendGithub(port, 'before')
      await redis.server.kill('SIGKILL')
      await expect.poll(() => ready(port), POLL).toEqual(degraded)

      const during = await Promise.all(
        Array.from({ length: 50 }, (_, i) => sendGithub(port, `during-${i}`, `{"i":${i}}`)),
      )
      expect(during.map(({ status }) => status)).toEqual(new Array(50).fill(202))
      const repeated = await sendGithub(port, 'during-0', '{"i":0}')
      expect(repeated.status).toBe(202)
      expect(repeated.json.event_id).toBe(during[0]?.json.event_id)
      expect(running.spool?.records).toBe(51)

      await redis.server.restart()
      await drained(running)
      await expect.poll(() => ready(port), POLL).toEqual(up)
      const client = redis.client()
      const ids = [before, ...during].map(({ json }) => json.event_id as string)
      expect(await streamIds(client)).toEqual(ids.sort())
      // Oldest first.
      const order = (await storedEvents(client)).map(({ body }) => body.toString()).slice(1)
      expect(order).toEqual(Array.from({ length: 50 }, (_, i) => `{"i":${i}}`))

      const redelivered = await Promise.all(
        Array.from({ length: 50 }, (_, i) => sendGithub(port, `during-${i}`, `{"i":${i}}`)),
      )
      expect(redelivered.map(({ status }) => status)).toEqual(new Array(50).fill(200))
      expect(redelivered.map(({ json }) => json.event_id)).toEqual(during.map(({ json }) => json.event_id))
      expect(await running.counter('webhook_spooled_total', 'reason=redis_down')).toBe(51)
      // Counted once the journal has forgotten them.
      await expect
        .poll(() => running.counter('webhook_spool_drained_total', 'outcome=known'), { timeout: 10_000 })
        .toBe(1)
      expect(await running.counter('webhook_spool_drained_total', 'outcome=accepted')).toBe(50)
      expect(await running.counter('webhook_loss_detected_total')).toBe(0)
    }))

  it('nobody waits: an event is in the spool long before a command would time out', () =>
    gateway(
      async ({ port }) => {
        await redis.server.kill('SIGKILL')
        await expect.poll(() => ready(port), POLL).toEqual(degraded)
        const startedAt = performance.now()
        for (let i = 0; i < 20; i++) expect((await sendGithub(port, `d-${i}`)).status).toBe(202)
        expect(performance.now() - startedAt).toBeLessThan(5_000)
      },
      { 'redis.command_timeout': '20s', 'ingest.admission_budget': '20s' },
    ))

  it('a gateway starts, takes events, and brings them in when Redis comes', async () => {
    const url = redis.url
    await redis.server.kill('SIGKILL')
    await withGateway({ redisUrl: url, settings: QUICK }, async (running) => {
      expect(await ready(running.port)).toEqual(degraded)
      const { status, json } = await sendGithub(running.port, 'early')
      expect(status).toBe(202)
      await redis.server.restart()
      await drained(running)
      const client = redis.client()
      expect(await streamIds(client)).toEqual([json.event_id])
      await expect.poll(() => client.xinfo('GROUPS', 'webhook-events'), POLL).toHaveLength(1)
      const [group] = (await client.xinfo('GROUPS', 'webhook-events')) as string[][]
      expect(group).toContain('webhook-processors')
      expect(group?.[group.indexOf('last-delivered-id') + 1]).toBe('0-0')
    })
  })

  it('and without a spool, the answer is 503 with Retry-After, and the gateway is not ready', () =>
    gateway(
      async (running) => {
        await redis.server.kill('SIGKILL')
        const lost = { http: 503, status: 'degraded', redis: 'disconnected' }
        await expect.poll(() => ready(running.port), POLL).toEqual(lost)
        const answer = await sendGithub(running.port, 'd-1')
        expect(answer.status).toBe(503)
        expect(answer.headers['retry-after']).toMatch(/^\d+$/)
        expect(answer.json).toMatchObject({ code: 'UNAVAILABLE' })
        await redis.server.restart()
        await expect.poll(() => ready(running.port), POLL).toEqual(up)
        expect((await sendGithub(running.port, 'd-1')).status).toBe(202)
      },
      { 'ingest.spool.enabled': false },
    ))

  it('without a spool no metric says that it would not take events', () =>
    gateway(
      async ({ port }) => {
        const metrics = async () => (await send(port, '/metrics', { method: 'GET' })).text
        expect(await metrics()).toMatch(/^webhook_spool_accepting Nan$/m)
      },
      { 'ingest.spool.enabled': false },
    ))

  it('senders that try again by themselves get 503 where the spool is for the others', () =>
    gateway(
      async ({ port }) => {
        await redis.server.kill('SIGKILL')
        await expect.poll(() => ready(port), POLL).toEqual(degraded)
        const alert = '{"groupKey":"g","status":"firing","alerts":[]}'
        const answer = await send(port, '/webhook', {
          headers: ['Content-Type', 'application/json'],
          body: alert,
        })
        expect(answer.status).toBe(503)
        expect(answer.headers['retry-after']).toMatch(/^\d+$/)
        expect((await sendGithub(port, 'd-1')).status).toBe(202)
      },
      { 'ingest.spool.for': 'never-retrying', 'tools.alertmanager.signature': 'none' },
    ))

  it('a full spool is 503, and what is in it is drained all the same', () =>
    gateway(
      async (running) => {
        await redis.server.kill('SIGKILL')
        await expect.poll(() => ready(running.port), POLL).toEqual(degraded)
        // Bytes that zstd cannot make smaller.
        const { randomBytes } = await import('node:crypto')
        const statuses: number[] = []
        for (let i = 0; i < 6; i++)
          statuses.push((await sendGithub(running.port, `d-${i}`, randomBytes(300_000))).status)
        expect(statuses).toEqual([202, 202, 202, 503, 503, 503])
        expect(await ready(running.port)).toEqual({ ...degraded, http: 503 })
        await redis.server.restart()
        await drained(running)
        expect(await storedEvents(redis.client())).toHaveLength(3)
        expect(await running.counter('webhook_spool_refused_total', 'reason=full')).toBe(3)
      },
      { 'ingest.spool.max_bytes': '1MiB', 'ingest.spool.segment_bytes': '64KiB' },
    ))

  it('a record of the spool that cannot be read is set aside and blocks nothing', () =>
    gateway(async (running) => {
      await redis.server.kill('SIGKILL')
      await expect.poll(() => ready(running.port), POLL).toEqual(degraded)
      const first = await sendGithub(running.port, 'first')
      await running.spool?.append(Buffer.from('not a record'))
      const last = await sendGithub(running.port, 'last')
      await redis.server.restart()
      await drained(running)
      const { directory } = running.config.webhook.ingest.spool
      const aside = readdirSync(directory).filter((name) => name.startsWith('rejected-'))
      expect(aside).toHaveLength(1)
      expect(await streamIds(redis.client())).toEqual([first.json.event_id, last.json.event_id].sort())
      expect(running.log).toContainEqual(
        expect.objectContaining({ event: 'spool_rejected', code: 'RECORD_CORRUPT' }),
      )
      expect(await running.counter('webhook_faults_total', 'code=RECORD_CORRUPT')).toBe(1)
    }))

  it('what a killed gateway left in its spool is brought in by the next one', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'weir-left-'))
    const url = redis.url
    await redis.server.kill('SIGKILL')
    const options = { redisUrl: url, settings: QUICK, directory }
    const left = await withGateway({ ...options, name: 'first' }, async ({ port }) => sendGithub(port, 'd-1'))
    await redis.server.restart()
    const client = redis.client()
    await client.hset('{webhook-events}:gateways', 'first', '{"spooled":1,"at":0}')
    await withGateway({ ...options, name: 'second' }, async (running) => {
      await drained(running)
      expect(await streamIds(client)).toEqual([left.json.event_id])
      // The report of the one before would count the same events twice.
      await expect.poll(() => client.hkeys('{webhook-events}:gateways'), POLL).toEqual(['second'])
    })
    expect(await client.hkeys('{webhook-events}:gateways')).toEqual([])
    rmSync(directory, { recursive: true, force: true })
  })
})

describe('with a Redis that is', () => {
  it('out of memory, events go to the spool until there is room', () =>
    gateway(async (running) => {
      const client = redis.client()
      expect((await sendGithub(running.port, 'before')).status).toBe(202)
      await client.config('SET', 'maxmemory', '1mb')
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, i) => sendGithub(running.port, `d-${i}`)),
      )
      expect(answers.map(({ status }) => status)).toEqual(new Array(20).fill(202))
      expect(running.spool?.records).toBe(20)
      expect(await running.counter('webhook_spooled_total', 'reason=redis_out_of_memory')).toBe(20)
      await client.config('SET', 'maxmemory', '0')
      await drained(running)
      expect(await storedEvents(client)).toHaveLength(21)
    }))

  it('paused for less than the budget, the events are answered 202 and are there once', () =>
    gateway(
      async (running) => {
        expect((await sendGithub(running.port, 'before')).status).toBe(202)
        await redis.server.kill('SIGSTOP')
        const answers = Promise.all(
          Array.from({ length: 10 }, (_, i) => sendGithub(running.port, `d-${i}`, `{"i":${i}}`)),
        )
        await expect.poll(() => inFlight(running.port), POLL).toBe(10)
        // Counted where the first attempt of an event has no answer.
        const unanswered = () => running.counter('webhook_rate_limit_redis_errors_total')
        await expect.poll(unanswered, POLL).toBe(10)
        await redis.server.kill('SIGCONT')
        expect((await answers).map(({ status }) => status)).toEqual(new Array(10).fill(202))
        const ids = await streamIds(redis.client())
        expect(ids).toHaveLength(11)
        expect(new Set(ids).size).toBe(11)
        expect(await running.counter('webhook_admission_unknown_total', 'end=retried')).toBe(10)
        expect(running.spool?.records).toBe(0)
      },
      // Time enough for all to be under way before the first counts as unknown.
      { 'redis.command_timeout': '1s', 'ingest.admission_budget': '60s' },
    ))

  it('stopped in its tracks, the events go to the spool, and are there once when it goes on', () =>
    gateway(async (running) => {
      const client = redis.client()
      expect((await sendGithub(running.port, 'before')).status).toBe(202)
      await redis.server.kill('SIGSTOP')
      // These reach the server's socket, and it will carry them out when it goes on: nobody knows yet.
      const unknown = await Promise.all(
        Array.from({ length: 10 }, (_, i) => sendGithub(running.port, `u-${i}`, `{"i":${i}}`)),
      )
      const later = await Promise.all(
        Array.from({ length: 10 }, (_, i) => sendGithub(running.port, `l-${i}`, `{"i":${i}}`)),
      )
      const answers = [...unknown, ...later]
      expect(answers.map(({ status }) => status)).toEqual(new Array(20).fill(202))
      expect(await running.counter('webhook_spooled_total', 'reason=redis_unknown')).toBe(10)
      expect(await running.counter('webhook_spooled_total', 'reason=redis_down')).toBe(10)
      expect(await ready(running.port)).toEqual(degraded)
      await redis.server.kill('SIGCONT')
      await drained(running)
      await expect.poll(() => ready(running.port), POLL).toEqual(up)
      const ids = await streamIds(client)
      expect(new Set(ids).size).toBe(21)
      expect(ids).toHaveLength(21)
      for (const { json } of answers) expect(ids).toContain(json.event_id)
    }))

  it('killed in the middle of load, every event that was answered 202 is there, and none twice', () =>
    gateway(async (running) => {
      const { port } = running
      const accepted: string[] = []
      let sent = 0
      const sender = async (): Promise<void> => {
        while (sent < 600) {
          const answer = await sendGithub(port, `load-${sent++}`, `{"n":${sent}}`)
          expect(answer.status).toBe(202)
          accepted.push(answer.json.event_id as string)
        }
      }
      const load = Promise.all(Array.from({ length: 8 }, sender))
      await expect.poll(() => accepted.length, POLL).toBeGreaterThan(100)
      await redis.server.kill('SIGKILL')
      await expect.poll(() => accepted.length, POLL).toBeGreaterThan(300)
      await redis.server.restart()
      await load
      await drained(running)
      expect(await streamIds(redis.client())).toEqual(accepted.sort())
      expect(await running.counter('webhook_loss_detected_total')).toBe(0)
    }))

  it('without its scripts, they are sent again', () =>
    gateway(async ({ port }) => {
      const client = redis.client()
      expect((await sendGithub(port, 'd-1')).status).toBe(202)
      await client.script('FLUSH')
      expect((await sendGithub(port, 'd-2')).status).toBe(202)
      expect((await sendGithub(port, 'd-1')).status).toBe(200)
      expect(await storedEvents(client)).toHaveLength(2)
    }))

  it('too slow for what comes in, the rest goes to the spool instead of waiting in a queue', () =>
    gateway(
      async (running) => {
        const client = redis.client()
        expect((await sendGithub(running.port, 'before')).status).toBe(202)
        await client.client('PAUSE', 600, 'ALL')
        const answers = await Promise.all(
          Array.from({ length: 10 }, (_, i) => sendGithub(running.port, `d-${i}`)),
        )
        expect(answers.map(({ status }) => status)).toEqual(new Array(10).fill(202))
        expect(await running.counter('webhook_spooled_total', 'reason=overload')).toBe(7)
        await drained(running)
        expect(await storedEvents(client)).toHaveLength(11)
      },
      { 'ingest.max_in_flight': 3, 'redis.command_timeout': '5s' },
    ))

  it('failing in a way that nobody foresaw, the event is safe in the spool, and the log says what happened', () =>
    gateway(async (running) => {
      const client = redis.client()
      await client.del('webhook-events')
      await client.set('webhook-events', 'somebody overwrote it')
      expect((await sendGithub(running.port, 'd-1')).status).toBe(202)
      expect(running.spool?.records).toBe(1)
      expect(running.log).toContainEqual(expect.objectContaining({ event: 'admission_failed', level: 50 }))
      await client.del('webhook-events')
      await drained(running)
      expect(await storedEvents(client)).toHaveLength(1)
    }))

  it('ready to evict is warned about, and refused in production', () =>
    withRedis(
      async (_client, server) => {
        await withGateway({ redisUrl: server.url, settings: QUICK }, async (running) => {
          expect((await sendGithub(running.port, 'd-1')).status).toBe(202)
          expect(running.log).toContainEqual(
            expect.objectContaining({
              level: 40,
              msg: expect.stringContaining('maxmemory-policy allkeys-lru'),
            }),
          )
        })
        const production = {
          NODE_ENV: 'production',
          OPS_TOKEN: 'a-token-for-tests',
          JIRA_WEBHOOK_SECRET: 'x',
        }
        const start = withGateway(
          { redisUrl: server.url, env: production, settings: QUICK },
          async () => undefined,
        )
        await expect(start).rejects.toMatchObject({
          code: 'REDIS_UNSUITABLE',
          message: expect.stringMatching(/noeviction/),
        })
      },
      { args: ['--maxmemory-policy', 'allkeys-lru'] },
    ))
})

describe('when Redis comes back set back', () => {
  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'weir-loss-'))
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  const setBack = (use: (running: TestGateway, server: RedisServer, client: Redis) => Promise<void>) => {
    const data = join(directory, 'redis')
    return withRedis(
      (client, server) =>
        withGateway({ redisUrl: server.url, settings: QUICK }, (running) => use(running, server, client)),
      { directory: data },
    )
  }

  it('the loss is detected, told, and what it took is offered again under the same ids', () =>
    setBack(async (running, server, client) => {
      const { port } = running
      const kept = await Promise.all(
        Array.from({ length: 5 }, (_, i) => sendGithub(port, `kept-${i}`, `{"k":${i}}`)),
      )
      const copy = join(directory, 'copy')
      cpSync(server.directory, copy, { recursive: true })
      const lost = await Promise.all(
        Array.from({ length: 150 }, (_, i) => sendGithub(port, `lost-${i}`, `{"l":${i}}`)),
      )
      await server.kill('SIGKILL')
      rmSync(server.directory, { recursive: true })
      cpSync(copy, server.directory, { recursive: true })
      await server.restart()

      await expect.poll(() => running.counter('webhook_reoffered_total', 'outcome=accepted'), POLL).toBe(150)
      expect(await running.counter('webhook_loss_detected_total')).toBe(1)
      expect(running.log).toContainEqual(
        expect.objectContaining({
          level: 50,
          event: 'loss',
          held: 150,
          from: expect.stringMatching(/^\d+-\d+$/),
          to: expect.stringMatching(/^\d+-\d+$/),
        }),
      )
      const ids = [...kept, ...lost].map(({ json }) => json.event_id as string)
      await expect.poll(() => streamIds(client), POLL).toEqual(ids.sort())

      // Told once: another reconnect finds everything in its place.
      await server.restart()
      await expect.poll(() => ready(port), POLL).toEqual(up)
      expect((await sendGithub(port, 'after')).status).toBe(202)
      await expect.poll(() => storedEvents(client).then((all) => all.length), POLL).toBe(156)
      expect(await running.counter('webhook_loss_detected_total')).toBe(1)
    }))

  it('emptied, all that is still held is offered again, and the dictionaries are published again', () =>
    setBack(async (running, server, client) => {
      const sent = await Promise.all(
        Array.from({ length: 20 }, (_, i) => sendGithub(running.port, `d-${i}`, `{"i":${i}}`)),
      )
      const published = () => client.keys('{webhook-events}:dictionary:*').then((keys) => keys.length)
      const all = loadBundledDictionaries().size
      await expect.poll(published, POLL).toBe(all)
      await client.flushall()
      await server.restart('SIGKILL')
      const ids = sent.map(({ json }) => json.event_id as string).sort()
      await expect.poll(() => streamIds(client), POLL).toEqual(ids)
      await expect.poll(published, POLL).toBe(all)
      expect(await running.counter('webhook_loss_detected_total')).toBe(1)
    }))

  it('only without what was trimmed, there is no loss', () =>
    setBack(async (running, server, client) => {
      for (let i = 0; i < 10; i++) expect((await sendGithub(running.port, `d-${i}`)).status).toBe(202)
      await client.xtrim('webhook-events', 'MAXLEN', 0)
      await server.restart()
      await expect.poll(() => ready(running.port), POLL).toEqual(up)
      expect((await sendGithub(running.port, 'after')).status).toBe(202)
      await expect
        .poll(() => running.log.filter(({ event }) => event === 'redis').length, POLL)
        .toBeGreaterThan(1)
      expect(await storedEvents(client)).toHaveLength(1)
      expect(await running.counter('webhook_loss_detected_total')).toBe(0)
    }))
})
