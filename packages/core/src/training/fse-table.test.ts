import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { normalized, tableDescription } from './fse-table.ts'

const LOG = 8
const counts = fc.array(fc.integer({ min: 1, max: 1_000_000 }), { minLength: 1, maxLength: 60 })

/** Reads a description as RFC 8878, 4.1.1 says. */
function read(bytes: Buffer, symbols: number): { readonly log: number; readonly shares: number[] } {
  let at = 0
  const bits = (count: number): number => {
    let value = 0
    for (let i = 0; i < count; i++) value |= (((bytes[(at + i) >> 3] ?? 0) >> ((at + i) & 7)) & 1) << i
    return value
  }
  const log = bits(4) + 5
  at = 4
  let remaining = 2 ** log
  const shares: number[] = []
  while (remaining > 0 && shares.length < symbols) {
    const width = Math.floor(Math.log2(remaining + 1)) + 1
    const low = 2 ** width - 1 - (remaining + 1)
    let value = bits(width - 1)
    if (value < low) at += width - 1
    else {
      value = bits(width)
      at += width
      if (value >= 2 ** (width - 1)) value -= low
    }
    shares.push(value - 1)
    remaining -= value - 1
  }
  return { log, shares }
}

describe('an FSE table', () => {
  it('gives every symbol a share, all of them together, and more to those that occur more', () => {
    fc.assert(
      fc.property(counts, (counts) => {
        const shares = normalized(counts, LOG)
        expect(shares.reduce((sum, share) => sum + share, 0)).toBe(2 ** LOG)
        expect(Math.min(...shares)).toBeGreaterThanOrEqual(1)
        // Of several that occur as often, rounding may give one a state more.
        const most = shares[counts.indexOf(Math.max(...counts))] ?? 0
        expect(most).toBeGreaterThanOrEqual(Math.max(...shares) - 1)
      }),
    )
  })

  it('is written so that it can be read back', () => {
    fc.assert(
      fc.property(counts, fc.integer({ min: 6, max: 9 }), (counts, log) => {
        const shares = normalized(counts, log)
        expect(read(tableDescription(shares, log), counts.length)).toEqual({ log, shares })
      }),
    )
  })

  it('is refused for more symbols than it has states', () => {
    expect(() =>
      normalized(
        Array.from({ length: 300 }, () => 1),
        LOG,
      ),
    ).toThrow(RangeError)
  })
})
