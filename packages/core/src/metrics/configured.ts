/** The push of metrics that the configuration asks for. */
import type { Registry } from 'prom-client'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/schema.ts'
import type { Component, ProcessMetrics } from './process-metrics.ts'
import { createPusher, type Pusher } from './pusher.ts'

export interface ConfiguredPusherDeps {
  readonly component: Component
  readonly host: string
  /** That it listens on; null = on none, and `pid` tells it from others on the same host. */
  readonly port: number | null
  readonly pid: number
  readonly registry: Pick<Registry, 'metrics' | 'contentType'>
  readonly process: ProcessMetrics
  readonly clock: Clock
  readonly log: {
    info(fields: object, text: string): void
    warn(fields: object, text: string): void
  }
}

/** undefined where there is no Pushgateway, or nothing is measured. */
export function configuredPusher(config: Config, deps: ConfiguredPusherDeps): Pusher | undefined {
  const { enabled, push_gateway: url, push_interval: intervalMs } = config.observability.metrics
  if (!enabled || url === null) return undefined
  const { component, host, port, pid, registry, clock, log } = deps
  const event = 'metrics_push'
  return createPusher({
    url,
    job: `webhook-${component}`,
    instance: `${host}:${port ?? `pid-${pid}`}`,
    registry,
    intervalMs,
    send: fetch,
    clock,
    pushed: deps.process.pushed,
    onTrouble: (reason) => log.warn({ event, reason }, 'metrics cannot be pushed; it is tried again'),
    onBack: () => log.info({ event }, 'metrics are pushed again'),
  })
}
