/**
 * The pages that tell about the gateway. `/health` and `/ready` are for probes and always open. The others say more
 * than a stranger should know: they are open only with `observability.metrics.open`, otherwise they want the
 * operators' token, and without one configured they are not there.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { expose } from '@weir/core/exposition'
import { type HealthDocument, healthStatusCode } from '@weir/core/health/document'
import { answer, answerJson, type Exchange, refuse } from './exchange.ts'
import type { Journals } from './journals.ts'
import type { Lane } from './lane.ts'
import type { Lanes } from './lanes.ts'
import type { GatewayMetrics } from './metrics.ts'
import { problem } from './problem.ts'
import type { Readiness } from './readiness.ts'
import type { Page } from './route.ts'

export interface PageOptions {
  readonly readiness: () => Readiness
  readonly health: () => Promise<HealthDocument>
  readonly metrics: GatewayMetrics
  readonly lanes: Lanes
  readonly spool: Journals | undefined
  readonly gateway: string
  /** Wall clock, ms. */
  now(): number
  /** False = `/metrics` is not served at all. */
  readonly measures: boolean
  readonly open: boolean
  readonly token: string | null
}

export function createPages(options: PageOptions): (exchange: Exchange, page: Page) => Promise<void> {
  const { metrics, readiness } = options
  const token = options.token === null ? undefined : digest(`Bearer ${options.token}`)

  return async (exchange, page) => {
    if (page === '/health') return answerJson(metrics, exchange, 200, { status: 'ok' })
    if (page === '/ready') {
      const { status, body } = readiness()
      return answerJson(metrics, exchange, status, body)
    }
    if (!options.open && !(await admitted(exchange))) return
    if (page === '/stats') return answerJson(metrics, exchange, 200, stats(options))
    if (page === '/health/webhook') {
      const health = await options.health()
      return answerJson(metrics, exchange, healthStatusCode(health), health)
    }
    if (!options.measures) {
      return refuse(
        metrics,
        exchange,
        problem('ROUTE_UNKNOWN', 'Metrics are switched off (observability.metrics.enabled).'),
      )
    }
    const { contentType, text } = await expose(metrics.registry, exchange.request.headers.accept)
    answer(metrics, exchange, 200, contentType, text)
  }

  /** Whether the request shows the token; if not, it has been answered. */
  async function admitted(exchange: Exchange): Promise<boolean> {
    if (token === undefined) {
      refuse(metrics, exchange, problem('ROUTE_UNKNOWN'))
      return false
    }
    // Digests have one length, so that comparing them takes one time.
    if (timingSafeEqual(digest(exchange.request.headers.authorization ?? ''), token)) return true
    metrics.count('webhook_auth_failures_total', 'none', 'token')
    refuse(metrics, exchange, problem('TOKEN_REQUIRED', undefined, ['WWW-Authenticate', 'Bearer']))
    return false
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** What this process has counted since it started. */
function stats(options: PageOptions): unknown {
  const { lanes, gateway } = options
  const { all } = lanes
  const { highest } = (all[0] as Lane).witness
  const sum = (pick: (lane: Lane) => number) => all.reduce((total, lane) => total + pick(lane), 0)
  return {
    gateway,
    ...options.readiness().body,
    redis_state: stateOf(lanes),
    spool: spoolState(options),
    witness: {
      ...(all.length === 1 && { highest }),
      held: sum(({ witness }) => witness.held),
      bytes: sum(({ witness }) => witness.bytes),
    },
    ...partitionsOf(options),
    counters: options.metrics.counters(),
  }
}

/** With several partitions: each of them. */
function partitionsOf({ lanes: { all, plan }, spool }: PageOptions): object {
  if (all.length === 1) return {}
  return {
    epoch: plan?.epoch ?? null,
    partitions: all.map(({ keys: { partition }, pulse, link, witness: { highest, held } }) => ({
      partition,
      redis_state: pulse.state,
      server: link.peer,
      spooled: spool?.open.get(partition)?.records ?? 0,
      witness: { highest, held },
    })),
  }
}

/** That of the first that takes no events. */
function stateOf({ all }: Lanes): string {
  const away = all.find(({ pulse }) => !pulse.up) ?? (all[0] as Lane)
  return away.pulse.state
}

function spoolState({ spool, now }: PageOptions): unknown {
  if (spool === undefined) return null
  const { records, bytes, oldestAt, accepting } = spool
  return { records, bytes, oldest_age_ms: oldestAt === undefined ? 0 : now() - oldestAt, accepting }
}
