/**
 * The traces of a context's latest events, for the enrichment that they cause: it is done later, by another process, for all of them
 * together. Only events that are traced are noted, and only the last few.
 *
 * A string of traceparents, which have one length. It goes by itself after an hour, so that nothing has to be tidied up where nobody
 * enriches; and a note that is lost costs a line in a trace.
 */
import { defineScript } from '@weir/core/redis/script'
import { parseTraceparent, TRACEPARENT_LENGTH, type TraceContext } from '@weir/core/tracing/traceparent'
import type { ContextId } from './context-id.ts'
import type { ContextPlace } from './context-place.ts'

/** Of how many events at most. */
export const MAX_TRACES = 8
/** Longer than an enrichment waits for its provider, ms. */
const KEPT_MS = 3_600_000

/*
 * KEYS  1 traces
 * ARGV  1 traceparent, 2 bytes at most, 3 ms
 */
const NOTE = defineScript(
  'note-trace',
  `
local all = (redis.call('GET', KEYS[1]) or '') .. ARGV[1]
redis.call('SET', KEYS[1], string.sub(all, -ARGV[2]), 'PX', ARGV[3])
return 1
`,
)

/*
 * KEYS  1 traces
 * ARGV  1 those that were seen
 *
 * What came since stays, for the next enrichment.
 */
const FORGET = defineScript(
  'forget-traces',
  `
local all = redis.call('GET', KEYS[1])
if all == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
`,
)

/** Traces of a context's events, the last one last; `noted` is what {@link forgetTraces} takes. */
export interface NotedTraces {
  readonly noted: string
  readonly contexts: readonly { readonly traceparent: string; readonly context: TraceContext }[]
}

/** Notes the trace of an event that comes into a context. Never rejects: what is wrong is told by the append that follows. */
export async function noteTrace(
  { link, keys }: ContextPlace,
  id: ContextId,
  traceparent: string,
): Promise<void> {
  const most = MAX_TRACES * TRACEPARENT_LENGTH
  await link.run(NOTE, [keys.traces(id)], [traceparent, most, KEPT_MS]).catch(() => undefined)
}

/** Throws Fault REDIS_UNAVAILABLE. */
export async function notedTraces({ link, keys }: ContextPlace, id: ContextId): Promise<NotedTraces> {
  const noted = String((await link.call('GET', keys.traces(id))) ?? '')
  const contexts: { traceparent: string; context: TraceContext }[] = []
  for (let at = 0; at < noted.length; at += TRACEPARENT_LENGTH) {
    const traceparent = noted.slice(at, at + TRACEPARENT_LENGTH)
    const context = parseTraceparent(traceparent)
    if (context !== undefined) contexts.push({ traceparent, context })
  }
  return { noted, contexts }
}

/** The enrichment that they led to is done. Throws Fault REDIS_UNAVAILABLE. */
export async function forgetTraces(
  { link, keys }: ContextPlace,
  id: ContextId,
  noted: string,
): Promise<void> {
  await link.run(FORGET, [keys.traces(id)], [noted])
}
