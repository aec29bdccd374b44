import { createHealthReporter } from '@weir/core/health/reports'
import { reportBreaker } from '@weir/core/stream/breaker'
import { describe, expect, it } from 'vitest'
import { type TestPipeline, usePipeline } from '../../../tests/support/pipeline.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { useApi } from './server.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const openPipeline = usePipeline(redis)
const serve = useApi()

interface Shown {
  readonly status: string
  readonly checks: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

type Options = NonNullable<Parameters<typeof serve>[1]>

async function open(options: Options = {}) {
  const pipeline = await openPipeline()
  const { get } = await serve(pipeline.view, options)
  const health = async () => {
    const answer = await get('/health/webhook')
    return { http: answer.status, ...(answer.json() as Shown) }
  }
  return { pipeline, health }
}

/** As a process of this name would report; after so long. */
async function report(
  { link, keys, now }: TestPipeline,
  name: string,
  component: string,
  checks: object,
  ageMs = 0,
) {
  await link.call(
    'HSET',
    keys.health,
    name,
    `${(await now()) - ageMs} ${JSON.stringify({ component, checks })}`,
  )
}
async function consumer({ link, keys, now }: TestPipeline, name: string) {
  await link.call(
    'HSET',
    keys.consumers,
    name,
    JSON.stringify({ at: await now(), held: 2, running: 1, metrics: [] }),
  )
}

const SPOOL = { state: 'ok', age_ms: 0, accepting: true, records: 0, bytes: 0, oldest_age_ms: 0 }
const COLD = { state: 'ok', age_ms: 900, breaker: 'closed', kind: 's3' }
const SWEEP = { state: 'ok', age_ms: 400 }

async function allThere(pipeline: TestPipeline) {
  await consumer(pipeline, 'consumer-1')
  await report(pipeline, 'gateway-1', 'gateway', { spool: SPOOL })
  await report(pipeline, 'curator-1', 'curator', { sweep: SWEEP, cold_storage: COLD })
}

describe('GET /health/webhook', () => {
  it('tells each part with its state and age, and that all is well', async () => {
    const { pipeline, health } = await open()
    await allThere(pipeline)
    const { http, status, checks } = await health()
    expect({ http, status }).toEqual({ http: 200, status: 'ok' })
    expect(checks).toEqual({
      redis: { state: 'ok', age_ms: 0 },
      lag: {
        state: 'ok',
        age_ms: 0,
        messages: 0,
        unread: 0,
        pending: 0,
        parked: 0,
        oldest_unread_ms: 0,
        oldest_pending_ms: 0,
        clock_behind_ms: 0,
      },
      ledger: expect.objectContaining({ state: 'ok', verdict: 'balanced', unaccounted: 0 }),
      breakers: { state: 'ok', age_ms: 0, open: [], half_open: [] },
      consumers: { state: 'ok', age_ms: 0, alive: 1, held: 2, running: 1 },
      gateways: { state: 'ok', age_ms: expect.any(Number), alive: 1 },
      curators: {
        state: 'ok',
        age_ms: expect.any(Number),
        alive: 1,
        last_sweep_ms: expect.any(Number),
      },
      spool: {
        state: 'ok',
        age_ms: expect.any(Number),
        accepting: true,
        gateways: 1,
        records: 0,
        bytes: 0,
        oldest_age_ms: 0,
      },
      cold_storage: {
        state: 'ok',
        age_ms: expect.any(Number),
        breaker: 'closed',
        kind: 's3',
        seen_by: 'curator-1',
      },
      ai: { state: 'ok', age_ms: 0, providers: ['local'], seen_by: 'console' },
    })
    expect(checks.cold_storage?.age_ms).toBeGreaterThanOrEqual(900)
    expect(checks.curators?.last_sweep_ms).toBeGreaterThanOrEqual(400)
  })

  it('says unknown of what nobody has seen, and that is no trouble', async () => {
    const { pipeline, health } = await open()
    await consumer(pipeline, 'consumer-1')
    await report(pipeline, 'gateway-1', 'gateway', { spool: SPOOL })
    const unseen = { ...COLD, state: 'unknown', age_ms: null }
    const sweep = { state: 'unknown', age_ms: null }
    await report(pipeline, 'curator-1', 'curator', { sweep, cold_storage: unseen })
    const { status, checks } = await health()
    expect(status).toBe('ok')
    expect(checks.cold_storage).toMatchObject({ state: 'unknown', age_ms: null, seen_by: null })
    expect(checks.curators).toMatchObject({ state: 'ok', last_sweep_ms: null })
  })

  it('misses who is not there: without gateway and curator it is degraded, without consumer too', async () => {
    const { pipeline, health } = await open()
    const { http, status, checks } = await health()
    expect({ http, status }).toEqual({ http: 200, status: 'degraded' })
    for (const name of ['consumers', 'gateways', 'curators'])
      expect(checks[name]).toMatchObject({ state: 'degraded', alive: 0, detail: expect.any(String) })
    expect(checks.spool).toMatchObject({ state: 'unknown', age_ms: null })
    await report(pipeline, 'gateway-dead', 'gateway', { spool: SPOOL }, 60_000)
    expect((await health()).checks.gateways).toMatchObject({ state: 'degraded', alive: 0 })
  })

  it('fails when events wait and no consumer runs', async () => {
    const { pipeline, health } = await open()
    await report(pipeline, 'gateway-1', 'gateway', { spool: SPOOL })
    await pipeline.accept()
    expect(await health()).toMatchObject({
      http: 503,
      status: 'failing',
      checks: { consumers: { state: 'failing' }, lag: { messages: 1 } },
    })
  })

  it('fails when events are missing', async () => {
    const { pipeline, health } = await open()
    await allThere(pipeline)
    await pipeline.accept()
    await pipeline.link.call('HSET', pipeline.keys.witness, 'gateway-1', `${Date.now() + 60_000}-0`)
    expect(await health()).toMatchObject({
      http: 503,
      status: 'failing',
      checks: { ledger: { state: 'failing', verdict: 'loss' } },
    })
  })

  it('shows the worst spool of all gateways, and what waits in all of them', async () => {
    const { pipeline, health } = await open()
    await allThere(pipeline)
    const used = { ...SPOOL, state: 'degraded', detail: 'events wait for Redis', records: 3, bytes: 300 }
    await report(pipeline, 'gateway-2', 'gateway', { spool: { ...used, oldest_age_ms: 5_000 } })
    const full = { ...used, state: 'failing', detail: 'full', accepting: false, oldest_age_ms: 9_000 }
    await report(pipeline, 'gateway-3', 'gateway', { spool: full })
    const { status, checks } = await health()
    expect(status).toBe('degraded')
    expect(checks.spool).toMatchObject({
      state: 'failing',
      detail: 'full',
      accepting: false,
      gateways: 3,
      records: 6,
      bytes: 600,
      oldest_age_ms: 9_000,
    })
  })

  it('shows of cold storage and providers what was seen last, by whomever', async () => {
    const ownAi = { state: 'degraded', age_ms: 100, detail: 'embedding: AI_UNAVAILABLE' } as const
    const { pipeline, health } = await open({
      own: { cold_storage: { state: 'ok', age_ms: 50_000, breaker: 'closed', kind: 's3' }, ai: ownAi },
    })
    await allThere(pipeline)
    const failing = { ...COLD, state: 'failing', breaker: 'open', age_ms: 20_000, detail: 'put: unavailable' }
    const ai = { state: 'ok', age_ms: 10_000, providers: ['openai'] }
    await report(pipeline, 'curator-1', 'curator', { sweep: SWEEP, cold_storage: failing, ai })
    const { status, checks } = await health()
    expect(status).toBe('degraded')
    expect(checks.cold_storage).toMatchObject({ state: 'failing', breaker: 'open', seen_by: 'curator-1' })
    expect(checks.ai).toMatchObject({ state: 'degraded', age_ms: 100, seen_by: 'console' })
  })

  it('names the tools whose breakers are open, and a sweep that failed', async () => {
    const { pipeline, health } = await open()
    await allThere(pipeline)
    const { link, keys } = pipeline
    const settings = { failureThreshold: 1, openDurationMs: 60_000, probeLeaseMs: 1 }
    await reportBreaker(link, keys, 'jira', settings, 1, false)
    await report(pipeline, 'curator-1', 'curator', {
      sweep: { state: 'degraded', age_ms: 100, detail: 'COLD_UNAVAILABLE' },
    })
    expect(await health()).toMatchObject({
      http: 200,
      status: 'degraded',
      checks: {
        breakers: { state: 'degraded', open: ['jira'] },
        curators: { state: 'degraded', detail: 'the last sweep: COLD_UNAVAILABLE' },
      },
    })
  })

  it('without Redis fails, knows nothing of the rest, and still tells what it saw itself', async () => {
    const { pipeline, health } = await open({
      own: {
        cold_storage: { state: 'ok', age_ms: 70, breaker: 'closed', kind: 's3' },
        ai: { state: 'off', age_ms: null },
      },
    })
    await allThere(pipeline)
    await redis.server.kill('SIGKILL')
    await expect.poll(() => pipeline.link.connected).toBe(false)
    const { http, status, checks } = await health()
    expect({ http, status }).toEqual({ http: 503, status: 'failing' })
    expect(checks.redis).toMatchObject({ state: 'failing', detail: expect.any(String) })
    for (const name of ['lag', 'ledger', 'breakers', 'consumers', 'gateways', 'curators', 'spool'])
      expect(checks[name]).toEqual({ state: 'unknown', age_ms: null, detail: 'Redis does not answer' })
    expect(checks.cold_storage).toMatchObject({ state: 'ok', age_ms: 70 })
    expect(checks.ai).toMatchObject({ state: 'off' })
    await redis.server.restart()
    await expect.poll(async () => (await health()).checks.redis?.state).toBe('ok')
  })

  it('leaves no fact out that a process reports', async () => {
    const { pipeline, health } = await open()
    await consumer(pipeline, 'consumer-1')
    const { link, keys } = pipeline
    const pause = Promise.withResolvers<void>()
    const reporter = createHealthReporter({
      link,
      key: keys.health,
      name: 'curator-1',
      component: 'curator',
      checks: () => ({
        sweep: { state: 'ok', age_ms: 0 },
        cold_storage: { state: 'degraded', age_ms: 0, detail: 'put: refused', breaker: 'closed', kind: 's3' },
        ai: { state: 'degraded', age_ms: 0, detail: 'summary: X', breaker: 'open', providers: ['openai'] },
      }),
      clock: { wait: () => pause.promise },
      onTrouble: (reason) => expect.unreachable(reason),
    })
    reporter.start()
    await expect.poll(async () => (await health()).checks.curators?.alive).toBe(1)
    const { checks } = await health()
    expect(checks.cold_storage).toMatchObject({ detail: 'put: refused', breaker: 'closed', kind: 's3' })
    expect(checks.ai).toMatchObject({ providers: ['local'], seen_by: 'console' })
    pause.resolve()
    await reporter.stop()
  })
})
