/** Probes: open to everybody, and they say nothing that a stranger should not know; and the health of the whole, which does. */
import type { Clock } from '@weir/core/clock'
import { isFault } from '@weir/core/faults'
import { type HealthDocument, healthStatusCode } from '@weir/core/health/document'
import type { PipelineView } from '@weir/core/pipeline-view'
import type { FastifyInstance } from 'fastify'
import { problemResponses } from '../openapi.ts'
import { healthSchema, pipelineHealthSchema, readySchema } from '../schemas.ts'

/** Of the API, as every process of Weir answers it. */
const VERSION = 'v1'

export interface HealthRouteOptions {
  readonly clock: Pick<Clock, 'monotonic'>
  readonly health: () => Promise<HealthDocument>
  /** Serve /health/webhook without the token (observability.metrics.open). */
  readonly open: boolean
}

export function healthRoutes(
  app: FastifyInstance,
  view: PipelineView,
  { clock, health, open }: HealthRouteOptions,
): void {
  const started = clock.monotonic()

  app.get(
    '/health',
    {
      config: { open: true },
      logLevel: 'warn',
      schema: {
        tags: ['probes'],
        operationId: 'getHealth',
        summary: 'Is the process alive?',
        security: [],
        response: { 200: healthSchema },
      },
    },
    async () => ({ status: 'ok' }),
  )

  app.get(
    '/ready',
    {
      config: { open: true },
      logLevel: 'warn',
      schema: {
        tags: ['probes'],
        operationId: 'getReady',
        summary: 'Can it answer questions (is Redis there)?',
        security: [],
        response: { 200: readySchema, 503: readySchema },
      },
    },
    async (_request, reply) => {
      const up = await answers(view)
      return reply.status(up ? 200 : 503).send({
        status: up ? 'ok' : 'degraded',
        redis: up ? 'ok' : 'disconnected',
        version: VERSION,
        uptime_seconds: Math.floor((clock.monotonic() - started) / 1000),
      })
    },
  )

  app.get(
    '/health/webhook',
    {
      config: { open },
      schema: {
        tags: ['pipeline'],
        operationId: 'getPipelineHealth',
        summary: 'How each part does, and how old that knowledge is; 503 while events do not get through',
        description:
          'Nothing outside is asked for it: cold storage and providers are told as whoever used them last saw them.',
        response: { 200: pipelineHealthSchema, 503: pipelineHealthSchema, ...unauthorized() },
      },
    },
    async (_request, reply) => {
      const document = await health()
      return reply.status(healthStatusCode(document)).send(document)
    },
  )
}

async function answers(view: PipelineView): Promise<boolean> {
  try {
    await view.ping()
    return true
  } catch (error) {
    if (isFault(error)) return false
    throw error
  }
}

/** Without 503, which the document itself has here. */
function unauthorized(): Record<number, unknown> {
  const { 503: _away, ...others } = problemResponses()
  return others
}
