/**
 * The health of the whole, as the operations API can tell it: what it sees in Redis itself, and what the other processes reported
 * there of what only they see. Cold storage and providers are told by whoever used them last, be it this process; none is asked.
 *
 *   redis, lag, ledger, breakers   asked now
 *   consumers, gateways, curators  by their reports
 *   spool                          of all gateways, the worst of them
 *   cold_storage, ai               the newest that anybody saw
 */
import { isFault, messageOf } from '@weir/core/faults'
import {
  type Check,
  type CheckState,
  type Checks,
  type HealthDocument,
  healthDocument,
} from '@weir/core/health/document'
import { breakersCheck, lagCheck, ledgerCheck, unknownCheck } from '@weir/core/health/pipeline-checks'
import type { HealthReport } from '@weir/core/health/reports'
import type { PipelineView } from '@weir/core/pipeline-view'
import type { ConsumerReport } from '@weir/core/view/status'

export interface HealthOptions {
  readonly view: Pick<PipelineView, 'ledger' | 'breakers' | 'reports' | 'healthReports'>
  /** What this process saw itself. */
  readonly own: () => OwnChecks
  /** Whether there should be a curator (webhook.context_lifecycle.enabled). */
  readonly curated: boolean
}

export interface OwnChecks {
  readonly cold_storage: Check
  readonly ai: Check
}

/** Without these the events do not get through, or are not all there. */
const VITAL = ['redis', 'ledger', 'consumers']

export function createHealth(options: HealthOptions): () => Promise<HealthDocument> {
  const { view, own, curated } = options
  return async () => {
    try {
      const [facts, breakers, consumers, reports] = await Promise.all([
        view.ledger(),
        view.breakers(),
        view.reports(),
        view.healthReports(),
      ])
      const of = (component: string) => reports.filter((report) => report.component === component)
      return healthDocument(
        {
          redis: { state: 'ok', age_ms: 0 },
          lag: lagCheck(facts),
          ledger: ledgerCheck(facts),
          breakers: breakersCheck(breakers),
          consumers: consumersCheck(consumers, facts.lag.messages),
          gateways: present(of('gateway'), 'no gateway reports: events are not taken in, or it starts'),
          curators: curatorsCheck(of('curator'), curated),
          spool: spoolCheck(of('gateway')),
          cold_storage: newest('cold_storage', own().cold_storage, reports),
          ai: newest('ai', own().ai, reports),
        },
        VITAL,
      )
    } catch (error) {
      if (!isFault(error)) throw error
      return healthDocument(withoutRedis(messageOf(error), own()), VITAL)
    }
  }
}

function withoutRedis(detail: string, own: OwnChecks): Checks {
  const unknown = unknownCheck('Redis does not answer')
  return {
    redis: { state: 'failing', age_ms: 0, detail },
    lag: unknown,
    ledger: unknown,
    breakers: unknown,
    consumers: unknown,
    gateways: unknown,
    curators: unknown,
    spool: unknown,
    ...own,
  }
}

/** @param waiting null = nobody knows */
function consumersCheck(alive: readonly ConsumerReport[], waiting: number | null): Check {
  const sum = (pick: (report: ConsumerReport) => number | null) =>
    alive.reduce((total, report) => total + (pick(report) ?? 0), 0)
  const facts = { alive: alive.length, held: sum(({ held }) => held), running: sum(({ running }) => running) }
  if (alive.length > 0) return { state: 'ok', age_ms: 0, ...facts }
  return waiting !== null && waiting > 0
    ? { state: 'failing', age_ms: 0, detail: 'no consumer runs, and events wait', ...facts }
    : { state: 'degraded', age_ms: 0, detail: 'no consumer runs', ...facts }
}

/** As old as the oldest of their reports. */
function present(reports: readonly HealthReport[], otherwise: string): Check {
  const alive = reports.length
  if (alive === 0) return { state: 'degraded', age_ms: 0, detail: otherwise, alive }
  return { state: 'ok', age_ms: Math.max(...reports.map(({ ageMs }) => ageMs)), alive }
}

/** Contexts stay where they are without one; events get through. */
function curatorsCheck(reports: readonly HealthReport[], curated: boolean): Check {
  if (!curated && reports.length === 0) return { state: 'off', age_ms: null, alive: 0 }
  const check = present(reports, 'no curator reports: contexts stay where they are, or it starts')
  const sweeps = reports.flatMap(({ checks }) => checks.sweep ?? [])
  const [last] = sweeps.sort(byAge)
  if (last === undefined || check.state !== 'ok') return check
  const { state, detail, age_ms: lastSweepMs } = last
  return {
    ...check,
    state: state === 'unknown' ? 'ok' : state,
    ...(detail !== undefined && { detail: `the last sweep: ${detail}` }),
    last_sweep_ms: lastSweepMs,
  }
}

const GRAVITY: Readonly<Record<CheckState, number>> = { off: 0, ok: 1, unknown: 2, degraded: 3, failing: 4 }

function spoolCheck(gateways: readonly HealthReport[]): Check {
  const spools = gateways.flatMap(({ checks }) => checks.spool ?? [])
  if (spools.length === 0) return unknownCheck('no gateway reports')
  const worst = spools.reduce((a, b) => (GRAVITY[b.state] > GRAVITY[a.state] ? b : a))
  const numbers = (name: string) => spools.map((spool) => (typeof spool[name] === 'number' ? spool[name] : 0))
  const sum = (name: string) => numbers(name).reduce((total, each) => total + each, 0)
  const ages = spools.flatMap(({ age_ms: age }) => age ?? [])
  return {
    state: worst.state,
    age_ms: ages.length === 0 ? null : Math.max(...ages),
    ...(worst.detail !== undefined && { detail: worst.detail }),
    accepting: spools.every(({ accepting }) => accepting === true),
    gateways: spools.length,
    records: sum('records'),
    bytes: sum('bytes'),
    oldest_age_ms: Math.max(...numbers('oldest_age_ms')),
  }
}

/** What was seen last, and by whom. */
function newest(name: keyof OwnChecks, own: Check, reports: readonly HealthReport[]): Check {
  const seen = [
    { ...own, seen_by: 'console' },
    ...reports.flatMap((report) => {
      const check = report.checks[name]
      return check === undefined ? [] : [{ ...check, seen_by: report.name }]
    }),
  ].sort(byAge)
  const [last] = seen as [Check & { readonly seen_by: string }]
  // Nobody has seen it: then nobody is to be named.
  return last.age_ms === null ? { ...last, seen_by: null } : last
}

/** The newest first; what was never seen last. */
function byAge(a: Check, b: Check): number {
  return (a.age_ms ?? Number.POSITIVE_INFINITY) - (b.age_ms ?? Number.POSITIVE_INFINITY) || 0
}
