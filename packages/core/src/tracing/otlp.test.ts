import { createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { type Collector, startCollector, startGrpcCollector } from '../../../../tests/support/otlp.ts'
import { systemClock } from '../clock.ts'
import { loadConfig } from '../config/load.ts'
import { configuredTracing, protocolOf } from './configured.ts'
import { createSpanExport, MAX_SPANS, type Protocol, tracesUrl } from './otlp.ts'
import { createSpanWriter } from './span-writer.ts'
import type { FinishedSpan } from './tracer.ts'

/** Refused at once: nothing listens there. */
const NOBODY = 'http://127.0.0.1:1'
const POLL = { timeout: 15_000, interval: 20 }
const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function collecting(start: () => Promise<Collector>): Promise<Collector> {
  const collector = await start()
  closing.push(() => collector.close())
  return collector
}

async function exporting(endpoint: string, protocol: Protocol = 'http/protobuf', batchDelayMs = 100) {
  const counts = { exported: 0, failed: 0, dropped: 0 }
  const lines: Record<string, unknown>[] = []
  const note = (line: object, msg?: string) => void lines.push({ ...line, msg })
  const { sink, stop } = await createSpanExport({
    endpoint,
    protocol,
    resource: { 'service.name': 'hooks', 'service.instance.id': 'me', 'weir.app': 'gateway' },
    batchDelayMs,
    clock: systemClock,
    count: (result, spans) => {
      counts[result] += spans
    },
    log: { warn: note, info: note } as Parameters<typeof createSpanExport>[0]['log'],
  })
  closing.push(stop)
  return { sink, stop, counts, lines }
}

const SPAN: FinishedSpan = {
  name: 'POST /webhooks/:tool',
  kind: 'server',
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  parentId: undefined,
  remoteParent: false,
  startMs: 1_700_000_000_000.25,
  endMs: 1_700_000_000_001.5,
  attributes: { 'weir.tool': 'github', 'weir.attempt': 2, 'weir.enriched': true, 'weir.share': 0.5 },
  links: [{ traceId: 'c'.repeat(32), spanId: 'd'.repeat(16), sampled: false }],
  failure: undefined,
}
const CHILD: FinishedSpan = {
  ...SPAN,
  name: 'admit',
  kind: 'internal',
  spanId: 'a'.repeat(16),
  parentId: SPAN.spanId,
  attributes: {},
  links: [],
  failure: `no ${'x'.repeat(1_000)}`,
}

describe.each([
  ['HTTP', 'http/protobuf', startCollector, '/v1/traces'],
  ['gRPC', 'grpc', startGrpcCollector, '/opentelemetry.proto.collector.trace.v1.TraceService/Export'],
] as const)('spans by OTLP over %s', (_, protocol, start, path) => {
  it('arrive as they were, with what their process is', async () => {
    const collector = await collecting(start)
    const { sink, stop, counts, lines } = await exporting(collector.url, protocol)
    sink(SPAN)
    sink(CHILD)
    await stop()
    expect(collector.paths).toEqual([path])
    expect(collector.spans).toEqual([
      {
        name: 'POST /webhooks/:tool',
        kind: 2,
        traceId: SPAN.traceId,
        spanId: SPAN.spanId,
        parentId: '',
        start: 1_700_000_000_000_250_000n,
        end: 1_700_000_000_001_500_000n,
        attributes: SPAN.attributes,
        links: [{ traceId: 'c'.repeat(32), spanId: 'd'.repeat(16) }],
        status: { code: 0, message: '' },
        resource: { 'service.name': 'hooks', 'service.instance.id': 'me', 'weir.app': 'gateway' },
      },
      expect.objectContaining({
        name: 'admit',
        kind: 1,
        parentId: SPAN.spanId,
        attributes: {},
        links: [],
        status: { code: 2, message: `no ${'x'.repeat(497)}` },
      }),
    ])
    expect(counts).toEqual({ exported: 2, failed: 0, dropped: 0 })
    expect(lines).toEqual([])
  })

  it('go out by themselves after a moment', async () => {
    const collector = await collecting(start)
    const { sink } = await exporting(collector.url, protocol)
    sink(SPAN)
    await collector.waitFor((spans) => spans.length === 1)
  })
})

describe('a collector that is away', () => {
  it.each(['http/protobuf', 'grpc'] as const)(
    'is told once, and its spans are counted; %s',
    async (protocol) => {
      const { sink, counts, lines } = await exporting(NOBODY, protocol)
      sink(SPAN)
      await expect.poll(() => counts.failed, POLL).toBe(1)
      sink(SPAN)
      await expect.poll(() => counts.failed, POLL).toBe(2)
      expect(lines).toEqual([
        {
          event: 'tracing',
          endpoint: '127.0.0.1:1',
          reason: expect.stringMatching(/\S/),
          msg: 'spans cannot be exported; they are dropped meanwhile',
        },
      ])
      expect(counts).toEqual({ exported: 0, failed: 2, dropped: 0 })
    },
    40_000,
  )

  it('is told when it is back', async () => {
    let well = false
    const collector = await collecting(() =>
      startCollector({ answer: (response) => void response.writeHead(well ? 200 : 400).end() }),
    )
    const { sink, counts, lines } = await exporting(collector.url)
    sink(SPAN)
    await expect.poll(() => counts.failed, POLL).toBe(1)
    well = true
    sink(SPAN)
    await expect.poll(() => counts.exported, POLL).toBe(1)
    expect(lines.map(({ msg }) => msg)).toEqual([
      'spans cannot be exported; they are dropped meanwhile',
      'spans are exported again',
    ])
  })

  it('that takes connections and never answers holds up neither those who end spans nor the end of the process', async () => {
    const sockets: Socket[] = []
    const silent = createServer((socket) => void sockets.push(socket))
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    closing.push(
      () =>
        new Promise((resolve) => {
          silent.close(resolve)
          for (const socket of sockets) socket.destroy()
        }),
    )
    const { port } = silent.address() as { port: number }
    const { sink, stop, counts } = await exporting(`http://127.0.0.1:${port}`)
    for (let n = 0; n < MAX_SPANS + 100; n++) sink(SPAN)
    // The queue has an end, and what came beyond it is known.
    expect(counts).toEqual({ exported: 0, failed: 0, dropped: 100 })
    const began = performance.now()
    await Promise.all([stop(), stop()])
    // FLUSH_MS and a busy machine; its own time-out would be 5 s.
    expect(performance.now() - began).toBeLessThan(4_500)
    sink(SPAN)
    expect(counts.dropped).toBe(101)
  })
})

describe('a batch', () => {
  const HOUR_MS = 3_600_000
  const text = 'x'.repeat(500)
  const LARGE: FinishedSpan = {
    ...SPAN,
    name: text,
    failure: text,
    attributes: Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`a${n}`, text])),
  }
  const writer = createSpanWriter({})
  writer.write(LARGE)
  const LARGE_BYTES = writer.bytes

  it.each([
    ['2,048 spans', SPAN, 2048, 2048],
    ['1 MB', LARGE, 200, Math.ceil(1_000_000 / LARGE_BYTES)],
  ])('that has %s leaves at once, whatever the delay', async (_, span, handedOver, full) => {
    const collector = await collecting(startCollector)
    const { sink, counts } = await exporting(collector.url, 'http/protobuf', HOUR_MS)
    for (let n = 0; n < handedOver; n++) sink(span)
    await expect.poll(() => counts.exported, POLL).toBe(full)
    expect(counts).toEqual({ exported: full, failed: 0, dropped: 0 })
  })

  it('that is not full leaves after the delay', async () => {
    const collector = await collecting(startCollector)
    const { sink, counts } = await exporting(collector.url, 'http/protobuf', 10)
    sink(SPAN)
    await expect.poll(() => counts.exported, POLL).toBe(1)
  })
})

