import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { latestAmong, readTime, timeAmong } from './time.ts'

const AT = Date.UTC(2016, 7, 12, 15, 23, 28)

describe('reading times', () => {
  it.each([
    ['2016-08-12T15:23:28Z', AT],
    ['2016-08-12 15:23:28 UTC', AT],
    ['2016-08-12 17:23:28 +0200', AT],
    ['2016-08-12T17:23:28.000+02:00', AT],
    ['2016-08-12T15:23:28', AT],
    ['2016-08-12T15:23:28.250999999Z', AT + 250],
    ['2016-08-12T15:23:28,5Z', AT + 500],
    ['2016-08-12T15:23Z', AT - 28_000],
    [AT, AT],
    [AT / 1000, AT],
    [String(AT / 1000), AT],
    ['1471015408.000100', AT],
    ['2016-08-12', undefined],
    ['2016-13-12T15:23:28Z', undefined],
    ['yesterday', undefined],
    ['', undefined],
    [null, undefined],
    [{ valueOf: 5 }, undefined],
    [Number.POSITIVE_INFINITY, undefined],
  ])('%j is %s', (value, expected) => {
    expect(readTime(value)).toBe(expected)
  })

  it('reads back what it is told, in seconds, milliseconds and ISO 8601', () => {
    fc.assert(
      fc.property(fc.integer({ min: Date.UTC(2000), max: Date.UTC(2100) }), (time) => {
        expect(readTime(time)).toBe(time)
        expect(readTime(new Date(time).toISOString())).toBe(time)
        expect(readTime(Math.floor(time / 1000))).toBe(Math.floor(time / 1000) * 1000)
      }),
    )
  })

  it('takes the first that can be a time of an event received then', () => {
    const day = 86_400_000
    expect(timeAmong([undefined, AT + day + 1, '0001-01-01T00:00:00Z', 12, AT - 5, AT], AT)).toBe(AT - 5)
    expect(timeAmong([AT + day], AT)).toBe(AT + day)
    expect(timeAmong([AT + 2 * day, 'x'], AT)).toBeUndefined()
    expect(latestAmong([AT - 5, AT + 2 * day, AT - 1], AT)).toBe(AT - 1)
    expect(latestAmong([], AT)).toBeUndefined()
  })
})
