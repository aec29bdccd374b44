/**
 * Traces as the apps make them. Whether an event is traced is decided before anything is made: for most there is no span, only
 * `undefined`, and what costs something stands behind a `?.`.
 *
 *   begin (by ratio) or resume (a traceparent that says sampled) ──▶ Span ──child, step──▶ Spans ──end──▶ sink, at once, never waited for
 *
 * Times are monotonic ms, as everywhere; a trace takes its distance to the wall clock once, so that its spans agree.
 */
import type { Clock } from '../clock.ts'
import { formatTraceparent, parseTraceparent, type TraceContext } from './traceparent.ts'

/** Never a secret, never a part of a body: these leave for whoever reads traces. */
export type Attributes = Readonly<Record<string, string | number | boolean>>
/** `server`: answers a request; `consumer`: works on what was queued; `internal`: a step of either. */
export type SpanKind = 'server' | 'consumer' | 'internal'

/** A span that is over, as the sink takes it. */
export interface FinishedSpan {
  readonly name: string
  readonly kind: SpanKind
  readonly traceId: string
  readonly spanId: string
  /** Undefined for the root of a trace. */
  readonly parentId: string | undefined
  /** Its parent belongs to another process. */
  readonly remoteParent: boolean
  /** Epoch ms. */
  readonly startMs: number
  readonly endMs: number
  readonly attributes: Attributes
  /** Spans of other traces that led to it. */
  readonly links: readonly TraceContext[]
  /** What went wrong; '' = nobody said what. Undefined = nothing did. */
  readonly failure: string | undefined
}

/** Where finished spans go. Takes each at once, never throws, never waits. */
export type SpanSink = (span: FinishedSpan) => void

/** A span under way. One that is not ended is never seen. */
export interface Span {
  readonly traceId: string
  /** For what follows from it elsewhere: W3C, sampled. */
  readonly traceparent: string
  set(attributes: Attributes): void
  /** Another trace that led to it. */
  link(context: TraceContext): void
  /** @param startedAt monotonic ms; default: now */
  child(name: string, startedAt?: number): Span
  /** A child that is over already. @param endedAt monotonic ms; default: now */
  step(name: string, startedAt: number, endedAt?: number): void
  /** Ends it, once. @param failure what went wrong, without secrets @param endedAt monotonic ms; default: now */
  end(failure?: string, endedAt?: number): void
  /** Epoch ms, by the clock of the tracer. */
  wallNow(): number
}

export interface Tracer {
  /** A new trace, for one in so many; undefined = this one is not traced. @param startedAt monotonic ms */
  begin(name: string, kind: SpanKind, startedAt: number): Span | undefined
  /**
   * Goes on with a trace of another process. Undefined where there is none, or it is not sampled.
   * @param traceparent W3C @param startedAt monotonic ms
   */
  resume(traceparent: string, name: string, kind: SpanKind, startedAt: number): Span | undefined
}

/** Traces are switched off: nothing is made, ever. */
export const NO_TRACER: Tracer = { begin: () => undefined, resume: () => undefined }

export interface TracerOptions {
  /** Share of the events that is traced, 0 to 1. */
  readonly rate: number
  readonly sink: SpanSink
  readonly clock: Pick<Clock, 'now' | 'monotonic'>
  /** 0 to 1 */
  random(): number
  /** So many random bytes, in hex digits. */
  randomHex(bytes: number): string
}

/** What all spans of a trace have in common. */
interface Trace {
  readonly id: string
  /** From monotonic to epoch ms. */
  readonly toEpoch: number
  readonly options: TracerOptions
}

const TRACE_BYTES = 16
const SPAN_BYTES = 8
const NO_LINKS: readonly TraceContext[] = []

class LiveSpan implements Span {
  readonly #trace: Trace
  readonly #name: string
  readonly #kind: SpanKind
  readonly #id: string
  readonly #parentId: string | undefined
  readonly #remoteParent: boolean
  readonly #startedAt: number
  #attributes: Record<string, string | number | boolean> = {}
  #links: TraceContext[] | undefined
  #ended = false

  constructor(
    trace: Trace,
    name: string,
    kind: SpanKind,
    startedAt: number,
    parentId: string | undefined,
    remoteParent: boolean,
  ) {
    this.#trace = trace
    this.#name = name
    this.#kind = kind
    this.#startedAt = startedAt
    this.#id = trace.options.randomHex(SPAN_BYTES)
    this.#parentId = parentId
    this.#remoteParent = remoteParent
  }
  get traceId(): string {
    return this.#trace.id
  }
  get traceparent(): string {
    return formatTraceparent({ traceId: this.#trace.id, spanId: this.#id, sampled: true })
  }
  set(attributes: Attributes): void {
    Object.assign(this.#attributes, attributes)
  }
  link(context: TraceContext): void {
    this.#links ??= []
    this.#links.push(context)
  }
  child(name: string, startedAt = this.#trace.options.clock.monotonic()): Span {
    return new LiveSpan(this.#trace, name, 'internal', startedAt, this.#id, false)
  }
  step(name: string, startedAt: number, endedAt?: number): void {
    this.child(name, startedAt).end(undefined, endedAt)
  }
  end(failure?: string, endedAt = this.#trace.options.clock.monotonic()): void {
    if (this.#ended) return
    this.#ended = true
    const { id: traceId, toEpoch, options } = this.#trace
    options.sink({
      name: this.#name,
      kind: this.#kind,
      traceId,
      spanId: this.#id,
      parentId: this.#parentId,
      remoteParent: this.#remoteParent,
      startMs: toEpoch + this.#startedAt,
      endMs: toEpoch + Math.max(this.#startedAt, endedAt),
      attributes: this.#attributes,
      links: this.#links ?? NO_LINKS,
      failure,
    })
  }
  wallNow(): number {
    return this.#trace.options.clock.now()
  }
}

export function createTracer(options: TracerOptions): Tracer {
  const { rate, clock } = options
  const traceOf = (id: string): Trace => ({ id, toEpoch: clock.now() - clock.monotonic(), options })
  return {
    begin(name, kind, startedAt) {
      if (rate === 0 || options.random() >= rate) return undefined
      const trace = traceOf(options.randomHex(TRACE_BYTES))
      return new LiveSpan(trace, name, kind, startedAt, undefined, false)
    },
    resume(traceparent, name, kind, startedAt) {
      if (traceparent === '') return undefined
      const parent = parseTraceparent(traceparent)
      if (!parent?.sampled) return undefined
      return new LiveSpan(traceOf(parent.traceId), name, kind, startedAt, parent.spanId, true)
    },
  }
}
