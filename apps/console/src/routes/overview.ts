/** The whole pipeline at a glance, for people and for Prometheus. */
import type { PipelineView } from '@weir/core/pipeline-view'
import type { FastifyInstance } from 'fastify'
import type { MetricsCollector } from '../metrics.ts'
import { problemResponses } from '../openapi.ts'
import { breakersSchema, ledgerSchema, statusSchema } from '../schemas.ts'

export interface OverviewOptions {
  /** Serve /metrics and /stats without the token (observability.metrics.open). */
  readonly metricsOpen: boolean
  /** undefined = nothing is measured, and there is no /metrics (observability.metrics.enabled). */
  readonly metrics: MetricsCollector | undefined
}

export function overviewRoutes(
  app: FastifyInstance,
  view: PipelineView,
  { metricsOpen, metrics }: OverviewOptions,
): void {
  const open = { open: metricsOpen }

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

  if (metrics === undefined) return
  app.get(
    '/metrics',
    {
      config: open,
      schema: {
        tags: ['pipeline'],
        operationId: 'getMetrics',
        summary: 'Prometheus metrics: all consumers added up, gauges out of the ledger, and this process',
        description:
          'Answered without Redis too: webhook_consumer_lag_known and webhook_redis_connected are 0 then, and gauges that nobody knows are absent.',
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
