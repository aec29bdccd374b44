import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatDuration, parseDuration } from './duration.ts'

describe('a duration', () => {
  it.each([
    ['500ms', 500],
    ['5s', 5_000],
    ['5m', 300_000],
    ['168h', 604_800_000],
    ['30d', 2_592_000_000],
    ['1h30m', 5_400_000],
    ['1d2h3m4s5ms', 93_784_005],
    ['1.5h', 5_400_000],
    ['0.5s', 500],
    // 1.1 * 1000 is not 1100 in floating point.
    ['1.1s', 1_100],
    ['0', 0],
    ['0s', 0],
    ['0ms', 0],
    ['007s', 7_000],
  ])('%s is %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })

  it.each([
    '',
    '5',
    '5000',
    's',
    '-5s',
    '+5s',
    '5 s',
    ' 5s',
    '5s ',
    '5S',
    '5M',
    '5sec',
    '5min',
    '5w',
    '1e3ms',
    '0.5ms',
    '1.s',
    '.5s',
    '5s5s',
    '30m1h',
    '5ms5s',
    '1,5s',
    '∞',
    'Infinity',
    'NaN',
    '٣s',
    '5s\n',
    '9007199254740992ms',
    '999999999999999d',
  ])('%j is not one', (text) => {
    expect(parseDuration(text)).toBeUndefined()
  })

  it('survives being written and read', () => {
    const ms = fc.oneof(
      fc.nat(),
      fc.maxSafeNat(),
      fc.nat(10_000).map((days) => days * 86_400_000),
    )
    fc.assert(fc.property(ms, (value) => parseDuration(formatDuration(value)) === value))
  })

  it('is the sum of its parts', () => {
    const part = fc.nat(9_999)
    fc.assert(
      fc.property(part, part, part, part, part, (d, h, m, s, ms) => {
        const total = (((d * 24 + h) * 60 + m) * 60 + s) * 1000 + ms
        expect(parseDuration(`${d}d${h}h${m}m${s}s${ms}ms`)).toBe(total)
      }),
    )
  })

  it('is a safe whole number or nothing, whatever the text', () => {
    const text = fc.oneof(
      fc.string(),
      fc.stringMatching(/^[0-9.]{0,20}(ms|s|m|h|d)?[0-9.]{0,9}(ms|s|m|h|d)$/),
    )
    fc.assert(
      fc.property(text, (found) => {
        const ms = parseDuration(found)
        return ms === undefined || (Number.isSafeInteger(ms) && ms >= 0)
      }),
    )
  })

  it.each([
    [0, '0s'],
    [1, '1ms'],
    [90_000, '90s'],
    [604_800_000, '7d'],
    [3_600_000, '1h'],
  ])('of %d ms is written %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text)
  })
})
