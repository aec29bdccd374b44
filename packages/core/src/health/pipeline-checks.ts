/** What the ledger and the breakers say of the pipeline's health, for every process that reads them. */
import type { LedgerFacts } from '../view/status.ts'
import type { Check } from './document.ts'

/** The objective for the backlog (docs/health.md): with more events waiting, somebody should look. */
const MOST_WAITING = 1_000
/** Clocks of Redis servers differ by less; with more, ids tell no time (docs/redis.md), ms. */
const CLOCK_BEHIND_MS = 1_000

export function unknownCheck(detail: string): Check {
  return { state: 'unknown', age_ms: null, detail }
}

/** What waits, and for how long. */
export function lagCheck({ lag, oldest, clockBehindMs }: LedgerFacts): Check {
  const trouble =
    lag.messages === null
      ? 'Redis cannot tell how many events are unread'
      : lag.messages > MOST_WAITING
        ? `more than ${MOST_WAITING} events wait`
        : clockBehindMs > CLOCK_BEHIND_MS
          ? "Redis' clock was set back: ages are estimates"
          : undefined
  return {
    state: lag.messages === null ? 'unknown' : trouble === undefined ? 'ok' : 'degraded',
    age_ms: 0,
    ...(trouble !== undefined && { detail: trouble }),
    messages: lag.messages,
    unread: lag.unread,
    pending: lag.pending,
    parked: lag.parked,
    oldest_unread_ms: oldest.unread_ms,
    oldest_pending_ms: oldest.pending_ms,
    clock_behind_ms: clockBehindMs,
  }
}

const LEDGER_TROUBLE = {
  loss: 'Redis lost events that it had acknowledged',
  unbalanced: 'accepted events are in no place',
  unknown: 'Redis cannot tell how many events are unread',
  balanced: undefined,
} as const

/** Whether every accepted event is somewhere. */
export function ledgerCheck({ audit: { verdict, ledger }, group }: LedgerFacts): Check {
  const trouble = LEDGER_TROUBLE[verdict]
  return {
    state: verdict === 'balanced' ? 'ok' : verdict === 'unknown' ? 'unknown' : 'failing',
    age_ms: 0,
    ...(trouble !== undefined && { detail: trouble }),
    verdict,
    unaccounted: ledger.unaccounted,
    accepted: ledger.accepted,
    settled: ledger.settled,
    dead: ledger.dead,
    group,
  }
}

/** The breakers of the tools' handlers: an open one is one tool's trouble, and somebody should look. */
export function breakersCheck(
  breakers: readonly { readonly tool: string; readonly state: 'closed' | 'open' | 'half-open' }[],
): Check {
  const those = (wanted: string) => breakers.filter(({ state }) => state === wanted).map(({ tool }) => tool)
  const open = those('open')
  const halfOpen = those('half-open')
  const troubled = [...open, ...halfOpen]
  return {
    state: troubled.length === 0 ? 'ok' : 'degraded',
    age_ms: 0,
    ...(troubled.length > 0 && { detail: `handlers fail: ${troubled.join(', ')}` }),
    open,
    half_open: halfOpen,
  }
}
