/** One trace of one event, over three processes and a real collector; and the pipeline when the collector is away. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { githubHeaders, SECRET, send } from './support/gateway.ts'
import { type Collector, type ReceivedSpan, startCollector, startGrpcCollector } from './support/otlp.ts'
import { root, type TestProcess } from './support/process.ts'
import { useRedis } from './support/redis.ts'
import { useProcesses } from './support/use-processes.ts'

vi.setConfig({ testTimeout: 90_000 })
const redis = useRedis({ appendfsync: 'no' })
const processes = useProcesses()
const POLL = { timeout: 30_000, interval: 50 }
const SERVER = 2
const CONSUMER = 5

let directory: string
const closing: (() => Promise<unknown>)[] = []
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-tracing-'))
})
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
  rmSync(directory, { recursive: true, force: true })
})

async function collecting(start: () => Promise<Collector>): Promise<Collector> {
  const collector = await start()
  closing.push(() => collector.close())
  return collector
}

/** The three processes that an event passes, with contexts that are enriched at once. */
function startPipeline(env: Readonly<Record<string, string>>, tracing: object = {}) {
  const file = join(directory, 'config.yaml')
  const webhook = {
    ingest: { host: '127.0.0.1', port: 0 },
    consumer: {
      ops_port: 0,
      handlers: join(root, 'tests/handlers/tell-trace.ts'),
      retry_base_delay: '10ms',
      retry_max_delay: '20ms',
    },
    context_lifecycle: { curator: { ops_port: 0 } },
    ai: { enrichment: { quiet: '1ms', max_delay: '10ms' } },
  }
  const observability = {
    tracing: { enabled: true, sampling_rate: 1, batch_delay: '100ms', ...tracing },
    logging: { level: 'debug' },
  }
  writeFileSync(file, JSON.stringify({ webhook, observability }))
  const start = (app: string) => {
    const process = processes.start(`apps/${app}/src/main.ts`, {
      cwd: directory,
      env: {
        REDIS_URL: redis.url,
        CONFIG_FILE: file,
        WEIR_DATA_DIR: join(directory, 'data'),
        GITHUB_WEBHOOK_SECRET: SECRET,
        ...env,
      },
    })
    closing.push(() => process.kill('SIGKILL'))
    return process
  }
  return { gateway: start('ingest'), consumer: start('consumer'), curator: start('curator') }
}

async function portOf(process: TestProcess): Promise<number> {
  const [line] = await process.waitForLine(/^\{.*"msg":"listening".*\}$/)
  return (JSON.parse(line) as { port: number }).port
}

function sendIssue(port: number, delivery: string, title = 'Issue') {
  const body = JSON.stringify({
    action: 'opened',
    issue: { number: 1, title, state: 'open' },
    repository: { full_name: 'acme/site' },
    sender: { login: 'alice' },
  })
  const headers = [...githubHeaders(body, delivery, 'issues'), 'X-Request-ID', `request-${delivery}`]
  return send(port, '/webhooks/github', { headers, body })
}

const linesOf = (process: TestProcess) =>
  process
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>)

const metricOf = async (process: TestProcess, sample: string) => {
  const text = await (await fetch(`http://127.0.0.1:${await portOf(process)}/metrics`)).text()
  const line = text.split('\n').find((each) => each.startsWith(`${sample} `))
  return line === undefined ? undefined : Number(line.slice(sample.length))
}

/** `app: name` of a span and, below it, of its children in the order in which they began. */
function tree(spans: readonly ReceivedSpan[], { name, spanId, resource }: ReceivedSpan, depth = 0): string[] {
  const children = spans
    .filter(({ parentId }) => parentId === spanId)
    .sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : a.name < b.name ? -1 : 1))
  return [
    `${'  '.repeat(depth)}${resource['weir.app']}: ${name}`,
    ...children.flatMap((child) => tree(spans, child, depth + 1)),
  ]
}

