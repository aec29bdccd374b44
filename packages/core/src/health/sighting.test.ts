import { describe, expect, it } from 'vitest'
import { createSighting } from './sighting.ts'

function sightingAt() {
  const clock = { ms: 1_000 }
  const sighting = createSighting({ monotonic: () => clock.ms })
  sighting.breaker('closed')
  return { clock, sighting }
}

describe('what was last seen of something outside', () => {
  it('is unknown before it was used', () => {
    expect(sightingAt().sighting.check()).toEqual({ state: 'unknown', age_ms: null, breaker: 'closed' })
  })

  it('has no breaker where there is none', () => {
    const sighting = createSighting({ monotonic: () => 0 })
    sighting.worked()
    expect(sighting.check()).toEqual({ state: 'ok', age_ms: 0 })
  })

  it('is as it did when it was last used, and grows old', () => {
    const { clock, sighting } = sightingAt()
    sighting.worked()
    expect(sighting.check()).toEqual({ state: 'ok', age_ms: 0, breaker: 'closed' })
    clock.ms += 2_500
    expect(sighting.check()).toMatchObject({ state: 'ok', age_ms: 2_500 })
    sighting.failed('unavailable')
    clock.ms += 10
    expect(sighting.check()).toEqual({
      state: 'degraded',
      age_ms: 10,
      detail: 'unavailable',
      breaker: 'closed',
    })
    sighting.worked()
    expect(sighting.check()).toEqual({ state: 'ok', age_ms: 0, breaker: 'closed' })
  })

  it('fails while its breaker is open, and is on trial while it is half-open', () => {
    const { sighting } = sightingAt()
    sighting.failed('unavailable')
    sighting.breaker('open')
    expect(sighting.check()).toMatchObject({ state: 'failing', breaker: 'open' })
    sighting.breaker('half-open')
    expect(sighting.check()).toMatchObject({ state: 'degraded', breaker: 'half-open' })
    sighting.worked()
    sighting.breaker('closed')
    expect(sighting.check()).toMatchObject({ state: 'ok' })
  })
})
