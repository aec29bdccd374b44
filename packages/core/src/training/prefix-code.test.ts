import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { codeLengths } from './prefix-code.ts'

const counts = fc.array(fc.integer({ min: 1, max: 1_000_000 }), { minLength: 2, maxLength: 128 })
const costOf = (counts: readonly number[], lengths: readonly number[]) =>
  counts.reduce((sum, count, symbol) => sum + count * (lengths[symbol] as number), 0)

/** Bits that Huffman's own code takes, which has no limit. */
function huffman(counts: readonly number[]): { readonly cost: number; readonly longest: number } {
  const trees = counts.map((weight) => ({ weight, depth: 0 }))
  let cost = 0
  while (trees.length > 1) {
    trees.sort((a, b) => a.weight - b.weight || a.depth - b.depth)
    const [a, b] = trees.splice(0, 2) as [(typeof trees)[0], (typeof trees)[0]]
    cost += a.weight + b.weight
    trees.push({ weight: a.weight + b.weight, depth: 1 + Math.max(a.depth, b.depth) })
  }
  return { cost, longest: trees[0]?.depth ?? 0 }
}

describe('the lengths of a prefix code', () => {
  it('fill the code space exactly, and stay within the limit', () => {
    fc.assert(
      fc.property(counts, fc.integer({ min: 7, max: 15 }), (counts, longest) => {
        const lengths = codeLengths(counts, longest)
        expect(lengths.reduce((sum, length) => sum + 2 ** -length, 0)).toBe(1)
        expect(Math.max(...lengths)).toBeLessThanOrEqual(longest)
        expect(Math.min(...lengths)).toBeGreaterThanOrEqual(1)
      }),
    )
  })

  it("cost as much as Huffman's where the limit is far, and never less", () => {
    fc.assert(
      fc.property(counts, (counts) => {
        const best = huffman(counts)
        expect(costOf(counts, codeLengths(counts, 40))).toBe(best.cost)
        const limited = costOf(counts, codeLengths(counts, 8))
        if (best.longest <= 8) expect(limited).toBe(best.cost)
        else expect(limited).toBeGreaterThan(best.cost)
      }),
    )
  })

  it('are refused for more symbols than there are codes, and for fewer than two', () => {
    expect(() => codeLengths([1, 1, 1, 1, 1], 2)).toThrow(RangeError)
    expect(() => codeLengths([1], 2)).toThrow(RangeError)
  })
})
