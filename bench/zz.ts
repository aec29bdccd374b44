import { createRequire } from 'node:module'
import { cardOf } from '@weir/context-lifecycle/search/card'
import { importanceOf } from '@weir/context-lifecycle/importance'
import { exampleContexts, RECEIVED_AT } from './search-examples.ts'
import { variedCard } from './search-cards.ts'
const MiniSearch = createRequire('/work/wt-search/packages/context-lifecycle/package.json')('minisearch')
const real = exampleContexts('acme').map((c) => cardOf(c, importanceOf(c, RECEIVED_AT).score))
const N = Number(process.argv[2] ?? 100000)
const cards = Array.from({ length: N }, (_, n) => variedCard(real, n, RECEIVED_AT))
console.log(cards[5], cards[71])
console.log('mean chars', cards.reduce((s, c) => s + c.text.length + (c.title ?? '').length + c.subject.length, 0) / N)
;(globalThis as any).gc?.()
const before = process.memoryUsage()
let t = performance.now()
const mini = new MiniSearch({ fields: ['subject', 'title', 'people', 'text'], storeFields: [], searchOptions: { boost: { subject: 3, title: 3 } } })
for (const c of cards) mini.add({ ...c, people: c.people.join(' ') })
console.log('build', performance.now() - t)
;(globalThis as any).gc?.()
const after = process.memoryUsage()
console.log('heap MB', (after.heapUsed - before.heapUsed) / 1e6, 'rss', (after.rss - before.rss) / 1e6)
for (const [name, opts] of [['exact', {}], ['prefix', { prefix: true }], ['fuzzy', { prefix: true, fuzzy: 0.2 }]] as const)
  for (const q of ['failed codeql run on hello world', 'readme pull request from codertocat', 'typo in documentation bug report', 'consumer is lagging critical', 'rack vulnerability']) {
    const ts: number[] = []
    for (let i = 0; i < 5; i++) { t = performance.now(); mini.search(q, opts); ts.push(performance.now() - t) }
    ts.sort((a, b) => a - b)
    console.log(name, q, 'median', ts[2]!.toFixed(1), 'max', ts[4]!.toFixed(1))
  }
