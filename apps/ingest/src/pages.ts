/**
 * The pages that tell about the gateway. `/health` and `/ready` are for probes and always open. The others say more
 * than a stranger should know: they are open only with `observability.metrics.open`, otherwise they want the
 * operators' token, and without one configured they are not there.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { isFault, messageOf } from '@weir/core/faults'
import type { PartitionKeys } from '@weir/core/keys'
import type { RedisLink } from '@weir/core/redis/link'
import { readLedger } from '@weir/core/stream/ledger'
import { answer, answerJson, type Exchange, refuse } from './exchange.ts'
import type { GatewayMetrics } from './metrics.ts'
import { problem } from './problem.ts'
import type { Pulse } from './pulse.ts'
import type { Readiness } from './readiness.ts'
import type { Page } from './route.ts'
import type { Spool } from './spool/spool.ts'
import type { Witness } from './witness.ts'

export interface PageOptions {
  readonly readiness: () => Readiness
  readonly metrics: GatewayMetrics
  readonly pulse: Pulse
  readonly link: RedisLink
  readonly keys: PartitionKeys
  readonly spool: Spool | undefined
  readonly witness: Witness
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
    if (page === '/health/webhook') return answerJson(metrics, exchange, 200, await health(options))
    if (!options.measures) {
      return refuse(
        metrics,
        exchange,
        problem('ROUTE_UNKNOWN', 'Metrics are switched off (observability.metrics.enabled).'),
      )
    }
    const { registry } = metrics
    answer(metrics, exchange, 200, registry.contentType, await registry.metrics())
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
  const { witness, pulse, gateway } = options
  return {
    gateway,
    ...options.readiness().body,
    redis_state: pulse.state,
    spool: spoolState(options),
    witness: { highest: witness.highest, held: witness.held, bytes: witness.bytes },
    counters: options.metrics.counters(),
  }
}

/** The state of the whole way that this gateway can see. */
async function health(options: PageOptions): Promise<unknown> {
  const { link, keys, pulse } = options
  const state = { ...options.readiness().body, redis_state: pulse.state, spool: spoolState(options) }
  if (!pulse.up) return { ...state, stream: null }
  try {
    const { ledger, group, oldestUnreadMs, oldestPendingMs, lost } = await readLedger(link, keys)
    return {
      ...state,
      stream: { ledger, group, lost, oldest_unread_ms: oldestUnreadMs, oldest_pending_ms: oldestPendingMs },
    }
  } catch (error) {
    if (isFault(error, 'REDIS_UNAVAILABLE')) pulse.suspect()
    return { ...state, stream: null, problem: messageOf(error) }
  }
}

function spoolState({ spool, now }: PageOptions): unknown {
  if (spool === undefined) return null
  const { records, bytes, oldestAt, accepting } = spool
  return { records, bytes, oldest_age_ms: oldestAt === undefined ? 0 : now() - oldestAt, accepting }
}
