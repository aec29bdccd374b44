import { importanceOf } from '@weir/context-lifecycle/importance'
import { cardOf, cardText } from '@weir/context-lifecycle/search/card'
import { createCardIndex } from '@weir/context-lifecycle/search/card-index'
import { hashedEmbedding } from '../packages/context-lifecycle/src/search/hashed-embedder.test-support.ts'
import { exampleContexts, RECEIVED_AT } from './search-examples.ts'
import { labelledQueries, qualityOf } from './search-quality.ts'

const cards = exampleContexts('acme').map((c) => {
  const k = cardOf(c, importanceOf(c, RECEIVED_AT).score)
  return cardOf(c, k.importance, { embedding: { model: 'h', vector: hashedEmbedding(cardText(k)) } })
})
const keys = new Set(cards.map((c) => `${c.tool} ${c.subject}`))
const qs = labelledQueries()
for (const { q, answers } of qs)
  for (const k of Object.keys(answers)) if (!keys.has(k)) console.log('UNKNOWN', q, k)
const index = createCardIndex()
for (const c of cards) index.put(c)
const ask = (weights: any) => (q: string) =>
  index
    .rank({
      asked: q,
      embedding: { model: 'h', vector: hashedEmbedding(q) },
      now: RECEIVED_AT,
      limit: 10,
      weights,
    })
    .map((r) => `${r.card.tool} ${r.card.subject}`)
const show = (name: string, answer: (q: string) => readonly string[]) => {
  const [t, h, a] = [qs.filter((x) => x.half === 'tuning'), qs.filter((x) => x.half === 'held out'), qs].map(
    (x) => qualityOf(x, answer),
  )
  console.log(
    name.padEnd(34),
    [t!, h!, a!].map((x) => `${(x.successAt5 * 100).toFixed(1)}% ${x.ndcgAt10.toFixed(3)}`).join(' | '),
  )
}
const T = { text: 1, meaning: 0, recency: 0, importance: 0 },
  M = { text: 0, meaning: 1, recency: 0, importance: 0 }
show('text', ask(T))
show('meaning', ask(M))
for (const m of [0.1, 0.2, 0.3, 0.4, 0.5])
  for (const ri of [0, 0.05, 0.15])
    show(`hybrid m=${m} ri=${ri}`, ask({ text: 1 - m - ri, meaning: m, recency: ri / 2, importance: ri / 2 }))
show('rrf', (q) => {
  const s = new Map<string, number>()
  for (const l of [ask(T)(q), ask(M)(q)]) l.forEach((k, i) => s.set(k, (s.get(k) ?? 0) + 1 / (60 + i + 1)))
  return [...s].sort((a, b) => b[1] - a[1]).map(([k]) => k)
})
const best = ask(undefined)
for (const { q, answers, half } of qs) {
  const r = best(q)
  const at = r.findIndex((k) => answers[k] === 2)
  if (at !== 0)
    console.log(
      half,
      at,
      q,
      '->',
      r.slice(0, 4).map((x) => x.slice(0, 60)),
    )
}
