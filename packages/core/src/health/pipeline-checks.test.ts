import { describe, expect, it } from 'vitest'
import type { Ledger } from '../stream/ledger.ts'
import type { LedgerFacts } from '../view/status.ts'
import { breakersCheck, lagCheck, ledgerCheck } from './pipeline-checks.ts'

const LEDGER: Ledger = {
  accepted: 10,
  settled: 6,
  unread: 2,
  pending: 1,
  parked: 1,
  dead: 0,
  superseded: 0,
  purged: 0,
  spooled: 0,
  unaccounted: 0,
}

function facts(change: Partial<LedgerFacts> = {}): LedgerFacts {
  return {
    audit: { verdict: 'balanced', ledger: LEDGER, losses: [] },
    lag: { messages: 4, unread: 2, pending: 1, parked: 1 },
    oldest: { unread_ms: 20, pending_ms: 30, overdue_ms: 0 },
    group: true,
    partitions: [],
    clockBehindMs: 0,
    ...change,
  }
}
const waiting = (messages: number | null) => facts({ lag: { messages, unread: null, pending: 1, parked: 1 } })
const verdict = (of: LedgerFacts['audit']['verdict'], unaccounted: number | null) =>
  facts({ audit: { verdict: of, ledger: { ...LEDGER, unaccounted }, losses: [] } })

describe('the lag', () => {
  it('is told part by part', () => {
    expect(lagCheck(facts())).toEqual({
      state: 'ok',
      age_ms: 0,
      messages: 4,
      unread: 2,
      pending: 1,
      parked: 1,
      oldest_unread_ms: 20,
      oldest_pending_ms: 30,
      clock_behind_ms: 0,
    })
  })
  it('is degraded above a thousand', () => {
    expect(lagCheck(waiting(1_000)).state).toBe('ok')
    expect(lagCheck(waiting(1_001))).toMatchObject({
      state: 'degraded',
      detail: 'more than 1000 events wait',
    })
  })
  it('is unknown, not 0, where Redis cannot tell', () => {
    expect(lagCheck(waiting(null))).toMatchObject({ state: 'unknown', messages: null, unread: null })
  })
  it('is degraded while the clock of Redis is behind', () => {
    expect(lagCheck(facts({ clockBehindMs: 5_000 }))).toMatchObject({
      state: 'degraded',
      clock_behind_ms: 5_000,
    })
  })
})

describe('the ledger', () => {
  it.each([
    ['balanced', 0, 'ok'],
    ['unbalanced', 1, 'failing'],
    ['loss', 0, 'failing'],
    ['unknown', null, 'unknown'],
  ] as const)('that is %s (%s) is %s', (of, unaccounted, state) => {
    expect(ledgerCheck(verdict(of, unaccounted))).toMatchObject({ state, verdict: of, unaccounted })
  })
})

describe('the breakers', () => {
  it('are named when they are not closed', () => {
    expect(breakersCheck([{ tool: 'github', state: 'closed' }])).toEqual({
      state: 'ok',
      age_ms: 0,
      open: [],
      half_open: [],
    })
    expect(
      breakersCheck([
        { tool: 'github', state: 'closed' },
        { tool: 'jira', state: 'open' },
        { tool: 'slack', state: 'half-open' },
      ]),
    ).toEqual({
      state: 'degraded',
      age_ms: 0,
      detail: 'handlers fail: jira, slack',
      open: ['jira'],
      half_open: ['slack'],
    })
  })
})
