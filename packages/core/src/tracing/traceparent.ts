/** W3C trace context: `00-<trace>-<span>-<flags>`, https://www.w3.org/TR/trace-context/#traceparent-header */

/** A span as others name it. */
export interface TraceContext {
  /** 32 hex digits */
  readonly traceId: string
  /** 16 hex digits */
  readonly spanId: string
  readonly sampled: boolean
}

/** Characters of a traceparent. */
export const TRACEPARENT_LENGTH = 55

// Version 00 with a trace and a span that are not all zeros.
const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/
const SAMPLED = 1

/** undefined for what is none, or of another version. */
export function parseTraceparent(text: string): TraceContext | undefined {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(text) ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0 }
}

export function formatTraceparent({ traceId, spanId, sampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`
}
