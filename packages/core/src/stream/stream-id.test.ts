import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareStreamIds, streamIdBefore, streamIdMillis } from './stream-id.ts'

describe('compareStreamIds', () => {
  it('orders by numbers, not by characters', () => {
    const part = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
    fc.assert(
      fc.property(part, part, part, part, (aMs, aSeq, bMs, bSeq) => {
        const expected = Math.sign(aMs - bMs) || Math.sign(aSeq - bSeq)
        expect(Math.sign(compareStreamIds(`${aMs}-${aSeq}`, `${bMs}-${bSeq}`))).toBe(expected)
      }),
    )
    expect(compareStreamIds('9-1', '10-0')).toBeLessThan(0)
    expect(compareStreamIds('10-9', '10-10')).toBeLessThan(0)
    expect(compareStreamIds('10', '10-0')).toBe(0)
    expect(compareStreamIds('10-18446744073709551615', '10-5')).toBeGreaterThan(0)
  })
})

describe('streamIdBefore', () => {
  it('is the greatest id below', () => {
    expect(streamIdBefore('10-5')).toBe('10-4')
    expect(streamIdBefore('10-0')).toBe('9-18446744073709551615')
  })
})

describe('streamIdMillis', () => {
  it('is the time of the append', () => expect(streamIdMillis('1795420933983-7')).toBe(1795420933983))
})