describe.each([
  ['HTTP', startCollector, 'http/protobuf'],
  ['gRPC', startGrpcCollector, 'grpc'],
] as const)('an event, with a collector that takes OTLP over %s', (_, start, protocol) => {
  it('is one trace from the request through stream and stages to the enrichment of its context', async () => {
    const collector = await collecting(start)
    const { gateway, consumer, curator } = startPipeline({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
      OTEL_EXPORTER_OTLP_HEADERS: 'x-api-key=of-the-collector',
      OTEL_SERVICE_NAME: 'hooks',
    })
    const port = await portOf(gateway)
    await Promise.all([portOf(consumer), portOf(curator)])
    const { json } = await sendIssue(port, 'd-1')
    await collector.waitFor((spans) =>
      ['POST /webhooks/:tool', 'process github', 'enrich context'].every((name) =>
        spans.some((span) => span.name === name),
      ),
    )
    const { spans } = collector
    const top = spans.find(({ name }) => name === 'POST /webhooks/:tool')!
    expect(tree(spans, top)).toEqual([
      'gateway: POST /webhooks/:tool',
      '  gateway: body',
      '  gateway: verify',
      '  gateway: pack',
      '  gateway: admit',
      '  consumer: process github',
      '    consumer: decode',
      '    consumer: context',
      '      curator: enrich context',
      '        curator: read',
      '        curator: summarise',
      '        curator: embed',
      '        curator: put',
      '    consumer: handler tell-trace',
      '    consumer: settle',
    ])
    // Nothing else, and nothing twice.
    expect(spans).toHaveLength(15)
    expect(new Set(spans.map(({ traceId }) => traceId))).toEqual(new Set([top.traceId]))
    expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(15)
    expect(new Set(spans.map(({ resource }) => resource['service.name']))).toEqual(new Set(['hooks']))
    const attempt = spans.find(({ name }) => name === 'process github')!
    const enrichment = spans.find(({ name }) => name === 'enrich context')!
    expect([top.kind, attempt.kind, enrichment.kind]).toEqual([SERVER, CONSUMER, CONSUMER])
    expect(attempt.attributes).toMatchObject({
      'weir.event_id': json.event_id,
      'weir.outcome': 'settled',
      'weir.attempt': 1,
      'weir.tool': 'github',
      'weir.type': 'issues',
    })
    expect(enrichment.attributes).toMatchObject({
      'weir.outcome': 'made',
      'weir.enriched': true,
      'weir.lag': 'words',
    })
    expect(collector.headers[0]?.['x-api-key']).toBe('of-the-collector')

    const handled = linesOf(consumer).find(({ msg }) => msg === 'handled')!
    expect(handled).toMatchObject({ trace_id: top.traceId, request_id: 'request-d-1' })
    const handler = spans.find(({ name }) => name === 'handler tell-trace')!
    expect(handled.traceparent).toBe(`00-${top.traceId}-${handler.spanId}-01`)
    const accepted = linesOf(gateway).find(({ outcome }) => outcome === 'accepted')!
    expect(accepted).toMatchObject({ trace_id: top.traceId, request_id: 'request-d-1' })
    // Counted when the collector's answer has come.
    for (const process of [gateway, curator])
      await expect.poll(() => metricOf(process, 'webhook_trace_spans_total{result="exported"}'), POLL).toBe(5)

    const scraped = await fetch(`http://127.0.0.1:${await portOf(consumer)}/metrics`, {
      headers: { accept: 'application/openmetrics-text' },
    })
    const text = await scraped.text()
    for (const histogram of [
      'webhook_event_processing_duration_seconds',
      'webhook_event_accepted_to_settled_seconds',
    ])
      expect(text).toMatch(
        new RegExp(`^${histogram}_bucket\\{.*\\} 1 # \\{trace_id="${top.traceId}"\\}`, 'm'),
      )
  })
})

