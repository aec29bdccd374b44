/**
 * The trace of an enrichment, as a part of that of the event that led to it: the last traced one that came into the context since the
 * enrichment before. The others are links. Where none was traced, neither is the enrichment.
 *
 *   enrich context ──┬─ read
 *                    ├─ summarise
 *                    ├─ embed
 *                    └─ put
 */
import type { ContextId } from '@weir/context-lifecycle/context-id'
import type { ContextPlace } from '@weir/context-lifecycle/context-place'
import type { Lag } from '@weir/context-lifecycle/search/behind'
import type { MadeCard, OnCardStep } from '@weir/context-lifecycle/search/make-card'
import { forgetTraces, notedTraces } from '@weir/context-lifecycle/traces'
import type { Clock } from '@weir/core/clock'
import { messageOf } from '@weir/core/faults'
import type { Tracer } from '@weir/core/tracing/tracer'

export interface EnrichmentTrace {
  readonly traceId: string
  readonly onStep: OnCardStep
  /** Ends it. What could not be done now is tried again, as another span of the same trace. */
  made(card: MadeCard): Promise<void>
  failed(error: unknown): void
}

/** Undefined = it is not traced. Never rejects. */
export type EnrichmentTraces = (id: ContextId, lag: Lag) => Promise<EnrichmentTrace | undefined>

export interface EnrichmentTracesOptions {
  readonly tracer: Tracer
  placeOf(id: ContextId): ContextPlace
  /** A provider is asked later, for contexts whose words are up to date: that belongs to the trace too. */
  readonly enrichesLater: boolean
  readonly clock: Pick<Clock, 'monotonic'>
  /** Takes secrets out of messages of errors. */
  redact(text: string): string
}

/** Nothing is traced, and nothing asked. */
export const NO_ENRICHMENT_TRACES: EnrichmentTraces = () => Promise.resolve(undefined)

export function createEnrichmentTraces(options: EnrichmentTracesOptions): EnrichmentTraces {
  const { tracer, placeOf, enrichesLater, clock } = options
  return async (id, lag) => {
    const startedAt = clock.monotonic()
    // Redis being away is told by the enrichment itself, which asks it next.
    const found = await notedTraces(placeOf(id), id).catch(() => undefined)
    const last = found?.contexts.at(-1)
    if (found === undefined || last === undefined) return undefined
    const span = tracer.resume(last.traceparent, 'enrich context', 'consumer', startedAt)
    if (span === undefined) return undefined
    span.set({ 'weir.context': id, 'weir.lag': lag })
    for (const { context } of found.contexts.slice(0, -1)) {
      if (context.traceId !== last.context.traceId) span.link(context)
    }
    return {
      traceId: span.traceId,
      onStep(step) {
        const child = span.child(step)
        return () => child.end()
      },
      async made(card) {
        span.set({ 'weir.outcome': card.kind })
        if (card.kind === 'made') span.set({ 'weir.enriched': card.enriched })
        span.end()
        const goesOn = card.kind === 'later' || (card.kind === 'made' && enrichesLater && lag === 'words')
        if (!goesOn) await forgetTraces(placeOf(id), id, found.noted).catch(() => undefined)
      },
      failed(error) {
        span.set({ 'weir.outcome': 'failed' })
        span.end(options.redact(messageOf(error)))
      },
    }
  }
}
