/**
 * The operations API: what operators ask about the pipeline, over HTTP. It needs Redis and nothing else; gateway and
 * consumer may be down.
 */
import swagger from '@fastify/swagger'
import type { Contexts } from '@weir/context-lifecycle/contexts'
import { createEventLookup } from '@weir/context-lifecycle/event-lookup'
import type { ContextSearch } from '@weir/context-lifecycle/search/search'
import { type Auditor, NO_AUDIT } from '@weir/core/audit/auditor'
import type { Clock } from '@weir/core/clock'
import { isFault, messageOf } from '@weir/core/faults'
import type { HealthDocument } from '@weir/core/health/document'
import type { PipelineView } from '@weir/core/pipeline-view'
import {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  fastify,
  LogController,
} from 'fastify'
import { createAccessNotes } from './access-notes.ts'
import { bearerCheck } from './bearer.ts'
import type { MetricsCollector } from './metrics.ts'
import { openapiOptions } from './openapi.ts'
import { codeOfFault, type ProblemDocument, problemDocument, Refusal } from './problems.ts'
import { contextRoutes } from './routes/contexts.ts'
import { deadLetterRoutes } from './routes/dead-letters.ts'
import { eventRoutes } from './routes/events.ts'
import { healthRoutes } from './routes/health.ts'
import { overviewRoutes } from './routes/overview.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answered without the token. */
    open?: boolean
  }
}

export interface OpsServerOptions {
  readonly view: PipelineView
  /** undefined = there are none (webhook.context_lifecycle.enabled). */
  readonly contexts: Contexts | undefined
  /** Over these contexts. */
  readonly search: Pick<ContextSearch, 'search'> | undefined
  /** The operators' token; must not be empty. */
  readonly token: string
  /** What /metrics answers; undefined = there is none. */
  readonly metrics: MetricsCollector | undefined
  /** What /health/webhook answers. */
  readonly health: () => Promise<HealthDocument>
  /** Serve /metrics, /stats and /health/webhook without the token. */
  readonly metricsOpen: boolean
  /** Told of what operators change, and of requests without the token; default: nobody is. */
  readonly audit?: Auditor
  readonly clock: Clock
  readonly log: FastifyBaseLogger
}

/** Largest body of a request, bytes. No route takes one. */
const BODY_LIMIT = 1024
/** How long a client may take to send its request, ms. */
const REQUEST_TIMEOUT_MS = 10_000
/** What a client should wait before it asks again while Redis is away, s. */
const RETRY_AFTER_S = 1

/**
 * The API, not yet listening: `listen({ host, port })` starts it, `close()` stops it (finishes what is being answered;
 * harmless when repeated).
 */
export async function createOpsServer(options: OpsServerOptions): Promise<FastifyInstance> {
  const { view, contexts, search, token, metrics, metricsOpen, audit = NO_AUDIT, clock, log } = options
  const shows = bearerCheck(token)
  const notes = createAccessNotes(audit, clock)
  const app: FastifyInstance = fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: 'idle',
    // A parameter that nobody knows is a mistake to be told of, not to be dropped.
    ajv: { customOptions: { removeAdditional: false } },
    routerOptions: { maxParamLength: 200 },
  })

  app.addHook('onRequest', async (request, reply) => {
    reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff')
    if (request.routeOptions.config.open === true || shows(request.headers.authorization)) return
    notes.refused(request.ip, request.headers.authorization === undefined ? 'missing' : 'wrong')
    reply.header('www-authenticate', 'Bearer realm="weir"')
    throw new Refusal('TOKEN_REQUIRED')
  })
  app.addHook('onResponse', async (request, reply) => {
    const { method, url, routeOptions, ip } = request
    const fields = {
      method,
      url,
      route: routeOptions.url,
      status: reply.statusCode,
      ip,
      ms: Math.round(reply.elapsedTime),
    }
    request.log.info(fields, 'answered')
  })
  app.addHook('onClose', async () => notes.stop())
  app.setNotFoundHandler(() => {
    throw new Refusal('ROUTE_UNKNOWN')
  })
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const problem = problemOf(error)
    if (problem.status === 503)
      request.log.warn({ code: problem.code, err: error.message }, 'not answerable now')
    else if (problem.status >= 500) request.log.error({ err: error, code: problem.code }, 'a request failed')
    if (problem.status === 503) reply.header('retry-after', RETRY_AFTER_S)
    return reply
      .status(problem.status)
      .type('application/problem+json')
      .serializer(JSON.stringify)
      .send(problem)
  })

  await app.register(swagger, openapiOptions)
  await app.register(async (routes) => {
    eventRoutes(routes, createEventLookup(view, contexts))
    if (contexts !== undefined && search !== undefined) contextRoutes(routes, contexts, search, clock)
    overviewRoutes(routes, view, { metricsOpen, metrics })
    deadLetterRoutes(routes, view, audit)
    healthRoutes(routes, view, { clock, health: options.health, open: metricsOpen })
    routes.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())
  })
  return app
}

function problemOf(error: unknown): ProblemDocument {
  if (error instanceof Refusal) return error.document
  if (isFault(error)) return problemDocument(codeOfFault(error.code), error.message)
  // Fastify's own: a query that does not fit the schema, a body where none belongs.
  if (
    error instanceof Error &&
    'statusCode' in error &&
    typeof error.statusCode === 'number' &&
    error.statusCode < 500
  ) {
    return problemDocument('REQUEST_INVALID', messageOf(error))
  }
  return problemDocument('INTERNAL')
}
