import { readFileSync } from 'node:fs'
import { reportBreaker } from '@weir/core/stream/breaker'
import { reportGateway } from '@weir/core/stream/ledger'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { type TestPipeline, usePipeline } from '../../../tests/support/pipeline.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { createMetricsCollector, LEDGER_GAUGES } from './metrics.ts'
import { useApi } from './server.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const openPipeline = usePipeline(redis)
const serve = useApi()

/** The API on an empty pipeline. */
async function open() {
  const pipeline = await openPipeline()
  return { pipeline, ...(await serve(pipeline.view)) }
}

/** Somebody else deletes from the stream: then Redis no longer knows what is unread. */
async function makeLagUnknown(pipeline: TestPipeline): Promise<void> {
  for (let i = 0; i < 3; i++) await pipeline.accept()
  await pipeline.read('consumer-1', 1)
  const [last] = (await pipeline.link.call('XREVRANGE', pipeline.keys.stream, '+', '-', 'COUNT', 1)) as [
    [Buffer],
  ]
  await pipeline.link.call('XDEL', pipeline.keys.stream, String(last[0]))
}

/** The samples of a Prometheus text: name with labels → value. Throws for a line that is none. */
function parseMetrics(text: string): Map<string, number> {
  const samples = new Map<string, number>()
  const declared = new Set<string>()
  for (const line of text.split('\n')) {
    if (line === '') continue
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) .+$/.exec(line)
    if (comment) {
      if (comment[1] === 'TYPE' && declared.has(comment[2]!)) throw new Error(`declared twice: ${line}`)
      if (comment[1] === 'TYPE') declared.add(comment[2]!)
      continue
    }
    const sample = /^([a-zA-Z_:][\w:]*(?:\{(?:[a-zA-Z_]\w*="[^"]*",?)*\})?) (\S+)$/.exec(line)
    if (!sample) throw new Error(`not Prometheus text: ${line}`)
    if (samples.has(sample[1]!)) throw new Error(`measured twice: ${line}`)
    samples.set(sample[1]!, Number(sample[2]))
  }
  return samples
}

/** What a consumer publishes. */
async function snapshot(settled: number, held: number): Promise<unknown[]> {
  const registers = [new Registry()]
  new Counter({ name: 'webhook_events_settled_total', help: 'settled', labelNames: ['tool'], registers }).inc(
    { tool: 'github' },
    settled,
  )
  new Gauge({ name: 'webhook_consumer_held', help: 'held', registers }).set(held)
  new Gauge({
    name: 'webhook_circuit_breaker_state',
    help: 'its own view',
    labelNames: ['tool_id'],
    registers,
  }).set({ tool_id: 'github' }, 2)
  new Histogram({
    name: 'webhook_event_processing_duration_seconds',
    help: 'time',
    buckets: [1, 5],
    registers,
  }).observe(settled)
  return JSON.parse(JSON.stringify(await registers[0]!.getMetricsAsJSON())) as unknown[]
}

describe('GET /metrics', () => {
  it('adds up the living consumers and measures the ledger', async () => {
    const { get, pipeline } = await open()
    const { link, keys } = pipeline
    for (let i = 0; i < 6; i++) await pipeline.accept()
    const [settled, parked, dead] = await pipeline.read('consumer-1', 5)
    await pipeline.settle(settled!)
    await pipeline.park(parked!)
    await pipeline.bury(dead!)
    const at = await pipeline.now()
    const publish = async (name: string, when: number, metrics: unknown) =>
      link.call('HSET', keys.consumers, name, JSON.stringify({ at: when, held: 0, running: 0, metrics }))
    await publish('one', at, await snapshot(3, 1))
    await publish('two', at, await snapshot(4, 2))
    await publish('dead', at - 61_000, await snapshot(1000, 1000))
    await publish('foreign', at, [{ name: 'x', aggregator: 'none of ours', values: [] }])
    await reportBreaker(
      link,
      keys,
      'github',
      { failureThreshold: 1, openDurationMs: 60_000, probeLeaseMs: 1 },
      1,
      false,
    )
    await reportGateway(link, keys, 'gateway-1', '', { spooled: 5, at })

    const answer = await get('/metrics')
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
    const samples = parseMetrics(answer.text)
    expect(Object.fromEntries(samples)).toMatchObject({
      webhook_consumer_lag_messages: 4,
      webhook_consumer_lag_known: 1,
      webhook_unread_messages: 1,
      webhook_pending_messages: 2,
      webhook_parked_messages: 1,
      webhook_dead_letters: 1,
      'webhook_dead_letters_by_tool{tool="github"}': 1,
      'webhook_dead_letters_by_tool{tool="jira"}': 0,
      'webhook_dead_letters_by_tool{tool="unknown"}': 0,
      webhook_unaccounted_events: 0,
      webhook_spooled_events: 5,
      webhook_loss_witness: 0,
      webhook_redis_clock_behind_seconds: 0,
      'webhook_circuit_breaker_state{tool_id="github"}': 1,
      'webhook_circuit_breaker_state{tool_id="jira"}': 0,
      'webhook_events_settled_total{tool="github"}': 7,
      webhook_consumer_held: 3,
      'webhook_event_processing_duration_seconds_bucket{le="5"}': 2,
      webhook_event_processing_duration_seconds_count: 2,
      webhook_event_processing_duration_seconds_sum: 7,
    })
    expect(samples.get('webhook_oldest_unread_seconds')).toBeGreaterThanOrEqual(0)
    expect(samples.get('webhook_oldest_pending_seconds')).toBeGreaterThanOrEqual(0)
    const server = `server="127.0.0.1:${new URL(redis.url).port}"`
    expect(samples.get(`webhook_redis_used_memory_bytes{${server}}`)).toBeGreaterThan(100_000)
    expect(samples.get(`webhook_redis_max_memory_bytes{${server}}`)).toBe(0)
    for (const name of Object.keys(LEDGER_GAUGES)) expect(answer.text).toContain(`# TYPE ${name} gauge`)
  })

  it('tells how old the oldest parked event and the oldest dead letter are, and 0 where there is none', async () => {
    const { get, pipeline } = await open()
    const ages = async () => {
      const samples = parseMetrics((await get('/metrics')).text)
      return ['parked', 'dead_letter'].map((what) => samples.get(`webhook_oldest_${what}_seconds`))
    }
    expect(await ages()).toEqual([0, 0])
    const { link, keys } = pipeline
    const at = await pipeline.now()
    await link.call('ZADD', keys.parkedDue, at + 60_000, `${at - 90_000}-0`)
    await link.call('XADD', keys.deadLetters, `${at - 30_000}-0`, 'id', 'x')
    const [parked, dead] = await ages()
    expect(parked).toBeGreaterThanOrEqual(90)
    expect(parked).toBeLessThan(150)
    expect(dead).toBeGreaterThanOrEqual(30)
    expect(dead).toBeLessThan(90)
  })

  it('answers without Redis: that nobody knows the lag, never that it is 0; sums do not fall', async () => {
    const { get, pipeline } = await open()
    const { link, keys } = pipeline
    await pipeline.accept()
    const report = { at: await pipeline.now(), held: 0, running: 0, metrics: await snapshot(7, 3) }
    await link.call('HSET', keys.consumers, 'one', JSON.stringify(report))
    expect(parseMetrics((await get('/metrics')).text).get('webhook_consumer_lag_known')).toBe(1)
    await redis.server.kill('SIGKILL')
    await expect.poll(() => link.connected).toBe(false)
    const answer = await get('/metrics')
    expect(answer.status).toBe(200)
    expect(Object.fromEntries(parseMetrics(answer.text))).toEqual({
      webhook_consumer_lag_known: 0,
      'webhook_events_settled_total{tool="github"}': 7,
      'webhook_event_processing_duration_seconds_bucket{le="1"}': 0,
      'webhook_event_processing_duration_seconds_bucket{le="5"}': 0,
      'webhook_event_processing_duration_seconds_bucket{le="+Inf"}': 1,
      webhook_event_processing_duration_seconds_sum: 7,
      webhook_event_processing_duration_seconds_count: 1,
    })
    await redis.server.restart()
    await expect.poll(() => link.connected).toBe(true)
    await expect
      .poll(async () => parseMetrics((await get('/metrics')).text).get('webhook_consumer_lag_messages'))
      .toBe(1)
  })

  it('is not there where nothing is measured', async () => {
    const { get } = await serve((await openPipeline()).view, { measures: false })
    expect((await get('/metrics')).json()).toMatchObject({ code: 'ROUTE_UNKNOWN' })
    expect((await get('/stats')).status).toBe(200)
  })

  it('adds what the process measures of itself; what it pushes is without the sums of consumers', async () => {
    const pipeline = await openPipeline()
    const { link, keys } = pipeline
    const own = new Registry()
    new Gauge({ name: 'process_own', help: 'own', registers: [own] }).set(5)
    const report = { at: await pipeline.now(), held: 0, running: 0, metrics: await snapshot(7, 3) }
    await link.call('HSET', keys.consumers, 'one', JSON.stringify(report))
    const collector = createMetricsCollector(pipeline.view, own)
    const all = parseMetrics((await collector.collect()).text)
    const pushed = parseMetrics(await collector.own.metrics())
    expect(all.get('process_own')).toBe(5)
    expect(all.has('webhook_consumer_held')).toBe(true)
    expect(pushed.get('process_own')).toBe(5)
    expect(pushed.get('webhook_consumer_lag_messages')).toBe(0)
    expect(pushed.has('webhook_consumer_held')).toBe(false)
  })

  it("says how far Redis' clock was set back", async () => {
    const { get, pipeline } = await open()
    const { link, keys } = pipeline
    const { streamId } = await pipeline.accept()
    await link.call('XSETID', keys.stream, `${Number(streamId.split('-')[0]) + 7_200_000}-0`)
    const behind = parseMetrics((await get('/metrics')).text).get('webhook_redis_clock_behind_seconds')
    expect(behind).toBeGreaterThan(7_190)
    expect(behind).toBeLessThanOrEqual(7_200)
  })

  it('keeps what a consumer had counted when it leaves, so that no sum ever falls, and drops its gauges', async () => {
    const { get, pipeline } = await open()
    const { link, keys } = pipeline
    const at = await pipeline.now()
    const publish = async (name: string, settled: number, held: number) => {
      const report = { at, held: 0, running: 0, metrics: await snapshot(settled, held) }
      await link.call('HSET', keys.consumers, name, JSON.stringify(report))
    }
    const sums = async () => {
      const samples = parseMetrics((await get('/metrics')).text)
      return {
        settled: samples.get('webhook_events_settled_total{tool="github"}'),
        observed: samples.get('webhook_event_processing_duration_seconds_count'),
        held: samples.get('webhook_consumer_held'),
      }
    }
    await publish('stays', 10, 1)
    await publish('leaves', 5, 2)
    expect(await sums()).toEqual({ settled: 15, observed: 2, held: 3 })
    await link.call('HDEL', keys.consumers, 'leaves')
    expect(await sums()).toEqual({ settled: 15, observed: 2, held: 1 })
    await publish('comes', 1, 1)
    expect(await sums()).toEqual({ settled: 16, observed: 3, held: 2 })
    await publish('leaves', 6, 2) // it had only been silent
    expect(await sums()).toEqual({ settled: 17, observed: 3, held: 4 })
    // Far more than are kept one by one.
    for (let i = 0; i < 120; i++) await publish(`short-lived-${i}`, 1, 1)
    await sums()
    for (let i = 0; i < 120; i++) await link.call('HDEL', keys.consumers, `short-lived-${i}`)
    expect(await sums()).toEqual({ settled: 137, observed: 123, held: 4 })
    expect(await Promise.all([sums(), sums()])).toMatchObject([{ settled: 137 }, { settled: 137 }])
  })

  it('leaves the lag out when it is unknown, and says so', async () => {
    const { get, pipeline } = await open()
    await makeLagUnknown(pipeline)
    const samples = parseMetrics((await get('/metrics')).text)
    expect(samples.get('webhook_consumer_lag_known')).toBe(0)
    for (const name of [
      'webhook_consumer_lag_messages',
      'webhook_unread_messages',
      'webhook_unaccounted_events',
    ]) {
      expect(samples.has(name)).toBe(false)
    }
  })

  it('raises the loss', async () => {
    const { get, pipeline } = await open()
    await reportGateway(pipeline.link, pipeline.keys, 'gateway-1', `${Date.now()}-0`, { spooled: 0, at: 0 })
    expect(parseMetrics((await get('/metrics')).text).get('webhook_loss_witness')).toBe(1)
  })
})

describe('docs/operations-api.md', () => {
  it('lists every gauge, and no other', () => {
    const page = readFileSync(new URL('../../../docs/operations-api.md', import.meta.url), 'utf8')
    const rows = [...page.matchAll(/^\| `(webhook_\w+)` \|/gm)].map(([, name]) => name)
    expect(rows).toEqual(Object.keys(LEDGER_GAUGES))
  })
})
