/**
 * User handlers: what they are given, and how one is defined.
 *
 * A handler runs at least once per event. Its effects happen once when they are keyed by `ctx.idempotencyKey`, which is
 * the same in every attempt, after a crash, and after a replay from the dead letters.
 */
import type { Logger } from 'pino'
import type { Subject } from '../adapters/adapter.ts'
import type { EventId } from '../event.ts'
import type { EventName, Payload } from './payloads.ts'

/** What costs something (name, headers, payload, body, subject) is made when it is first read. */
export interface HandlerEvent<Body = unknown> {
  readonly id: EventId
  readonly tenant: string
  readonly tool: string
  /** The sender's event type, e.g. `pull_request`. */
  readonly type: string
  /** Type and action, e.g. `pull_request.opened`; equal to the type where there is no action. */
  readonly name: string
  /** When the gateway received it, ms since the epoch. */
  readonly receivedAt: number
  /** The kept headers, lower-case names. */
  readonly headers: ReadonlyMap<string, string>
  /** The parsed payload: the same object for all handlers of an attempt. Never throws; the body was checked before. */
  readonly payload: Body
  /** The bytes as the sender signed them. */
  readonly body: Buffer
  readonly subject: Subject | undefined
  /** 1 for the first attempt. */
  readonly attempt: number
}

export interface HandlerContext {
  /** Aborts when the handler's time is up, or when the consumer has to stop. */
  readonly signal: AbortSignal
  readonly log: Logger
  /** Key every effect by this: the event id and the handler's name. */
  readonly idempotencyKey: string
  /** Correlation id: the X-Request-ID that came with the event, else the event's id. `log` has it. */
  readonly requestId: string
  /**
   * W3C trace context of this handler's span, for a `traceparent` header of what it calls, so that it joins the event's trace. Undefined
   * for events that are not traced (observability.tracing). `log` has the trace's id.
   */
  readonly traceparent: string | undefined
}

/** What {@link defineHandler} takes: the payload's type follows from tool and event names. */
export interface HandlerDefinition<Tool extends string, Name extends string> {
  /** Shown in logs, metrics and idempotency keys; unique among the handlers. */
  readonly name: string
  readonly tool: Tool
  /** Types (`pull_request`), types with an action (`pull_request.opened`), or `*`. */
  readonly events: readonly Name[]
  /**
   * Return (or resolve) when the work is done; throw to have it retried with backoff, or {@link PermanentError} to
   * dead-letter it at once.
   */
  run(event: HandlerEvent<Payload<Tool, Name>>, ctx: HandlerContext): void | Promise<void>
}

/** A handler as the consumer sees it. */
export interface Handler {
  readonly name: string
  readonly tool: string
  readonly events: readonly string[]
  run(event: HandlerEvent, ctx: HandlerContext): void | Promise<void>
}

/** Thrown by a handler when trying again would not help: the event is dead-lettered without further attempts. */
export class PermanentError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'PermanentError'
  }
}

const DEFINED = Symbol.for('weir.handler')

export type DefinedHandler = Handler & { readonly [DEFINED]: true }

/**
 * Defines a handler with the payload type of its events. A handler module exports one as default, or a list.
 *
 *     export default defineHandler({
 *       name: 'label-new-pull-requests',
 *       tool: 'github',
 *       events: ['pull_request.opened'],
 *       async run(event, ctx) { ctx.log.info({ title: event.payload.pull_request.title }, 'opened') },
 *     })
 */
export function defineHandler<const Tool extends string, const Name extends EventName<Tool>>(
  handler: HandlerDefinition<Tool, Name>,
): DefinedHandler {
  return { ...(handler as unknown as Handler), [DEFINED]: true }
}

/** True for what {@link defineHandler} made. */
export function isHandler(value: unknown): value is DefinedHandler {
  return typeof value === 'object' && value !== null && (value as Partial<DefinedHandler>)[DEFINED] === true
}
