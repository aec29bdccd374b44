import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { lengthOf, quantise } from './quantised.ts'

const vectors = (dimensions: number) =>
  fc.float32Array({
    minLength: dimensions,
    maxLength: dimensions,
    min: -1,
    max: 1,
    noNaN: true,
  })
const cosine = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let [dot, left, right] = [0, 0, 0]
  for (let at = 0; at < a.length; at++) {
    dot += a[at]! * b[at]!
    left += a[at]! ** 2
    right += b[at]! ** 2
  }
  return dot / Math.sqrt(left * right)
}

describe('a vector in bytes', () => {
  it('keeps its direction: cosines differ by less than 0.02, of 256 dimensions', () => {
    fc.assert(
      fc.property(vectors(256), vectors(256), (a, b) => {
        fc.pre(Math.hypot(...a) > 0.01 && Math.hypot(...b) > 0.01)
        expect(Math.abs(cosine(quantise(a), quantise(b)) - cosine(a, b))).toBeLessThan(0.02)
      }),
    )
  })

  it('loses a thousandth at most where values are as embedders make them', () => {
    let state = 1
    const next = () => {
      state = (Math.imul(state, 48_271) >>> 0) % 2_147_483_647
      return state / 2_147_483_647
    }
    const normal = () => Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next())
    const errors = Array.from({ length: 2_000 }, () => {
      const a = Float32Array.from({ length: 256 }, normal)
      const b = a.map((value) => value + normal())
      return Math.abs(cosine(quantise(a), quantise(b)) - cosine(a, b))
    }).sort((one, other) => one - other)
    expect(errors[1_000]).toBeLessThan(0.000_6)
    expect(errors[1_999]).toBeLessThan(0.004)
  })

  it('of zeros, or of values that are none, is nothing', () => {
    expect(lengthOf(quantise(new Float32Array(8)))).toBe(0)
    expect(lengthOf(quantise(Float32Array.of(Number.POSITIVE_INFINITY, 1)))).toBe(0)
    expect(lengthOf(quantise(Float32Array.of(3, -4)))).toBeCloseTo(Math.hypot(95, 127))
  })
})
