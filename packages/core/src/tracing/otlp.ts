/**
 * Finished spans on their way to a collector. Whoever ends a span hands it over and goes on: it is written into a batch at once, there
 * is a limit on what waits, and what comes beyond it is dropped and counted. One batch is under way at a time, by OpenTelemetry's own
 * transports (their attempts, headers and certificates). A collector that is away is told once, and once when it is back.
 *
 *   span ──▶ batch (too much waits → dropped) ──after a while, or when it is full──▶ transport ──▶ exported | failed
 */
import type { IOtlpExportDelegate } from '@opentelemetry/otlp-exporter-base'
import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import { messageOf } from '../faults.ts'
import { createSpanWriter, type SpanBatch } from './span-writer.ts'
import type { Attributes, SpanSink } from './tracer.ts'

/** What became of spans: `dropped` before they were sent, because too many waited. */
export type SpanResult = 'exported' | 'failed' | 'dropped'
export type Protocol = 'grpc' | 'http/protobuf'

export interface SpanExport {
  readonly sink: SpanSink
  /** Sends what is there, within {@link FLUSH_MS}; what comes later is dropped. Never rejects; harmless when repeated. */
  stop(): Promise<void>
}

export interface SpanExportOptions {
  readonly endpoint: string
  readonly protocol: Protocol
  /** What is the same for all spans of this process. */
  readonly resource: Attributes
  /** How long spans wait for others at most: a batch costs as much as hundreds of spans. */
  readonly batchDelayMs: number
  readonly clock: Clock
  count(result: SpanResult, spans: number): void
  readonly log: Pick<Logger, 'warn' | 'info'>
}

/** Spans that wait or are under way at most, of about 200 bytes each… */
export const MAX_SPANS = 8192
/** …and bytes that wait; a gRPC server takes 4 MB in one message, where nobody says otherwise. */
const MAX_BYTES = 3_000_000
/** A batch with so many spans, or so many bytes, is full. */
const FULL_SPANS = 2048
const FULL_BYTES = 1_000_000
/** How long the transport tries to get a batch away, ms; a collector that hangs holds it so long. */
const EXPORT_MS = 5000
/** How long a process that stops waits for its last spans, ms. */
const FLUSH_MS = 2000
/** What is told of an error at most, characters. */
const MAX_REASON = 300
/** Where OTLP over HTTP takes traces, below its endpoint. */
const HTTP_PATH = '/v1/traces'
const GRPC_PATH = '/opentelemetry.proto.collector.trace.v1.TraceService/Export'

export async function createSpanExport(options: SpanExportOptions): Promise<SpanExport> {
  const { batchDelayMs, clock, count, log } = options
  const transport = await transportOf(options)
  const writer = createSpanWriter(options.resource)
  /** Without user and password, should there be any. */
  const endpoint = new URL(options.endpoint).host
  let underWay = 0
  let away = false
  let timer: NodeJS.Timeout | undefined
  let stopped: Promise<void> | undefined
  let onSent: (() => void) | undefined

  function send(): void {
    if (timer !== undefined) clearTimeout(timer)
    timer = undefined
    if (underWay > 0 || writer.spans === 0) return
    const batch = writer.take()
    underWay = batch.spans
    try {
      transport.export(batch, ({ code, error }) => sent(batch.spans, code === 0, error))
    } catch (error) {
      sent(batch.spans, false, error)
    }
  }

  function sent(spans: number, ok: boolean, error: unknown): void {
    underWay = 0
    count(ok ? 'exported' : 'failed', spans)
    if (ok === away) tell(ok, error)
    onSent?.()
    goOn()
  }

  function tell(ok: boolean, error: unknown): void {
    away = !ok
    if (ok) log.info({ event: 'tracing', endpoint }, 'spans are exported again')
    else {
      const reason = messageOf(error).slice(0, MAX_REASON)
      log.warn({ event: 'tracing', endpoint, reason }, 'spans cannot be exported; they are dropped meanwhile')
    }
  }

  const isFull = () => writer.spans >= FULL_SPANS || writer.bytes >= FULL_BYTES

  /** Sends what is full now, and what is not after a while. */
  function goOn(): void {
    if (isFull()) send()
    else if (writer.spans > 0 && timer === undefined) timer = setTimeout(send, batchDelayMs).unref()
  }

  async function flush(): Promise<void> {
    const enough = new AbortController()
    const emptied = (async () => {
      while (underWay > 0 || writer.spans > 0) {
        const next = new Promise<void>((resolve) => {
          onSent = resolve
        })
        send()
        if (underWay > 0) await next
      }
    })()
    await Promise.race([emptied, clock.wait(FLUSH_MS, enough.signal)])
    enough.abort()
    if (timer !== undefined) clearTimeout(timer)
    // It would wait for a collector that hangs; what it says of itself then, when every batch has been told of, helps nobody.
    void transport.shutdown().catch(() => undefined)
  }

  return {
    sink(span) {
      if (writer.spans + underWay >= MAX_SPANS || writer.bytes >= MAX_BYTES || stopped !== undefined) {
        count('dropped', 1)
        return
      }
      writer.write(span)
      if (isFull() || timer === undefined) goOn()
    },
    stop() {
      stopped ??= flush()
      return stopped
    },
  }
}

type Transport = Pick<IOtlpExportDelegate<SpanBatch>, 'export' | 'shutdown'>

/** Only the one that is wanted is loaded: gRPC takes its time and 10 MB. */
async function transportOf({ endpoint, protocol }: SpanExportOptions): Promise<Transport> {
  const serializer = {
    serializeRequest: ({ request }: SpanBatch) => request,
    // What a collector has to say beside its status is nothing that we would do anything about.
    deserializeResponse: () => ({}),
  }
  const helper = { name: 'span', countItems: ({ spans }: SpanBatch) => spans } as const
  if (protocol === 'grpc') {
    const { convertLegacyOtlpGrpcOptions, createOtlpGrpcExportDelegate } = await import(
      '@opentelemetry/otlp-grpc-exporter-base'
    )
    const settings = convertLegacyOtlpGrpcOptions({ url: endpoint, timeoutMillis: EXPORT_MS }, 'TRACES')
    const type = 'otlp_grpc_span_exporter'
    const service = 'TraceExportService'
    return createOtlpGrpcExportDelegate(settings, serializer, type, helper, undefined, service, GRPC_PATH)
  }
  const { convertLegacyHttpOptions, createOtlpHttpExportDelegate } = await import(
    '@opentelemetry/otlp-exporter-base/node-http'
  )
  const url = tracesUrl(endpoint)
  const headers = { 'Content-Type': 'application/x-protobuf' }
  const settings = convertLegacyHttpOptions({ url, timeoutMillis: EXPORT_MS }, 'TRACES', 'v1/traces', headers)
  return createOtlpHttpExportDelegate(settings, serializer, 'otlp_http_span_exporter', helper, undefined)
}

/** `http://collector:4318` → `http://collector:4318/v1/traces` */
export function tracesUrl(endpoint: string): string {
  const url = new URL(endpoint)
  if (!url.pathname.endsWith(HTTP_PATH)) url.pathname = `${url.pathname.replace(/\/$/, '')}${HTTP_PATH}`
  return url.href
}
