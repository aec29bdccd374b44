import { describe, expect, it } from 'vitest'
import { checkedQuery, nameOf, QUERY_MAX, QUERY_WORDS_MAX, termsOf } from './question.ts'

const words = (asked: string) => termsOf(asked).map(({ word }) => word)

describe('a question', () => {
  it('is looked for by its words, each once, without those that say nothing', () => {
    const asked = 'who merged the README update, and when was the readme merged?'
    expect(words(asked)).toEqual(['merg', 'readm', 'updat'])
    expect(termsOf(asked).map(({ said }) => said)).toEqual(['merged', 'README', 'update'])
    expect(words('welche Tickets sind offen')).toEqual(['ticket', 'offen'])
  })

  it('of nothing but such words is taken as it is', () => {
    expect(words('who is it')).toEqual(['who', 'is', 'it'])
  })

  it('is looked for by what engineers call the same, too', () => {
    expect(termsOf('PR')[0]?.others).toContain('pull_request')
    expect(termsOf('vulnerabilities')[0]?.others).toContain('cve')
    expect(termsOf('randscape')[0]?.others).toEqual([])
  })

  it.each([
    ['', 'empty'],
    ['  \n ', 'empty'],
    ['x'.repeat(QUERY_MAX + 1), '1001 characters'],
    ['x'.repeat(50_000), '50000 characters'],
    ['a '.repeat(100_000), '199999 characters'],
  ])('that cannot be answered is refused (%#)', (q, why) => {
    expect(() => checkedQuery(q)).toThrow(RangeError)
    expect(() => checkedQuery(q)).toThrow(why)
  })

  it('of very many words is looked for by its first ones', () => {
    const q = Array.from({ length: 300 }, (_, n) => n.toString(36)).join(' ')
    expect(termsOf(checkedQuery(q.slice(0, QUERY_MAX)))).toHaveLength(QUERY_WORDS_MAX)
  })

  it('is compared with names by letters alone', () => {
    expect(nameOf(' GitHub   Acme/Site#42 ')).toBe('github acme/site#42')
  })
})
