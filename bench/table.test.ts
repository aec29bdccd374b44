/** What the tables say of times: percentiles of sorted values, and of the consumer's histogram. */
import { describe, expect, it } from 'vitest'
import { bucketPercentile, shareUpTo } from './latency-run.ts'
import { median, percentile, spread, target } from './table.ts'

describe('figures', () => {
  it.each([
    [0.5, 50],
    [0.99, 99],
    [1, 100],
    [0, 1],
  ])('a share of %d of the values 1 to 100 is at most %d', (share, expected) => {
    const values = Array.from({ length: 100 }, (_, i) => i + 1)
    expect(percentile(values, share)).toBe(expected)
  })

  it('a percentile of nothing is not a number', () => {
    expect(percentile([], 0.5)).toBeNaN()
  })

  it('the median of an even number of values lies between the middle two', () => {
    expect(median([4, 1, 3, 2])).toBe(2.5)
    expect(spread([4, 1, 3, 2])).toBe('2.5 (1.0–4.0)')
  })

  it('a target is met when it is reached exactly', () => {
    expect(target(25, { atMost: 25 }, 'ms')).toBe('≤ 25 ms · met')
    expect(target(25.1, { atMost: 25 })).toBe('≤ 25 · missed')
    expect(target(18, { atLeast: 18 }, '×')).toBe('≥ 18× · met')
    expect(target(17.9, { atLeast: 18 })).toBe('≥ 18 · missed')
  })
})

describe('a histogram', () => {
  const buckets = [
    [1, 10],
    [5, 50],
    [25, 99],
    [Number.POSITIVE_INFINITY, 100],
  ] as const

  it.each([
    [0.1, 1],
    [0.3, 3],
    [0.5, 5],
    [0.99, 25],
    [1, 25],
  ])('has %d of its values up to %d ms, interpolated within the bucket', (share, expected) => {
    expect(bucketPercentile(buckets, share)).toBeCloseTo(expected)
  })

  it('tells which share lies below a bound', () => {
    expect(shareUpTo(buckets, 5)).toBe(0.5)
    expect(shareUpTo(buckets, 25)).toBe(0.99)
  })
})
