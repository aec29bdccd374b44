import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { lengthOf, quantise } from './quantised.ts'
import { createVectors } from './vectors.ts'

const random = (seed: number, length: number) =>
  Float32Array.from({ length }, (_, at) => Math.sin(seed * 12.9898 + at * 78.233))

function cosine(a: Int8Array, b: Int8Array): number {
  return a.reduce((sum, value, at) => sum + value * b[at]!, 0) / (lengthOf(a) * lengthOf(b))
}

describe('the vectors of a model', () => {
  it('give the cosine of every slot that has one, whatever was put, replaced and removed', () => {
    // Of seed 0 and one dimension there is no direction, and no cosine.
    const change = fc.record({ slot: fc.nat(3_000), seed: fc.option(fc.integer({ min: 1, max: 1_000 })) })
    fc.assert(
      fc.property(
        fc.constantFrom(1, 15, 16, 100, 256),
        fc.array(change, { maxLength: 60 }),
        (dimensions, changes) => {
          const vectors = createVectors(dimensions)
          const there = new Map<number, Int8Array>()
          for (const { slot, seed } of changes) {
            if (seed === null) {
              vectors.remove(slot)
              there.delete(slot)
            } else {
              const vector = quantise(random(seed, dimensions))
              vectors.put(slot, vector)
              there.set(slot, vector)
            }
          }
          const into = new Float32Array(3_001)
          const question = random(7, dimensions)
          vectors.cosines(question, into)
          expect(vectors.count).toBe(there.size)
          for (const [slot, found] of into.entries()) {
            const vector = there.get(slot)
            expect(found).toBeCloseTo(vector === undefined ? 0 : cosine(quantise(question), vector), 5)
          }
        },
      ),
      { numRuns: 50 },
    )
  })

  it('of the most dimensions there are do not overflow', () => {
    const vectors = createVectors(4_096)
    const ones = new Float32Array(4_096).fill(1)
    vectors.put(0, quantise(ones))
    vectors.put(1, quantise(ones.map(() => -1)))
    const into = new Float32Array(3)
    vectors.cosines(ones, into)
    expect([...into]).toEqual([1, -1, 0])
  })
})
