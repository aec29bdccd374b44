import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { beginning, chunksOf } from './chunks.ts'
import { estimateTokens } from './tokens.ts'

const entries = fc.array(fc.string({ unit: 'grapheme', maxLength: 120, size: 'max' }), { maxLength: 30 })
const size = (chunk: readonly string[]) => chunk.reduce((sum, piece) => sum + estimateTokens(piece), 0)

describe('chunks', () => {
  it('hold everything in its order, none empty and none too large', () => {
    fc.assert(
      fc.property(entries, fc.integer({ min: 2, max: 40 }), (texts, max) => {
        const chunks = chunksOf(texts, max)
        expect(chunks.flat().join('')).toBe(texts.join(''))
        for (const chunk of chunks) {
          expect(chunk.length).toBeGreaterThan(0)
          expect(size(chunk)).toBeLessThanOrEqual(max)
        }
      }),
    )
  })

  it('leave entries whole that fit, and are as few as filling one after the other makes them', () => {
    fc.assert(
      fc.property(entries, fc.integer({ min: 130, max: 400 }), (texts, max) => {
        const told = texts.filter((text) => text !== '')
        const whole = told.filter((text) => estimateTokens(text) <= max)
        fc.pre(whole.length === told.length)
        const chunks = chunksOf(texts, max)
        expect(chunks.flat()).toEqual(told)
        for (const [at, chunk] of chunks.slice(1).entries())
          expect(size(chunks[at]!) + estimateTokens(chunk[0]!)).toBeGreaterThan(max)
      }),
    )
  })

  it('divide no character', () => {
    const pieces = chunksOf(['😀'.repeat(10)], 3).flat()
    expect(pieces).toEqual(Array(10).fill('😀'))
  })

  it('begin with as much as fits', () => {
    expect(beginning('abcdefgh', 1)).toBe('abcd')
    expect(beginning('abc', 100)).toBe('abc')
    expect(beginning('', 100)).toBe('')
  })
})

describe('the estimate of tokens', () => {
  it.each([
    ['', 0],
    ['abc', 1],
    ['abcde', 2],
    ['数据库', 3],
    ['Größe', 3],
  ])('of %j is %i', (text, tokens) => expect(estimateTokens(text)).toBe(tokens))
})
