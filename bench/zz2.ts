import { importanceOf } from '@weir/context-lifecycle/importance'
import { cardOf, cardText } from '@weir/context-lifecycle/search/card'
import { createCardIndex } from '@weir/context-lifecycle/search/card-index'
import { quantise } from '@weir/context-lifecycle/search/quantised'
import { hashedEmbedding } from '../packages/context-lifecycle/src/search/hashed-embedder.test-support.ts'
import { variedCard } from './search-cards.ts'
import { exampleContexts, RECEIVED_AT } from './search-examples.ts'
import { labelledQueries } from './search-quality.ts'

const real = exampleContexts('acme').map((c) => cardOf(c, importanceOf(c, RECEIVED_AT).score))
const N = 100000
const mem = () => {
  ;(globalThis as any).gc?.()
  const m = process.memoryUsage()
  return (m.heapUsed + m.arrayBuffers) / 1e6
}
const before = mem()
const index = createCardIndex()
let spent = 0,
  emb = 0
for (let n = 0; n < N; n++) {
  const c = variedCard(real, n, RECEIVED_AT)
  let t = performance.now()
  const e = { model: 'h', vector: quantise(hashedEmbedding(cardText(c))) }
  emb += performance.now() - t
  t = performance.now()
  index.put({ ...c, embedding: e })
  spent += performance.now() - t
}
console.log('put s', spent / 1000, 'embed s', emb / 1000, 'MB', mem() - before, index.facts)
const ts: number[] = []
let worst = ['', 0] as [string, number]
const qs = labelledQueries()
for (let r = 0; r < 4; r++)
  for (const { q } of qs) {
    const t = performance.now()
    index.rank({
      asked: q,
      embedding: { model: 'h', vector: hashedEmbedding(q) },
      now: RECEIVED_AT,
      limit: 10,
    })
    const d = performance.now() - t
    if (r) ts.push(d)
    if (r && d > worst[1]) worst = [q, d]
  }
ts.sort((a, b) => a - b)
console.log(
  'p50',
  ts[ts.length >> 1],
  'p95',
  ts[Math.floor(ts.length * 0.95)],
  'p99',
  ts[Math.floor(ts.length * 0.99)],
  worst,
)
