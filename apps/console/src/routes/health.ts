/** Probes: open to everybody, and they say nothing that a stranger should not know. */
import type { Clock } from '@weir/core/clock'
import { isFault } from '@weir/core/faults'
import type { PipelineView } from '@weir/core/pipeline-view'
import type { FastifyInstance } from 'fastify'
import { healthSchema, readySchema } from '../schemas.ts'

/** Of the API, as every process of Weir answers it. */
const VERSION = 'v1'

export function healthRoutes(
  app: FastifyInstance,
  view: PipelineView,
  clock: Pick<Clock, 'monotonic'>,
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
