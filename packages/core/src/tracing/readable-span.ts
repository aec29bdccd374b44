/** A finished span as OpenTelemetry's exporters read it. Made into what they want only when it is sent. */
import { type HrTime, SpanKind, type SpanStatus, SpanStatusCode, TraceFlags } from '@opentelemetry/api'
import type { Resource } from '@opentelemetry/resources'
import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import type { TraceContext } from './traceparent.ts'
import type { FinishedSpan } from './tracer.ts'

const KINDS: Readonly<Record<FinishedSpan['kind'], SpanKind>> = {
  server: SpanKind.SERVER,
  consumer: SpanKind.CONSUMER,
  internal: SpanKind.INTERNAL,
}
const SCOPE = { name: 'weir' }
const FINE: SpanStatus = { code: SpanStatusCode.UNSET }
/** What is said of a failure at most, characters. */
const MAX_MESSAGE = 500

export function readableSpan(span: FinishedSpan, resource: Resource): ReadableSpan {
  const { traceId, parentId, remoteParent, failure, startMs, endMs } = span
  const place = { traceId, spanId: span.spanId, traceFlags: TraceFlags.SAMPLED }
  return {
    name: span.name,
    kind: KINDS[span.kind],
    spanContext: () => place,
    ...(parentId !== undefined && {
      parentSpanContext: {
        traceId,
        spanId: parentId,
        traceFlags: TraceFlags.SAMPLED,
        isRemote: remoteParent,
      },
    }),
    startTime: hrTime(startMs),
    endTime: hrTime(endMs),
    duration: hrTime(endMs - startMs),
    status:
      failure === undefined ? FINE : { code: SpanStatusCode.ERROR, message: failure.slice(0, MAX_MESSAGE) },
    attributes: span.attributes,
    links: span.links.map((context) => ({ context: linked(context) })),
    events: [],
    ended: true,
    resource,
    instrumentationScope: SCOPE,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  }
}

function linked({ traceId, spanId, sampled }: TraceContext) {
  return { traceId, spanId, traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE, isRemote: true }
}

/** Seconds and nanoseconds. */
function hrTime(ms: number): HrTime {
  const nanoseconds = Math.round((ms % 1000) * 1e6)
  const seconds = Math.trunc(ms / 1000)
  return nanoseconds === 1e9 ? [seconds + 1, 0] : [seconds, nanoseconds]
}
