/**
 * The trace of an attempt at an event, as a part of the event's own: its parent is the gateway's span, whose traceparent the record
 * carries. An event whose record has none is not traced, and costs the look.
 *
 *   process <tool> ──┬─ fetch needs, where a key or a dictionary was missing
 *                    ├─ decode
 *                    ├─ context
 *                    ├─ handler <name>, each
 *                    └─ settle
 *
 * The held item keeps it, because an attempt may end in many places: settled, put back, lost to another consumer.
 */
import type { EventRecord } from '@weir/core/record'
import type { Span, Tracer } from '@weir/core/tracing/tracer'

/** Of one attempt, until it is over. */
export interface AttemptTrace {
  readonly span: Span
  /** A handler begins; whoever runs it ends it, and the attempt's end does where nobody did. */
  handler(name: string): Span
  /** Its outcome is known, and is being settled. */
  settling(outcome: Told): void
  /** @param result what became of that: done, or why not */
  settled(result: string): void
  /** It is over without an outcome. @param failure without secrets */
  over(how: 'put back' | 'lost', failure?: string): void
}

/** What is told of an outcome; errors in it are redacted already. */
interface Told {
  readonly kind: string
  readonly reason?: string
  readonly error?: string
}

/** What is told of the entry that is tried. */
interface Tried {
  readonly record: EventRecord
  readonly streamId: string
  /** Redis ms */
  readonly appendedAt: number
  readonly attempts: number
  readonly deliveries: number
}

/** Undefined = the event is not traced. @param startedAt monotonic ms */
export type AttemptTraces = (item: Tried, startedAt: number) => AttemptTrace | undefined

/** @param redisNow Redis' time as this process estimates it, ms */
export function createAttemptTraces(tracer: Tracer, redisNow: () => number): AttemptTraces {
  return (item, startedAt) => {
    const { traceparent, id, tool, tenant, type } = item.record
    const span = tracer.resume(traceparent, `process ${tool}`, 'consumer', startedAt)
    if (span === undefined) return undefined
    span.set({
      'weir.tool': tool,
      'weir.tenant': tenant,
      'weir.type': type,
      'weir.event_id': id,
      'weir.stream_id': item.streamId,
      'weir.attempt': item.attempts + 1,
      'weir.deliveries': item.deliveries,
      'weir.since_appended_ms': Math.max(0, Math.round(redisNow() - item.appendedAt)),
    })
    return attemptTrace(span)
  }
}

function attemptTrace(span: Span): AttemptTrace {
  let handler: Span | undefined
  let settle: Span | undefined
  let failure: string | undefined
  return {
    span,
    handler(name) {
      handler = span.child(`handler ${name}`)
      return handler
    },
    settling({ kind, reason, error }) {
      // Its time is up: whatever it does later is nobody's concern.
      handler?.end('')
      span.set({ 'weir.outcome': kind })
      if (reason !== undefined) span.set({ 'weir.reason': reason })
      // An event that goes back because this consumer stops says no error, and has not failed.
      if (kind === 'dead' || (error !== undefined && error !== '')) failure = error ?? ''
      settle = span.child('settle')
    },
    settled(result) {
      settle?.end()
      if (result !== 'done') span.set({ 'weir.settled': result })
      span.end(failure)
    },
    over(how, why) {
      handler?.end('')
      span.set({ 'weir.outcome': how })
      span.end(why)
    },
  }
}
