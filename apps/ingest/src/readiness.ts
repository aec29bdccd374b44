/**
 * Is this gateway ready for webhooks? Yes as long as it can keep one safely. Without Redis but with a spool that takes
 * events it says "degraded" and stays in service: taking every gateway out just when the spools are needed would lose
 * what the senders do not send again.
 */
import type { Clock } from '@weir/core/clock'
import type { Pulse } from './pulse.ts'
import type { Spool } from './spool/spool.ts'

export interface Readiness {
  readonly status: 200 | 503
  readonly body: {
    readonly status: 'ok' | 'degraded' | 'stopping'
    readonly redis: 'ok' | 'disconnected'
    readonly version: 'v1'
    readonly uptime_seconds: number
  }
}

export interface ReadinessOptions {
  readonly pulse: Pulse
  /** The spool that takes events, if there is one. */
  readonly spool: Spool | undefined
  readonly clock: Clock
  stopping(): boolean
}

export function createReadiness({ pulse, spool, clock, stopping }: ReadinessOptions): () => Readiness {
  const startedAt = clock.monotonic()
  return () => {
    const up = pulse.up
    const takes = up || (spool?.accepting ?? false)
    return {
      status: takes && !stopping() ? 200 : 503,
      body: {
        status: stopping() ? 'stopping' : up ? 'ok' : 'degraded',
        redis: up ? 'ok' : 'disconnected',
        version: 'v1',
        uptime_seconds: Math.floor((clock.monotonic() - startedAt) / 1000),
      },
    }
  }
}
