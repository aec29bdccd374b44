import fc from 'fast-check'
import { expect, it } from 'vitest'
import { TITLE_MAX } from './peek.ts'
import { subject } from './subject.ts'

it('a title is cut between characters, never inside one', () => {
  fc.assert(
    fc.property(fc.nat(3), fc.constantFrom('a', 'é', '漢', '😀'), (before, character) => {
      const long = 'x'.repeat(TITLE_MAX - before) + character.repeat(3)
      const title = subject('issue', ['a/b#1'], { title: long })?.title ?? ''
      expect(title.isWellFormed()).toBe(true)
      expect(title.length).toBeLessThanOrEqual(TITLE_MAX)
      expect(title.length).toBeGreaterThanOrEqual(Math.min(long.length, TITLE_MAX) - 1)
      expect(long.startsWith(title)).toBe(true)
    }),
  )
})
