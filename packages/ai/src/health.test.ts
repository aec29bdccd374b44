import { describe, expect, it } from 'vitest'
import { createAiHealth } from './health.ts'
import type { Observation } from './observation.ts'

const OPENAI = { embedder: { provider: 'openai' }, summariser: { provider: 'local' } } as const
const LOCAL = { embedder: { provider: 'local' }, summariser: { provider: 'local' } } as const

const request = (change: Partial<Extract<Observation, { kind: 'request' }>>): Observation => ({
  kind: 'request',
  purpose: 'embedding',
  provider: 'openai',
  model: 'm',
  outcome: 'ok',
  texts: 1,
  ms: 1,
  inputTokens: 1,
  outputTokens: 0,
  cost: undefined,
  ...change,
})

function healthAt() {
  const clock = { ms: 0 }
  return { clock, ...createAiHealth({ monotonic: () => clock.ms }) }
}

describe('how the providers do', () => {
  it('is off where enrichment is, and ok where nothing outside is asked', () => {
    const { check } = healthAt()
    expect(check(undefined)).toEqual({ state: 'off', age_ms: null })
    expect(check(LOCAL)).toEqual({ state: 'ok', age_ms: 0, providers: ['local'] })
  })

  it('is not known before one was asked', () => {
    const { check, observe } = healthAt()
    observe(request({ provider: 'local' }))
    observe(request({ outcome: 'aborted' }))
    expect(check(OPENAI)).toEqual({
      state: 'unknown',
      age_ms: null,
      breaker: 'closed',
      providers: ['openai', 'local'],
    })
  })

  it('is as the last request was, and grows old', () => {
    const { clock, check, observe } = healthAt()
    observe(request({}))
    clock.ms = 40
    expect(check(OPENAI)).toMatchObject({ state: 'ok', age_ms: 40 })
    observe(request({ outcome: 'AI_UNAVAILABLE' }))
    expect(check(OPENAI)).toMatchObject({
      state: 'degraded',
      age_ms: 0,
      detail: 'embedding: AI_UNAVAILABLE',
    })
    observe(request({}))
    expect(check(OPENAI)).toMatchObject({ state: 'ok' })
    expect(check(OPENAI)).not.toHaveProperty('detail')
  })

  it('is failing while the breaker is open, degraded over the budget', () => {
    const { check, observe } = healthAt()
    observe({ kind: 'over-budget', purpose: 'summary' })
    expect(check(OPENAI)).toMatchObject({ state: 'degraded', detail: expect.stringContaining('budget') })
    observe({ kind: 'breaker', view: { state: 'open', failures: 5, waitMs: 100 } })
    expect(check(OPENAI)).toMatchObject({ state: 'failing', breaker: 'open' })
  })
})
