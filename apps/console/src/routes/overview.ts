/** The whole pipeline at a glance, for people and for Prometheus. */
import type { PipelineView } from '@weir/core/pipeline-view'
import type { FastifyInstance } from 'fastify'
import { createMetricsCollector } from '../metrics.ts'
import { problemResponses } from '../openapi.ts'
import { breakersSchema, ledgerSchema, statusSchema } from '../schemas.ts'

export interface OverviewOptions {
  /** Serve /metrics and /stats without the token (observability.metrics.open). */
  readonly metricsOpen: boolean
}

export function overviewRoutes(
  app: FastifyInstance,
  view: PipelineView,
  { metricsOpen }: OverviewOptions,
): void {
  const open = { open: metricsOpen }
  const metrics = createMetricsCollector(view)

  app.get(
    '/ledger',
    {
      schema: {
        tags: ['pipeline'],
        operationId: 'getLedger',
        summary: 'Where all accepted events are',
        description:
          'accepted = settled + superseded + purged + unread + pending + parked + dead; unaccounted is the difference.',
        response: { 200: ledgerSchema, ...problemResponses() },
      },
    },
    async () => (await view.ledger()).audit.ledger,
  )

  app.get(
    '/breakers',
    {
      schema: {
        tags: ['pipeline'],
        operationId: 'getBreakers',
        summary: 'The circuit breaker of every tool',
        response: { 200: breakersSchema, ...problemResponses() },
      },
    },
    async () => ({ breakers: await view.breakers() }),
  )

  app.get(
    '/stats',
    {
      config: open,
      schema: {
        tags: ['pipeline'],
        operationId: 'getStats',
        summary: 'Ledger, lag, consumers, gateways, breakers, stream and Redis',
        response: { 200: statusSchema, ...problemResponses() },
      },
    },
    () => view.status(),
  )

  app.get(
    '/metrics',
    {
      config: open,
      schema: {
        tags: ['pipeline'],
        operationId: 'getMetrics',
        summary: 'Prometheus metrics: all living consumers added up, and gauges out of the ledger',
        response: {
          200: {
            description: 'Prometheus text format 0.0.4',
            content: { 'text/plain': { schema: { type: 'string' } } },
          },
          ...problemResponses(),
        },
      },
    },
    async ({ log }, reply) => {
      const { contentType, text, skipped } = await metrics.collect()
      if (skipped.length > 0) log.warn({ consumers: skipped }, 'reports of consumers that are not metrics')
      return reply.type(contentType).send(text)
    },
  )
}
