import fc from 'fast-check'
import { expect, it } from 'vitest'
import { withRedis } from '../../../../tests/support/redis.ts'
import { keySlot } from './slot.ts'

it('is what the specification gives as its example', () => {
  expect(keySlot('123456789')).toBe(0x31c3)
})

it('is what Redis calculates, with and without hash tags', () =>
  withRedis(
    (redis) => {
      const tagged = fc.string({ unit: fc.constantFrom('{', '}', 'a', 'ä', '0', ':') })
      return fc.assert(
        fc.asyncProperty(fc.oneof(tagged, fc.string({ unit: 'grapheme' })), async (key) => {
          expect(keySlot(key)).toBe(await redis.cluster('KEYSLOT', key))
        }),
        { numRuns: 500, examples: [['{}}'], ['{'], ['webhook-events:{3}:parked']] },
      )
    },
    { args: ['--cluster-enabled', 'yes'] },
  ))
