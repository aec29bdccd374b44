/**
 * One request and its one answer. Every answer is counted here, and no answer leaves a connection in a state that
 * the next request on it would suffer from.
 *
 * A refusal may come before the body has arrived. A small rest of known size is read and dropped, so that the
 * connection can be kept. Otherwise the connection is closed, but not at once: closing while bytes are still coming
 * resets it, and the reset can overtake the answer. So the answer goes out first, whatever comes is dropped for a
 * moment, and then the connection ends.
 */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { EventId } from '@weir/core/event'
import type { Span } from '@weir/core/tracing/tracer'
import type { GatewayMetrics } from './metrics.ts'
import { type Problem, problemDocument } from './problem.ts'

/** Largest rest of a body that is read and dropped to keep the connection, bytes. */
const KEEP_ALIVE_REST_BYTES = 64 * 1024
/** How long a connection with more than that lingers after its answer, ms. */
export const LINGER_MS = 1000

/** `truncated`: the sender finished without sending all of it; `malformed`: what came is not HTTP; `gone`: the connection broke. */
export type BodyFailure = 'too-large' | 'too-slow' | 'truncated' | 'malformed' | 'gone'

/** What the answers must know of the server. */
export interface ServerLife {
  /** No connection is kept any more. */
  stopping: boolean
}

export interface Exchange {
  readonly life: Readonly<ServerLife>
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Label `path`: a route's pattern, never a path as sent. */
  readonly path: string
  /** The client waits for 100 Continue before it sends the body. */
  readonly expectsContinue: boolean
  /** Monotonic, ms. */
  readonly startedAt: number
  /** X-Request-ID of the request; {@link correlationId} gives it one where it has none. */
  requestId: string | undefined
  /** Its trace, once there is one; most requests have none. */
  span: Span | undefined
  /** Set while the body is read: what the server calls when the connection turns out to be broken. */
  breakBody: ((failure: BodyFailure) => void) | undefined
  /** Reading the body failed: what follows on this connection cannot be understood. */
  bodyFailed: boolean
}

const JSON_TYPE = 'application/json'

/**
 * What the logs and the answer call this request: its X-Request-ID, or an id made up when it is first needed. Accepted events
 * need none: where the request has no id, theirs is the correlation id.
 */
export function correlationId(exchange: Exchange): string {
  exchange.requestId ??= `req_${randomUUID()}`
  return exchange.requestId
}

/** Answers with a page: JSON or text. */
export function answer(
  metrics: GatewayMetrics,
  exchange: Exchange,
  status: number,
  contentType: string,
  body: string,
  headers: readonly string[] = [],
): void {
  const { life, request, response, path, bodyFailed } = exchange
  metrics.received(path, status)
  if (life.stopping) response.shouldKeepAlive = false
  const length = String(Buffer.byteLength(body))
  const all = [
    'Content-Type',
    contentType,
    'Content-Length',
    length,
    REQUEST_ID,
    correlationId(exchange),
    ...headers,
  ]
  if (!bodyFailed && restIsSmall(request)) {
    response.writeHead(status, all)
    response.end(body)
    return
  }
  all.push('Connection', 'close')
  response.writeHead(status, all)
  response.write(body)
  request.resume()
  const end = (): void => {
    clearTimeout(timer)
    response.end()
  }
  // A sender that has finished its side of the connection sends nothing that could be in the way.
  const timer = setTimeout(end, request.socket.readableEnded ? 0 : LINGER_MS)
  request.once('close', end)
  request.once('end', end)
}

/** 202: the event is durable. The hot one, so it takes no detour. */
export function answerAccepted(
  metrics: GatewayMetrics,
  { life, response, path, requestId }: Exchange,
  id: EventId,
): void {
  metrics.received(path, 202)
  if (life.stopping) response.shouldKeepAlive = false
  // Ids are base64url, so nothing needs escaping, and characters are bytes.
  const body = `{"status":"accepted","event_id":"${id}"}`
  const length = String(body.length)
  response.writeHead(202, ['Content-Type', JSON_TYPE, 'Content-Length', length, REQUEST_ID, requestId ?? id])
  response.end(body)
}

/** 200: this occurrence was accepted before, as `firstId`. */
export function answerDuplicate(metrics: GatewayMetrics, exchange: Exchange, firstId: EventId): void {
  exchange.requestId ??= firstId
  answer(metrics, exchange, 200, JSON_TYPE, `{"status":"duplicate","event_id":"${firstId}"}`)
}

/** 200 to a sender that asks whether the endpoint is ours: with the text that it sent, signed. */
export function answerChallenge(metrics: GatewayMetrics, exchange: Exchange, challenge: string): void {
  answer(metrics, exchange, 200, 'text/plain', challenge)
}

export function answerJson(metrics: GatewayMetrics, exchange: Exchange, status: number, body: unknown): void {
  answer(metrics, exchange, status, JSON_TYPE, JSON.stringify(body))
}

/** A problem document (RFC 9457). */
export function refuse(metrics: GatewayMetrics, exchange: Exchange, problem: Problem): void {
  const { status, headers } = problem
  answer(metrics, exchange, status, PROBLEM_TYPE, problemDocument(problem), headers)
}

const REQUEST_ID = 'X-Request-ID'
export const PROBLEM_TYPE = 'application/problem+json'

/** True when nothing of the body is outstanding, or so little that reading it is cheaper than a new connection. */
function restIsSmall(request: IncomingMessage): boolean {
  if (request.complete) return true
  const { 'content-length': declared, 'transfer-encoding': chunked } = request.headers
  return (
    chunked === undefined && Number(declared ?? 0) <= KEEP_ALIVE_REST_BYTES && !request.socket.readableEnded
  )
}
