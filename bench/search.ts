/**
 * Search over contexts: is the right one found, and how fast.
 *
 *     pnpm bench:search [--cards 100000] [--rounds 5] [--quick]
 *
 * Quality: the questions of testdata/search-queries.json against the contexts of all real examples. The weights were chosen
 * looking at the tuning half. Once more among ten look-alikes of each: of other repositories, numbers and people, with the
 * same words but a third, and newer. Many questions do not say which repository they mean, so that not all can be answered. Speed: as many cards as wanted, shaped like the real ones, through Redis and a whole search:
 * with the question's embedding, and the results looked for in Redis.
 */
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { contextIdOf } from '@weir/context-lifecycle/context-id'
import { contextKeys } from '@weir/context-lifecycle/context-keys'
import { type Card, cardText } from '@weir/context-lifecycle/search/card'
import { encodeCard } from '@weir/context-lifecycle/search/card-bytes'
import { createCardIndex } from '@weir/context-lifecycle/search/card-index'
import { putCard } from '@weir/context-lifecycle/search/card-store'
import { quantise } from '@weir/context-lifecycle/search/quantised'
import { QUERY_MAX } from '@weir/context-lifecycle/search/question'
import { WEIGHTS, type Weights } from '@weir/context-lifecycle/search/rank'
import { createContextSearch } from '@weir/context-lifecycle/search/search'
import { systemClock } from '@weir/core/clock'
import { cut } from '@weir/core/cut'
import { connectRedis } from '@weir/core/redis/link'
import { startRedis } from '../scripts/private-redis.ts'
import { variedCard } from './search-cards.ts'
import { EMBEDDER } from './search-embedder.ts'
import { exampleCards } from './search-example-cards.ts'
import { RECEIVED_AT } from './search-examples.ts'
import { labelledQueries, qualityOf } from './search-quality.ts'
import { headline, machine, percentile, printTable, spread, target } from './table.ts'

