import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Backoff, retryDelay } from './backoff.ts'

const backoffs: fc.Arbitrary<Backoff> = fc
  .tuple(fc.integer({ min: 1, max: 60_000 }), fc.integer({ min: 1, max: 86_400_000 }))
  .map(([a, b]) => ({ baseMs: Math.min(a, b), maxMs: Math.max(a, b) }))
/** [0, 1), as Math.random. */
const draws = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const HIGHEST_DRAW = 1 - Number.EPSILON
const ceiling = (backoff: Backoff, attempts: number) => retryDelay(backoff, attempts, () => HIGHEST_DRAW)

describe('retryDelay', () => {
  it('draws from the whole range below base · 2ⁿ (full jitter)', () => {
    const backoff = { baseMs: 1_000, maxMs: 300_000 }
    expect([1, 2, 3, 4].map((attempts) => retryDelay(backoff, attempts, () => 0.5))).toEqual([
      500, 1_000, 2_000, 4_000,
    ])
    expect(retryDelay(backoff, 4, () => 0)).toBe(1)
    expect(ceiling(backoff, 4)).toBe(7_999)
  })

  it('is a whole number of ms, at least 1, and never above the cap', () => {
    fc.assert(
      fc.property(backoffs, fc.integer({ min: 1, max: 2_000 }), draws, (backoff, attempts, draw) => {
        const delay = retryDelay(backoff, attempts, () => draw)
        expect(Number.isSafeInteger(delay)).toBe(true)
        expect(delay).toBeGreaterThanOrEqual(1)
        expect(delay).toBeLessThanOrEqual(
          Math.max(1, Math.min(backoff.maxMs, backoff.baseMs * 2 ** (attempts - 1))),
        )
      }),
    )
  })

  it('has a ceiling that never falls from one attempt to the next, and ends at the cap', () => {
    fc.assert(
      fc.property(backoffs, fc.integer({ min: 1, max: 100 }), (backoff, attempts) => {
        expect(ceiling(backoff, attempts + 1)).toBeGreaterThanOrEqual(ceiling(backoff, attempts))
      }),
    )
    expect(ceiling({ baseMs: 1_000, maxMs: 300_000 }, 1_000)).toBe(299_999)
  })
})
