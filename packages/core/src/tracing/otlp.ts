/**
 * Finished spans on their way to a collector, by OpenTelemetry's own batches and exporters. Whoever ends a span hands it over and
 * goes on: there is a queue with an end, and what comes when it is full is dropped and counted. A collector that is away is told
 * once, and once when it is back.
 *
 *   span ──▶ queue (full → dropped) ──batch──▶ exporter ──▶ exported | failed (after its own attempts)
 */
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace'
import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import { messageOf } from '../faults.ts'
import { readableSpan } from './readable-span.ts'
import type { Attributes, SpanSink } from './tracer.ts'

/** What became of spans: `dropped` before they were sent, because the queue was full. */
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
  readonly clock: Clock
  count(result: SpanResult, spans: number): void
  readonly log: Pick<Logger, 'warn' | 'info'>
}

/** Spans in memory at most, of about 1 KB each: waiting, and under way. */
export const MAX_SPANS = 8192
const BATCH = 512
/** How long spans wait for others, ms. */
const DELAY_MS = 1000
/** How long the exporter tries to get a batch away, ms; a collector that hangs holds it so long. */
const EXPORT_MS = 5000
/** The batch itself is given up later, so that every span is counted once. */
const BATCH_MS = 2 * EXPORT_MS
/** How long a process that stops waits for its last spans, ms. */
export const FLUSH_MS = 2000
/** What is told of an error at most, characters. */
const MAX_REASON = 300
/** Where OTLP over HTTP takes traces, below its endpoint. */
const HTTP_PATH = '/v1/traces'

export async function createSpanExport(options: SpanExportOptions): Promise<SpanExport> {
  const { clock, count, log } = options
  const resource = resourceFromAttributes({ ...options.resource })
  const exporter = await exporterOf(options)
  /** Without user and password, should there be any. */
  const endpoint = new URL(options.endpoint).host
  let held = 0
  let away = false
  let stopped: Promise<void> | undefined

  function sent(spans: number, error: unknown, ok: boolean): void {
    held -= spans
    count(ok ? 'exported' : 'failed', spans)
    if (ok === !away) return
    away = !ok
    if (ok) log.info({ event: 'tracing', endpoint }, 'spans are exported again')
    else {
      const reason = messageOf(error).slice(0, MAX_REASON)
      log.warn({ event: 'tracing', endpoint, reason }, 'spans cannot be exported; they are dropped meanwhile')
    }
  }

  const counted: SpanExporter = {
    export(spans, done) {
      try {
        exporter.export(spans, (result) => {
          sent(spans.length, result.error, result.code === 0)
          done(result)
        })
      } catch (cause) {
        const error = cause instanceof Error ? cause : new Error(messageOf(cause))
        sent(spans.length, error, false)
        done({ code: 1, error })
      }
    },
    shutdown: () => exporter.shutdown(),
  }
  const processor = new BatchSpanProcessor({
    exporter: counted,
    maxQueueSize: MAX_SPANS,
    maxExportBatchSize: BATCH,
    scheduledDelayMillis: DELAY_MS,
    exportTimeoutMillis: BATCH_MS,
  })

  async function flush(): Promise<void> {
    const enough = new AbortController()
    // What could not be sent was told by `sent`.
    const done = processor.shutdown().catch(() => undefined)
    await Promise.race([done, clock.wait(FLUSH_MS, enough.signal)])
    enough.abort()
  }

  return {
    sink(span) {
      if (held >= MAX_SPANS || stopped !== undefined) {
        count('dropped', 1)
        return
      }
      held++
      processor.onEnd(readableSpan(span, resource))
    },
    stop() {
      stopped ??= flush()
      return stopped
    },
  }
}

/** Only the one that is wanted is loaded: gRPC takes its time and 10 MB. */
async function exporterOf({ endpoint, protocol }: SpanExportOptions): Promise<SpanExporter> {
  if (protocol === 'grpc') {
    const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-grpc')
    return new OTLPTraceExporter({ url: endpoint, timeoutMillis: EXPORT_MS })
  }
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto')
  return new OTLPTraceExporter({ url: tracesUrl(endpoint), timeoutMillis: EXPORT_MS })
}

/** `http://collector:4318` → `http://collector:4318/v1/traces` */
export function tracesUrl(endpoint: string): string {
  const url = new URL(endpoint)
  if (!url.pathname.endsWith(HTTP_PATH)) url.pathname = `${url.pathname.replace(/\/$/, '')}${HTTP_PATH}`
  return url.href
}
