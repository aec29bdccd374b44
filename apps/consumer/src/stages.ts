/**
 * What happens to an event between reading and settling, in order:
 *
 *   1 decode    unpack the body, see that it is what its sender says (decode.ts)
 *   2 context   put into the context of its subject, once (@weir/context-lifecycle)
 *   3 fan out   the user's handlers
 *
 * A stage ends the event's way by throwing: PermanentError → dead-lettered at once, Fault DICTIONARY_MISSING → waits
 * without using up attempts, anything else → retried.
 */
import type { Handler, HandlerContext, HandlerEvent } from '@weir/core/handlers/handler'
import type { Span } from '@weir/core/tracing/tracer'
import type { Logger } from 'pino'
import type { AttemptTrace } from './attempt-trace.ts'

export interface FanOut {
  /** Handlers for an event, in the order of definition; the same array for the same name. */
  handlersFor(event: Pick<HandlerEvent, 'tool' | 'type' | 'name'>): readonly Handler[]
}

/** What is known of one tool's handlers. */
interface Subscriptions {
  /** Names and types that they list. */
  readonly listed: ReadonlySet<string>
  /** Types of which they may list a name: `a` and `a.b` of `a.b.c`. The name of other events need not be looked for. */
  readonly named: ReadonlySet<string>
  /** Who wants an event, by name and type as far as they are listed. */
  readonly lists: Map<string, readonly Handler[]>
}

/**
 * A handler wants an event whose name or type it lists, or lists `*`. Which handlers want which is worked out once for
 * each name and type that any handler lists, so that the memory does not grow with what senders invent.
 */
export function createFanOut(handlers: readonly Handler[]): FanOut {
  const NONE: readonly Handler[] = []
  const byTool = new Map<string, Subscriptions>()
  for (const tool of new Set(handlers.map((handler) => handler.tool))) {
    const listed = new Set(handlers.flatMap((handler) => (handler.tool === tool ? handler.events : [])))
    const named = new Set([...listed].flatMap(beginningsOf))
    byTool.set(tool, { listed, named, lists: new Map() })
  }
  return {
    handlersFor(event) {
      const subscriptions = byTool.get(event.tool)
      if (subscriptions === undefined) return NONE
      const { listed, named, lists } = subscriptions
      const type = listed.has(event.type) ? event.type : ''
      let name = named.has(event.type) ? event.name : ''
      if (!listed.has(name)) name = ''
      const key = name === '' ? type : `${name} ${type}`
      let list = lists.get(key)
      if (list === undefined) {
        const wanted = new Set(['*', name, type])
        list = handlers.filter(
          ({ tool, events }) => tool === event.tool && events.some((each) => wanted.has(each)),
        )
        lists.set(key, list)
      }
      return list
    },
  }
}

/** `a` and `a.b` of `a.b.c`. */
function beginningsOf(name: string): string[] {
  const parts = name.split('.')
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('.'))
}

/** What the logs call the request that brought the event: its X-Request-ID, else the event's id. */
export function requestIdOf(event: HandlerEvent): string {
  return event.headers.get('x-request-id') ?? event.id
}

/** One attempt at an event, as its handlers see it. */
export interface Attempt {
  /** Aborts when the attempt is over; made when it is first asked for. */
  signal(): AbortSignal
  /** True when its time is up: no further handler is started. */
  over(): boolean
  /** Where the event is traced. */
  readonly trace: Pick<AttemptTrace, 'handler'> | undefined
  /** The event's own, as the gateway wrote it; '' = none. */
  readonly traceparent: string
}

/** What a handler is given beside the event; made of parts that most handlers never look at. */
class Context implements HandlerContext {
  readonly #handler: Handler
  readonly #event: HandlerEvent
  readonly #attempt: Attempt
  readonly #log: Logger
  readonly #span: Span | undefined

  constructor(handler: Handler, event: HandlerEvent, attempt: Attempt, log: Logger, span: Span | undefined) {
    this.#handler = handler
    this.#event = event
    this.#attempt = attempt
    this.#log = log
    this.#span = span
  }
  get signal(): AbortSignal {
    return this.#attempt.signal()
  }
  get log(): Logger {
    return this.#log.child({
      handler: this.#handler.name,
      event_id: this.#event.id,
      request_id: this.requestId,
      trace_id: this.#span?.traceId,
    })
  }
  get idempotencyKey(): string {
    return `${this.#event.id}:${this.#handler.name}`
  }
  get requestId(): string {
    return requestIdOf(this.#event)
  }
  get traceparent(): string | undefined {
    const { traceparent } = this.#span ?? this.#attempt
    return traceparent === '' ? undefined : traceparent
  }
}

/**
 * Runs an event's handlers one after the other; the first failure, or the end of its time, ends the attempt. A failure is
 * thrown or rejected; undefined when all are done at once, without a promise.
 */
export function runHandlers(
  handlers: readonly Handler[],
  event: HandlerEvent,
  attempt: Attempt,
  log: Logger,
  from = 0,
): Promise<unknown> | undefined {
  for (let at = from; at < handlers.length; at++) {
    if (attempt.over()) return undefined
    const handler = handlers[at] as Handler
    const span = attempt.trace?.handler(handler.name)
    const result: unknown = span
      ? traced(handler, event, attempt, log, span)
      : handler.run(event, new Context(handler, event, attempt, log, undefined))
    if (!isThenable(result)) continue
    if (at + 1 === handlers.length) return Promise.resolve(result)
    return Promise.resolve(result).then(() => runHandlers(handlers, event, attempt, log, at + 1))
  }
  return undefined
}

/** Runs a handler whose event is traced. What it failed with is told by the attempt, redacted. */
function traced(handler: Handler, event: HandlerEvent, attempt: Attempt, log: Logger, span: Span): unknown {
  let result: unknown
  try {
    result = handler.run(event, new Context(handler, event, attempt, log, span))
  } catch (error) {
    span.end('')
    throw error
  }
  if (!isThenable(result)) {
    span.end()
    return result
  }
  // Waited for once: there are thenables (query builders) that do their work anew for everybody who asks.
  return Promise.resolve(result).then(
    () => span.end(),
    (error: unknown) => {
      span.end('')
      throw error
    },
  )
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  )
}