const { values } = parseArgs({
  options: {
    cards: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
})
const count = Number(values.cards ?? (values.quick ? 2000 : 100_000))
const rounds = Number(values.rounds ?? (values.quick ? 1 : 5))
/** Over 100,000 cards, ms. */
const P95 = { atMost: 100 }
/** Questions whose subject is among the first five, %. */
const FOUND = { atLeast: 80 }
const TOGETHER = 500
/** Of reciprocal rank fusion, as in the paper that proposed it. */
const RRF_K = 60

const examples = exampleCards(EMBEDDER)
const queries = labelledQueries()

function quality(lookAlikes: number): void {
  const index = createCardIndex()
  for (const card of examples) index.put(card)
  for (let n = 0; n < lookAlikes; n++) index.put(nthCard(n))
  const by =
    (weights: Weights, limit = 10) =>
    (q: string): string[] =>
      index
        .rank({
          asked: q,
          embedding: { model: EMBEDDER.model, vector: EMBEDDER.embed(q) },
          now: RECEIVED_AT,
          limit,
          weights,
        })
        .map(({ card: { tool, subject } }) => `${tool} ${subject}`)
  const alone = { text: 0, meaning: 0, recency: 0, importance: 0 }
  const [byText, byMeaning] = [by({ ...alone, text: 1 }, 50), by({ ...alone, meaning: 1 }, 50)]
  const fused = (q: string): string[] => {
    const scores = new Map<string, number>()
    for (const list of [byText(q), byMeaning(q)])
      for (const [at, subject] of list.entries())
        scores.set(subject, (scores.get(subject) ?? 0) + 1 / (RRF_K + at + 1))
    return [...scores].sort((a, b) => b[1] - a[1]).map(([subject]) => subject)
  }
  const ways: [string, (q: string) => string[]][] = [
    ['text only', byText],
    ['embedding only', byMeaning],
    ['hybrid', by(WEIGHTS)],
    ['text and embedding without recency and importance', by({ ...WEIGHTS, recency: 0, importance: 0 })],
    ['reciprocal rank fusion of these two, for comparison', fused],
    ...[0.1, 0.45].map((meaning): [string, (q: string) => string[]] => [
      `hybrid, meaning ${meaning}, for comparison`,
      by({ ...WEIGHTS, text: WEIGHTS.text + WEIGHTS.meaning - meaning, meaning }),
    ]),
  ]
  const halves = ['tuning', 'held out', undefined].map((half) =>
    queries.filter((query) => half === undefined || query.half === half),
  )
  const rows = ways.map(([name, answer]) => [
    name,
    ...halves.flatMap((some) => {
      const { successAt5, ndcgAt10 } = qualityOf(some, answer)
      return [`${(successAt5 * 100).toFixed(0)} %`, ndcgAt10.toFixed(3)]
    }),
  ])
  const { successAt5 } = qualityOf(queries, by(WEIGHTS))
  const among = lookAlikes === 0 ? '' : `, among ${lookAlikes} look-alikes`
  const question = `the right subject among the first five${among}`
  headline({ question, figure: successAt5 * 100, unit: '%', goal: FOUND })
  const [tuning, heldOut, all] = halves.map(({ length }) => length)
  printTable(
    `Quality: ${all} questions about ${new Set(queries.flatMap(({ answers }) => Object.keys(answers))).size} of ${index.size} contexts (${EMBEDDER.model} embedder)`,
    [
      '',
      `success@5, tuning (${tuning})`,
      'nDCG@10',
      `success@5, held out (${heldOut})`,
      'nDCG@10',
      'success@5, all',
      'nDCG@10',
    ],
    rows,
  )
}

/** The n-th of very many: a card of its own, whose context's id follows from its subject. */
function nthCard(n: number): Card {
  const { embedding, ...card } = variedCard(examples, n, RECEIVED_AT)
  const id = contextIdOf(card.tenant, card.tool, card.subject)
  const vector = quantise(EMBEDDER.embed(cardText(card)))
  return {
    ...card,
    id,
    events: 1,
    ...(embedding === undefined ? {} : { embedding: { model: EMBEDDER.model, vector } }),
  }
}

// Only so is what is held told from what is about to be collected.
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
const held = (): number => {
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

async function speed(): Promise<string> {
  const server = await startRedis({ appendfsync: 'no' })
  const link = connectRedis({
    url: server.url,
    commandTimeoutMs: 60_000,
    connectTimeoutMs: 5_000,
    reconnectMaxDelayMs: 500,
    name: 'bench',
  })
  await link.ready()
  const infoOf = async (section: string) => String(await link.call('INFO', section))
  const usedMemory = async () => Number(/^used_memory:(\d+)/m.exec(await infoOf('memory'))?.[1])
  const place = { link, keys: contextKeys('webhook-events', false, 0) }
  // A head as short as one can be; that it is there is all that is asked.
  const head = Buffer.concat([Buffer.of(1, 0, 0, 0, 1), Buffer.alloc(30)])
  let bytes = 0
  let redisBytes = 0
  for (let n = 0; n < count; n += TOGETHER) {
    const cards = Array.from({ length: Math.min(TOGETHER, count - n) }, (_, i) => nthCard(n + i))
    for (const { id } of cards) void link.call('SET', place.keys.head(id), head)
    const before = await usedMemory()
    await Promise.all(cards.map((card) => putCard(place, card, undefined)))
    redisBytes += (await usedMemory()) - before
    bytes += cards.reduce((sum, card) => sum + encodeCard(card, undefined).length, 0)
  }
  const before = held()
  const search = createContextSearch({ places: [place], embedder: EMBEDDER, clock: systemClock })
  const began = performance.now()
  await search.load()
  const loaded = performance.now() - began
  const memory = held() - before
  const times: number[] = []
  for (let round = -1; round < rounds; round++) {
    for (const { q } of queries) {
      const asked = performance.now()
      await search.search({ q, limit: 10 })
      if (round >= 0) times.push(performance.now() - asked)
    }
  }
  // A log that somebody pasted: as many characters as are allowed, of words that are in very many cards.
  const pasted = cut(examples.map(({ text }) => text.replaceAll('\n', ' ')).join(' '), QUERY_MAX)
  const long: number[] = []
  for (let round = 0; round < 20; round++) {
    const asked = performance.now()
    await search.search({ q: pasted, limit: 10 })
    long.push(performance.now() - asked)
  }
  times.sort((a, b) => a - b)
  const p95 = percentile(times, 0.95)
  const mega = (value: number) => `${(value / 1e6).toFixed(0)} MB`
  const ms = (share: number) => `${percentile(times, share).toFixed(1)} ms`
  const { cards, embedded } = search.facts
  printTable(
    `Speed: ${cards} cards, ${embedded} with an embedding, ${times.length} searches`,
    ['', '', 'target'],
    [
      ['loading all from Redis', `${(loaded / 1000).toFixed(1)} s`, ''],
      ['memory of the process', mega(memory), ''],
      [
        'memory of Redis, for each card',
        `${(redisBytes / cards).toFixed(0)} bytes (card: ${(bytes / cards).toFixed(0)})`,
        '',
      ],
      ['search, median', ms(0.5), ''],
      ['search, p95', ms(0.95), target(p95, P95, 'ms')],
      ['search, p99', ms(0.99), ''],
      ['search, slowest', ms(1), ''],
      [`search for ${pasted.length} characters of pasted text`, `${spread(long)} ms`, ''],
    ],
  )
  headline({ question: `search over ${cards} contexts, p95`, figure: p95, unit: 'ms', goal: P95 })
  const version = /redis_version:(\S+)/.exec(await infoOf('server'))?.[1] ?? 'unknown'
  await search.stop()
  await link.close()
  await server.stop()
  return version
}

quality(0)
quality(10 * examples.length)
const version = await speed()
console.log(`\n${machine({ Redis: version })} · ${rounds} rounds of ${queries.length} questions`)
