import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatSize, parseSize } from './size.ts'

describe('a size', () => {
  it.each([
    ['0', 0],
    ['10485760', 10_485_760],
    ['10485760B', 10_485_760],
    ['1kB', 1_000],
    ['10MB', 10_000_000],
    ['10MiB', 10_485_760],
    ['1GiB', 1_073_741_824],
    ['2TB', 2_000_000_000_000],
    ['1TiB', 1_099_511_627_776],
    ['10mb', 10_000_000],
    ['10 MB', 10_000_000],
    ['1.5GiB', 1_610_612_736],
    ['0.1kB', 100],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes)
  })

  it.each([
    '',
    'MB',
    '-1MB',
    '1e6',
    '10M',
    '10Mi',
    '10 megabytes',
    '1.5B',
    '0.0001kB',
    '0x10',
    '1_000',
    ' 1MB',
    '1MB ',
    '1  MB',
    '٣MB',
    '9999999999TiB',
    '9007199254740992',
  ])('%j is not one', (text) => {
    expect(parseSize(text)).toBeUndefined()
  })

  it('survives being written and read', () => {
    const unit = fc.constantFrom(1, 1000, 1024, 1000 ** 2, 1024 ** 2, 1000 ** 3, 1024 ** 3)
    const bytes = fc.oneof(
      fc.maxSafeNat(),
      fc.tuple(fc.nat(1_000_000), unit).map(([count, factor]) => count * factor),
    )
    fc.assert(fc.property(bytes, (value) => parseSize(formatSize(value)) === value))
  })

  it('is a safe whole number or nothing, whatever the text', () => {
    const text = fc.oneof(
      fc.string(),
      fc.stringMatching(/^[0-9]{1,20}(\.[0-9]{1,12})? ?([kKmMgGtT]?i?[bB])?$/),
    )
    fc.assert(
      fc.property(text, (found) => {
        const bytes = parseSize(found)
        return bytes === undefined || (Number.isSafeInteger(bytes) && bytes >= 0)
      }),
    )
  })

  it.each([
    [0, '0'],
    [1500, '1500'],
    [1024, '1KiB'],
    [10_485_760, '10MiB'],
    [16_000_000, '16MB'],
    [67_108_864, '64MiB'],
    [1_073_741_824, '1GiB'],
  ])('of %d bytes is written %s', (bytes, text) => {
    expect(formatSize(bytes)).toBe(text)
  })
})
