/**
 * The HTTP server: limits on what a connection may do, an answer to what is not HTTP, and an orderly end.
 */
import { createServer, type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Clock } from '@weir/core/clock'
import { Fault } from '@weir/core/faults'
import type { Logger } from 'pino'
import type { Dispatch } from './dispatch.ts'
import {
  type BodyFailure,
  correlationId,
  type Exchange,
  LINGER_MS,
  PROBLEM_TYPE,
  refuse,
  type ServerLife,
} from './exchange.ts'
import { requestIdOf } from './headers.ts'
import type { GatewayMetrics } from './metrics.ts'
import { type Problem, type ProblemCode, problem, problemDocument } from './problem.ts'
import { endRequest } from './request-trace.ts'

export interface ServerOptions {
  readonly host: string
  /** 0 = any free one. */
  readonly port: number
  /** ms */
  readonly headersTimeoutMs: number
  /** ms; enforced while the body is read, here only as the last resort. */
  readonly bodyTimeoutMs: number
  /** 0 = no limit. */
  readonly maxConnections: number
  /** What handles a request. Rejections are defects, answered with 500. */
  readonly dispatch: Dispatch
  readonly clock: Clock
  readonly metrics: GatewayMetrics
  readonly log: Logger
}

export interface HttpServer {
  /** Resolves with where it listens; rejects when the port is taken. */
  listen(): Promise<{ readonly host: string; readonly port: number }>
  /**
   * Answers the next request on each connection that a sender keeps, which closes it, until none is left or `lameDuckMs` are over: closing them
   * at once would break what is on its way. Then takes no more connections, and resolves when the open requests are answered, or
   * cut off. All of it takes `deadlineMs` at most.
   */
  stop(lameDuckMs: number, deadlineMs: number): Promise<void>
  readonly stopping: boolean
}

/** Idle connections are kept longer than load balancers keep theirs (60 s), or those would reuse a closed one. */
const KEEP_ALIVE_MS = 65_000
/** How often Node looks for requests that are over time, ms. */
const CHECK_INTERVAL_MS = 500
/** Headers of a request, bytes; more is 431. */
const MAX_HEADER_BYTES = 16 * 1024
/** Slack of the last resort, ms. */
const GRACE_MS = 1000
/** Label `path` of what never became a request. */
const UNPARSED = 'unparsed'

export function createHttpServer(options: ServerOptions): HttpServer {
  const { clock, metrics, log } = options
  /** The latest exchange of each connection: a parse error arrives without its request. */
  const exchanges = new WeakMap<Socket, Exchange>()
  const broken = new WeakSet<Socket>()
  const life: ServerLife = { stopping: false }

  const server = createServer({
    headersTimeout: options.headersTimeoutMs,
    requestTimeout: options.headersTimeoutMs + options.bodyTimeoutMs + GRACE_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: CHECK_INTERVAL_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
    // Answered by us, with a problem document.
    requireHostHeader: false,
    noDelay: true,
  })
  if (options.maxConnections > 0) server.maxConnections = options.maxConnections
  server.on('request', (request, response) => void serve(request, response, false))
  server.on('checkContinue', (request, response) => void serve(request, response, true))
  let connections = 0
  let atLastClosed = (): void => undefined
  server.on('connection', (socket) => {
    connections++
    socket.once('close', () => {
      if (--connections === 0) atLastClosed()
    })
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => fail(error, socket as Socket))

  async function serve(
    request: IncomingMessage,
    response: ServerResponse,
    expectsContinue: boolean,
  ): Promise<void> {
    const startedAt = clock.monotonic()
    let exchange: Exchange | undefined
    const begin = (path: string): Exchange => {
      exchange = {
        life,
        request,
        response,
        path,
        expectsContinue,
        startedAt,
        requestId: requestIdOf(request),
        span: undefined,
        breakBody: undefined,
        bodyFailed: false,
      }
      exchanges.set(request.socket, exchange)
      return exchange
    }
    try {
      await options.dispatch(request, begin)
    } catch (error) {
      const failed = exchange ?? begin('unknown')
      const request_id = correlationId(failed)
      const trace_id = failed.span?.traceId
      log.error(
        { event: 'request_failed', request_id, trace_id, err: error },
        'a request failed in an unforeseen way',
      )
      endRequest(failed, 500, { 'weir.outcome': 'failed' })
      if (!response.headersSent) refuse(metrics, failed, problem('INTERNAL'))
      else response.destroy()
    }
  }

  /** What is not HTTP, or came too slowly. */
  function fail(error: NodeJS.ErrnoException, socket: Socket): void {
    // One error is enough: what follows on the connection are its consequences.
    if (broken.has(socket)) return
    broken.add(socket)
    const exchange = exchanges.get(socket)
    if (exchange?.breakBody !== undefined) {
      exchange.breakBody(failureOf(error))
      return
    }
    if (exchange !== undefined && !exchange.response.writableFinished && !exchange.response.destroyed) {
      // The request before it is still being worked on, and its answer must not be torn.
      exchange.response.shouldKeepAlive = false
      exchange.response.once('finish', () => socket.destroySoon())
      return
    }
    if (!socket.writable || error.code === 'ECONNRESET' || error.code === 'EPIPE') {
      socket.destroy()
      return
    }
    const said = problem(codeOf(error))
    metrics.received(UNPARSED, said.status)
    log.info({ event: 'unparsed', code: said.code, status: said.status, reason: error.code }, 'refused')
    socket.end(rawAnswer(said))
    setTimeout(() => socket.destroy(), LINGER_MS).unref()
  }

  return {
    get stopping() {
      return life.stopping
    },
    listen() {
      return new Promise((resolve, reject) => {
        server.once('error', (cause: Error) => reject(cannotListen(options.host, options.port, cause)))
        server.listen(options.port, options.host, () => {
          server.removeAllListeners('error')
          const { address, port } = server.address() as AddressInfo
          resolve({ host: address, port })
        })
      })
    },
    async stop(lameDuckMs, deadlineMs) {
      life.stopping = true
      if (!server.listening) return
      const until = clock.monotonic() + deadlineMs
      if (connections > 0) {
        const empty = new AbortController()
        atLastClosed = () => empty.abort()
        await clock.wait(Math.min(lameDuckMs, deadlineMs), empty.signal)
      }
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      const timer = setTimeout(
        () => {
          log.warn({ event: 'stopping' }, 'requests that are still open are cut off')
          server.closeAllConnections()
        },
        Math.max(0, until - clock.monotonic()),
      )
      await closed
      clearTimeout(timer)
    },
  }
}

function cannotListen(host: string, port: number, cause: Error): Fault {
  return new Fault(
    'CONFIG_INVALID',
    `cannot listen on ${host}:${port} (${cause.message}); stop what listens there, or set another PORT`,
    { cause },
  )
}

function failureOf({ code }: NodeJS.ErrnoException): BodyFailure {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'too-slow'
  if (code === 'HPE_INVALID_EOF_STATE') return 'truncated'
  return code?.startsWith('HPE_') ? 'malformed' : 'gone'
}

function codeOf({ code }: NodeJS.ErrnoException): ProblemCode {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'REQUEST_TIMEOUT'
  return code === 'HPE_HEADER_OVERFLOW' ? 'HEADERS_TOO_LARGE' : 'MALFORMED_REQUEST'
}

/** An answer without a request to answer. */
function rawAnswer(said: Problem): string {
  const body = problemDocument(said)
  return [
    `HTTP/1.1 ${said.status} ${STATUS_CODES[said.status]}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n')
}
