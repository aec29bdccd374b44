import fc from 'fast-check'
import { distance } from 'fastest-levenshtein'
import { describe, expect, it } from 'vitest'
import { createNearIdentical } from './near-identical.ts'

const vector = (value: number) => Float32Array.of(value)
const ALERT = 'DiskWillFillIn4Hours node-7: filesystem /var/lib/docker is 92% full, firing, critical'

describe('texts that are almost the same', () => {
  it('share a vector, whatever their case and white space', () => {
    const near = createNearIdentical({ threshold: 0.95, texts: 10 })
    near.add('acme', ALERT, vector(1))
    expect(near.find('acme', ALERT.replace('92%', '93%'))).toEqual(vector(1))
    expect(near.find('acme', `  ${ALERT.toUpperCase().replaceAll(' ', '\n')}`)).toEqual(vector(1))
    expect(near.find('acme', ALERT.replace('docker', 'postgres'))).toBeUndefined()
  })

  it('are those of one tenant', () => {
    const near = createNearIdentical({ threshold: 0.9, texts: 10 })
    near.add('acme', ALERT, vector(1))
    expect(near.find('globex', ALERT)).toBeUndefined()
  })

  it('are alike by their edit distance, and nothing that is alike enough is overlooked', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c', ' d'), maxLength: 40 })
    fc.assert(
      fc.property(letters, letters, fc.double({ min: 0.5, max: 0.99, noNaN: true }), (a, b, threshold) => {
        const [one, other] = [a.trim(), b.trim()]
        fc.pre(one !== '' && other !== '')
        const near = createNearIdentical({ threshold, texts: 3 })
        near.add('acme', one, vector(1))
        const longer = Math.max(one.length, other.length)
        const alike = distance(one, other) <= Math.floor(longer * (1 - threshold) + 1e-9)
        expect(near.find('acme', other) !== undefined).toBe(alike)
      }),
    )
  })

  it('are the newest of each tenant, and of the tenants that were active last', () => {
    const near = createNearIdentical({ threshold: 0.99, texts: 2 })
    for (const text of ['one', 'two', 'three']) near.add('acme', text, vector(1))
    expect(near.find('acme', 'one')).toBeUndefined()
    expect(near.find('acme', 'three')).toBeDefined()
    for (let tenant = 0; tenant < 50; tenant++) near.add(`t${tenant}`, 'text', vector(1))
    expect(near.find('acme', 'three')).toBeUndefined()
    expect(near.find('t0', 'text')).toBeDefined()
  })

  it.each([
    { threshold: 1, texts: 10 },
    { threshold: 0.9, texts: 0 },
  ])('are not looked for with %j', (options) => {
    const near = createNearIdentical(options)
    near.add('acme', ALERT, vector(1))
    expect(near.find('acme', ALERT)).toBeUndefined()
  })
})
