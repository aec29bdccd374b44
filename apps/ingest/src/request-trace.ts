/**
 * The trace of a request, which the event's whole way is a part of. Senders are strangers: none of them may decide what is traced, or
 * fill the collector. So the trace begins here, by the sampler's word (W3C calls it restarting a trace), names the one that the
 * sender brought along as a link, and nothing is exported of a request that was not believed.
 *
 *   POST /webhooks/:tool ──┬─ body
 *                          ├─ verify
 *                          ├─ pack
 *                          └─ admit ── spool, where it had to be
 */
import { parseTraceparent } from '@weir/core/tracing/traceparent'
import type { Attributes, Span, Tracer } from '@weir/core/tracing/tracer'
import type { Exchange } from './exchange.ts'
import { type RequestHeaders, traceparentOf } from './headers.ts'

/** The span of a request whose body has arrived; undefined = it is not traced. */
export type RequestTraces = (exchange: Exchange, headers: RequestHeaders) => Span | undefined

/** @param incoming what becomes of a trace that a sender brings along (observability.tracing.incoming) */
export function createRequestTraces(tracer: Tracer, incoming: 'link' | 'continue'): RequestTraces {
  return ({ path, startedAt }, headers) => {
    const name = `POST ${path}`
    if (incoming === 'continue') {
      const brought = traceparentOf(headers)
      // Its sender decided, for or against.
      if (brought !== '') return tracer.resume(brought, name, 'server', startedAt)
    }
    const span = tracer.begin(name, 'server', startedAt)
    if (span === undefined) return undefined
    const brought = parseTraceparent(traceparentOf(headers))
    if (brought !== undefined) span.link(brought)
    return span
  }
}

/** Ends the span of a request that was answered. Statuses of 500 and above are failures of ours. */
export function endRequest(
  { span, path }: Exchange,
  status: number,
  attributes: Attributes,
  endedAt?: number,
): void {
  if (span === undefined) return
  span.set({
    'http.request.method': 'POST',
    'http.route': path,
    'http.response.status_code': status,
    ...attributes,
  })
  span.end(status >= 500 ? '' : undefined, endedAt)
}
