/**
 * Is this gateway ready for webhooks? Yes as long as it can keep one safely. Without Redis but with a spool that takes
 * events it says "degraded" and stays in service: taking every gateway out just when the spools are needed would lose
 * what the senders do not send again.
 */
import type { Clock } from '@weir/core/clock'
import type { Lanes } from './lanes.ts'

export interface Readiness {
  readonly status: 200 | 503
  readonly body: {
    readonly status: 'ok' | 'degraded' | 'stopping'
    readonly redis: 'ok' | 'disconnected'
    readonly version: 'v1'
    readonly uptime_seconds: number
    /** With several partitions: those that take no events now. */
    readonly partitions_away?: readonly number[]
  }
}

export interface ReadinessOptions {
  readonly lanes: Lanes
  /** The spool that takes events, if there is one. */
  readonly spool: { readonly accepting: boolean } | undefined
  readonly clock: Clock
  stopping(): boolean
}

export function createReadiness({ lanes, spool, clock, stopping }: ReadinessOptions): () => Readiness {
  const startedAt = clock.monotonic()
  return () => {
    const { plan, all } = lanes
    const away = all.filter(({ pulse }) => !pulse.up).map(({ keys }) => keys.partition)
    const up = away.length === 0 && plan !== undefined
    const takes = up || (spool?.accepting ?? false)
    return {
      status: takes && !stopping() ? 200 : 503,
      body: {
        status: stopping() ? 'stopping' : up ? 'ok' : 'degraded',
        redis: up ? 'ok' : 'disconnected',
        version: 'v1',
        uptime_seconds: Math.floor((clock.monotonic() - startedAt) / 1000),
        ...(all.length > 1 && { partitions_away: away }),
      },
    }
  }
}
