import fc from 'fast-check'
import { expect, it } from 'vitest'
import { packVector, toUnit, unpackVector } from './vector.ts'

const component = fc.float({ min: -1, max: 1, noNaN: true })

it('a packed vector takes a byte a dimension, and points where the vector did', () => {
  fc.assert(
    fc.property(fc.array(component, { minLength: 8, maxLength: 400 }), (values) => {
      const vector = toUnit(Float32Array.from(values))
      const packed = packVector(vector)
      expect(packed).toHaveLength(values.length)
      const back = unpackVector(packed)
      if (vector.every((value) => value === 0)) return expect(back).toEqual(vector)
      expect(Math.hypot(...back)).toBeCloseTo(1, 5)
      expect(vector.reduce((sum, value, at) => sum + value * back[at]!, 0)).toBeGreaterThan(0.999)
    }),
  )
})