describe('a trace', () => {
  it('has every attempt, with what went wrong, without what must not be told; and goes out when a process stops', async () => {
    const collector = await collecting(startCollector)
    const { gateway, consumer, curator } = startPipeline({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url })
    const port = await portOf(gateway)
    await Promise.all([portOf(consumer), portOf(curator)])
    await sendIssue(port, 'd-1', 'fails once')
    await expect.poll(() => linesOf(consumer).filter(({ msg }) => msg === 'handled').length, POLL).toBe(2)
    // What waits for others does not stay behind.
    await Promise.all([gateway, consumer, curator].map((process) => process.kill('SIGTERM')))
    const attempts = collector.spans.filter(({ name }) => name === 'process github')
    const facts = attempts.map(({ attributes: a, status }) => [
      a['weir.attempt'],
      a['weir.outcome'],
      status.code,
    ])
    expect(facts.sort()).toEqual([
      [1, 'park', 2],
      [2, 'settled', 0],
    ])
    expect(new Set(attempts.map(({ traceId }) => traceId)).size).toBe(1)
    const failed = attempts.find(({ status }) => status.code === 2)!
    expect(failed.status.message).toMatch(/^refused: token=/)
    const handler = collector.spans.find(
      ({ parentId, name }) => parentId === failed.spanId && name.startsWith('handler'),
    )
    expect(handler?.status.code).toBe(2)
    expect(
      JSON.stringify(collector.spans.map(({ status, attributes }) => [status, attributes])),
    ).not.toContain('hunter2')
    const line = linesOf(consumer).find(({ msg }) => msg === 'event will be retried')
    expect(line).toMatchObject({ trace_id: failed.traceId })
  })

  it('is not there at a rate of 0, nor any note of it', async () => {
    const collector = await collecting(startCollector)
    const { gateway, consumer, curator } = startPipeline({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_TRACES_SAMPLER_ARG: '0',
    })
    const port = await portOf(gateway)
    await Promise.all([portOf(consumer), portOf(curator)])
    await sendIssue(port, 'd-1')
    await consumer.waitForLine(/"msg":"handled"/)
    expect(await redis.client().keys('*:traces')).toEqual([])
    await Promise.all([gateway, consumer, curator].map((process) => process.kill('SIGTERM')))
    expect(collector.spans).toEqual([])
    expect(consumer.output()).not.toContain('trace_id')
  })
})

it('events flow while the collector is away, which is told once and counted', async () => {
  const { gateway, consumer, curator } = startPipeline({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' })
  const port = await portOf(gateway)
  await Promise.all([portOf(consumer), portOf(curator)])
  for (let n = 0; n < 50; n++) expect((await sendIssue(port, `d-${n}`)).status).toBe(202)
  await expect.poll(() => linesOf(consumer).filter(({ msg }) => msg === 'handled').length, POLL).toBe(50)
  await expect
    .poll(() => metricOf(gateway, 'webhook_trace_spans_total{result="failed"}'), POLL)
    .toBeGreaterThan(0)
  const told = () => linesOf(gateway).filter(({ event }) => event === 'tracing')
  expect(told()).toMatchObject([{ level: 40, endpoint: '127.0.0.1:1', reason: expect.stringMatching(/\S/) }])
  const exits = await Promise.all([gateway, consumer, curator].map((process) => process.kill('SIGTERM')))
  for (const exit of exits) expect(exit).toMatchObject({ code: 0 })
})

it('without an endpoint the processes say what to do, and do not start', async () => {
  const { gateway, consumer, curator } = startPipeline({})
  for (const process of [gateway, consumer, curator]) {
    expect(await process.exit).toMatchObject({ code: 1 })
    expect(process.output()).toMatch(/observability\.tracing\.endpoint.*OTEL_EXPORTER_OTLP_ENDPOINT/)
    expect(process.output()).not.toMatch(/\n\s+at /)
  }
})
