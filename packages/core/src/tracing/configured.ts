/** The tracing that the configuration asks for. OpenTelemetry is loaded only where it is switched on. */
import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/schema.ts'
import type { Protocol, SpanResult } from './otlp.ts'
import { createRandomHex } from './random-hex.ts'
import { createTracer, NO_TRACER, type Tracer } from './tracer.ts'

export interface Tracing {
  readonly tracer: Tracer
  /** Sends the last spans, within two seconds. Never rejects; harmless when repeated. */
  stop(): Promise<void>
}

export interface TracingDeps {
  /** Which process this is. */
  readonly app: 'gateway' | 'consumer' | 'curator'
  /** Its name, that no other has. */
  readonly instance: string
  readonly clock: Clock
  /** 0 to 1 */
  random(): number
  count(result: SpanResult, spans: number): void
  readonly log: Pick<Logger, 'warn' | 'info'>
}

const OFF: Tracing = { tracer: NO_TRACER, stop: () => Promise.resolve() }

export async function configuredTracing({ observability }: Config, deps: TracingDeps): Promise<Tracing> {
  const {
    enabled,
    endpoint,
    protocol,
    service_name,
    sampling_rate: rate,
    batch_delay,
  } = observability.tracing
  if (!enabled || endpoint === null) return OFF
  const { app, instance, clock, random, count, log } = deps
  const { createSpanExport } = await import('./otlp.ts')
  const { sink, stop } = await createSpanExport({
    endpoint,
    protocol: protocol === 'auto' ? protocolOf(endpoint) : protocol,
    resource: { 'service.name': service_name, 'service.instance.id': instance, 'weir.app': app },
    batchDelayMs: batch_delay,
    clock,
    count,
    log,
  })
  return { tracer: createTracer({ rate, sink, clock, random, randomHex: createRandomHex() }), stop }
}

/** OTLP over gRPC has a port of its own. */
export function protocolOf(endpoint: string): Protocol {
  return new URL(endpoint).port === '4317' ? 'grpc' : 'http/protobuf'
}
