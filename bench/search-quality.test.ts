import { createCardIndex } from '@weir/context-lifecycle/search/card-index'
import { describe, expect, it } from 'vitest'
import { EMBEDDER } from './search-embedder.ts'
import { exampleCards } from './search-example-cards.ts'
import { RECEIVED_AT } from './search-examples.ts'
import { labelledQueries, qualityOf } from './search-quality.ts'

const cards = exampleCards(EMBEDDER)
const queries = labelledQueries()
const index = createCardIndex()
for (const card of cards) index.put(card)

/** `tool subject` of the first ten. */
const answer = (q: string): string[] =>
  index
    .rank({
      asked: q,
      embedding: { model: EMBEDDER.model, vector: EMBEDDER.embed(q) },
      now: RECEIVED_AT,
      limit: 10,
    })
    .map(({ card: { tool, subject } }) => `${tool} ${subject}`)

describe('the labelled questions', () => {
  it('are about at least sixty subjects of the examples, and no other', () => {
    const subjects = new Set(cards.map(({ tool, subject }) => `${tool} ${subject}`))
    const labelled = new Set(queries.flatMap(({ answers }) => Object.keys(answers)))
    expect([...labelled].filter((subject) => !subjects.has(subject))).toEqual([])
    expect(labelled.size).toBeGreaterThanOrEqual(60)
    expect(new Set(queries.map(({ q }) => q)).size).toBe(queries.length)
    for (const { answers } of queries) expect(Object.values(answers)).toContain(2)
  })

  it('do not repeat whole titles', () => {
    const titles = cards.flatMap(({ title }) => (title?.includes(' ') ? [title.toLowerCase()] : []))
    expect(queries.filter(({ q }) => titles.includes(q.toLowerCase()))).toEqual([])
  })

  it.each(['tuning', 'held out'] as const)(
    'are answered among the first five, eight of ten at least: %s',
    (half) => {
      const some = queries.filter((query) => query.half === half)
      expect(some.length).toBeGreaterThanOrEqual(35)
      expect(qualityOf(some, answer).successAt5).toBeGreaterThanOrEqual(0.8)
    },
  )
})

describe('quality', () => {
  const query = { q: 'q', half: 'tuning', answers: { a: 2, b: 1 } } as const
  const of = (...found: string[]) => qualityOf([query], () => found)

  it('is 1 for the best order, less for others, and 0 where nothing is found', () => {
    expect(of('a', 'b')).toMatchObject({ successAt5: 1, ndcgAt10: 1 })
    expect(of('b', 'a').ndcgAt10).toBeCloseTo((1 + 3 / Math.log2(3)) / (3 + 1 / Math.log2(3)))
    expect(of('x', 'x', 'x', 'x', 'x', 'a').successAt5).toBe(0)
    expect(of()).toMatchObject({ successAt5: 0, ndcgAt10: 0 })
  })
})