describe('where spans go', () => {
  it.each([
    ['http://collector:4318', 'http/protobuf', 'http://collector:4318/v1/traces'],
    ['http://collector:4318/', 'http/protobuf', 'http://collector:4318/v1/traces'],
    ['https://host/otlp/', 'http/protobuf', 'https://host/otlp/v1/traces'],
    ['https://host/otlp/v1/traces', 'http/protobuf', 'https://host/otlp/v1/traces'],
    ['http://collector:4317', 'grpc', undefined],
    ['http://collector', 'http/protobuf', 'http://collector/v1/traces'],
  ])('%s is %s', (endpoint, protocol, url) => {
    expect(protocolOf(endpoint)).toBe(protocol)
    if (url !== undefined) expect(tracesUrl(endpoint)).toBe(url)
  })

  it('by the configuration: nowhere where tracing is off, else the share that it names', async () => {
    const collector = await collecting(startCollector)
    const tracingOf = async (flags: Readonly<Record<string, unknown>>) => {
      const { config } = await loadConfig({
        env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_SERVICE_NAME: 'hooks' },
        flags,
      })
      const tracing = await configuredTracing(config, {
        app: 'consumer',
        instance: 'c-1',
        clock: systemClock,
        random: () => 0.3,
        count: () => undefined,
        log: { warn: () => undefined, info: () => undefined } as never,
      })
      tracing.tracer.begin('a', 'server', 0)?.end()
      await tracing.stop()
      return collector.spans.length
    }
    expect(await tracingOf({})).toBe(0)
    const on = { 'observability.tracing.enabled': true }
    expect(await tracingOf(on)).toBe(0) // 0.1, the default
    expect(await tracingOf({ ...on, 'observability.tracing.sampling_rate': 0.31 })).toBe(1)
    expect(collector.spans[0]?.resource).toEqual({
      'service.name': 'hooks',
      'service.instance.id': 'c-1',
      'weir.app': 'consumer',
    })
  })
})
