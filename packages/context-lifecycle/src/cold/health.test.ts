import { describe, expect, it } from 'vitest'
import type { ColdOutcome } from './guarded-store.ts'
import { createColdHealth } from './health.ts'

function healthAt() {
  const clock = { ms: 0 }
  const health = createColdHealth({ monotonic: () => clock.ms }, 's3')
  const put = (outcome: ColdOutcome) => health.observe({ operation: 'put', outcome, ms: 1, waitedMs: 0 })
  return { clock, health, put }
}

describe('how cold storage does', () => {
  it('is not known before it was used', () => {
    expect(healthAt().health.check()).toEqual({
      state: 'unknown',
      age_ms: null,
      breaker: 'closed',
      kind: 's3',
    })
  })

  it.each<[ColdOutcome, string]>([
    ['ok', 'ok'],
    ['missing', 'ok'],
    ['unavailable', 'degraded'],
    ['refused', 'degraded'],
    ['failed', 'degraded'],
    ['shut', 'unknown'],
    ['aborted', 'unknown'],
  ])('after an operation that was %s: %s', (outcome, state) => {
    const { clock, health, put } = healthAt()
    put(outcome)
    clock.ms = 700
    const check = health.check()
    expect(check.state).toBe(state)
    expect(check.age_ms).toBe(state === 'unknown' ? null : 700)
    expect(check.detail).toBe(state === 'degraded' ? `put: ${outcome}` : undefined)
  })

  it('fails while its breaker is open', () => {
    const { health, put } = healthAt()
    put('unavailable')
    health.onChange('open')
    expect(health.check()).toMatchObject({ state: 'failing', breaker: 'open' })
  })
})
