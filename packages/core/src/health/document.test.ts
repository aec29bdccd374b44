import { describe, expect, it } from 'vitest'
import { type Check, type CheckState, healthDocument, healthStatusCode } from './document.ts'

const check = (state: CheckState): Check => ({ state, age_ms: 0 })

describe('the whole', () => {
  it.each<[redis: CheckState, cold: CheckState, status: string, code: number]>([
    ['ok', 'ok', 'ok', 200],
    ['ok', 'off', 'ok', 200],
    ['ok', 'unknown', 'ok', 200],
    ['ok', 'degraded', 'degraded', 200],
    ['ok', 'failing', 'degraded', 200],
    ['degraded', 'ok', 'degraded', 200],
    ['unknown', 'ok', 'degraded', 200],
    ['failing', 'ok', 'failing', 503],
    ['failing', 'failing', 'failing', 503],
  ])('with a vital part %s and another one %s is %s', (redis, cold, status, code) => {
    const document = healthDocument({ redis: check(redis), cold_storage: check(cold) }, ['redis'])
    expect(document).toEqual({ status, checks: { redis: check(redis), cold_storage: check(cold) } })
    expect(healthStatusCode(document)).toBe(code)
  })
})
