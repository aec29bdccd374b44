/**
 * What the tiers of contexts are worth: how much smaller than its JSON an event is in a warm segment, what a context costs Redis
 * in each tier, and how long it takes to read one.
 *
 *     pnpm bench:tiers [--contexts 2000] [--rounds 3] [--quick]
 *
 * The events are the examples with varied values (varied.ts), none twice: no dictionary has seen one of them. A tenant's own
 * dictionary learns from half of the examples, and is measured on the other half. In a context of six events these are of one
 * tenant's repository and otherwise have nothing in common, which is the worst case: those of one pull request share more.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createDirectoryStore } from '@weir/context-lifecycle/cold/directory-store'
import type { ContextPlace } from '@weir/context-lifecycle/context-place'
import { systemClock } from '@weir/core/clock'
import {
  createDictionarySet,
  type DictionarySet,
  dictionaryOf,
  loadBundledDictionaries,
} from '@weir/core/dictionaries'
import { createFrameMaker } from '@weir/core/frames'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { startRedis } from '../scripts/private-redis.ts'
import { type ContextEvent, createContextEvents } from './context-events.ts'
import { benchContexts } from './contexts-place.ts'
import { learn } from './learned.ts'
import type { GithubEvent } from './records.ts'
import { type Goal, headline, machine, median, percentile, printTable, spread, target } from './table.ts'
import { createVariedSource } from './varied.ts'

const { values } = parseArgs({
  options: {
    contexts: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
})
const count = Number(values.contexts ?? (values.quick ? 200 : 2000))
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
const PER_CONTEXT = 6
const TENANT = 'acme'
const LESSONS = 2000
const WARM_LEVEL = 6
/** How many times smaller than its JSON an event by itself is to be, with either dictionary; a warm read against a hot one. */
const OWN: Goal = { atLeast: 18 }
const STRUCTURAL: Goal = { atLeast: 10 }
const WARM_READ: Goal = { atMost: 2 }
/** Contexts filled at once, as a consumer with so many workers does. */
const TOGETHER = 50
/** Reads of each tier and round. */
const READS = Math.min(count, 1000)

const varied = createVariedSource()
const examples = Array.from({ length: varied.examples }, (_, i) => i)
const taught = examples.filter((i) => i % 2 === 0)
const unseen = examples.filter((i) => i % 2 === 1)
let made = 0
const nextEvent = (): GithubEvent => {
  made += 1
  return varied.event(unseen[made % unseen.length]!, 0, made)
}

const makers = new Map<DictionarySet, ReturnType<typeof createContextEvents>>()
/** An event of a context that has nothing but it and its like. */
function eventOf(n: number, source: GithubEvent, dictionaries: DictionarySet): ContextEvent {
  const make = makers.get(dictionaries) ?? createContextEvents(TENANT, dictionaries)
  makers.set(dictionaries, make)
  return make(n, `${made}`, 1_700_000_000_000 + made, source)
}

const directory = mkdtempSync(join(tmpdir(), 'weir-bench-'))
const server = await startRedis({ appendfsync: 'no' })
const link: RedisLink = connectRedis({
  url: server.url,
  commandTimeoutMs: 30_000,
  connectTimeoutMs: 5_000,
  reconnectMaxDelayMs: 500,
  name: 'bench',
})
await link.ready()
const infoOf = async (section: string) => String(await link.call('INFO', section))
const usedMemory = async () => Number(/^used_memory:(\d+)/m.exec(await infoOf('memory'))?.[1])

const lessons = Array.from({ length: values.quick ? 300 : LESSONS }, (_, i) =>
  varied.event(taught[i % taught.length]!, 0, -1 - i),
)
const structural = createDictionarySet(loadBundledDictionaries())
const own = createDictionarySet(new Map([['github', dictionaryOf(learn(lessons))]]))

type Options = {
  readonly dictionaries: DictionarySet
  readonly perContext: number
  readonly contexts: number
}

/** Contexts filled with events; what their JSON was in all. */
async function fill({ dictionaries, perContext, contexts: many }: Options) {
  await link.call('FLUSHALL')
  const all = benchContexts(link, {
    dictionaries,
    store: createDirectoryStore(join(directory, `${made}`), { clock: systemClock }),
  })
  let json = 0
  const ids: string[] = []
  for (let from = 0; from < many; from += TOGETHER) {
    const appended = Array.from({ length: Math.min(TOGETHER, many - from) }, async (_, i) => {
      let id = ''
      for (let k = 0; k < perContext; k++) {
        const source = nextEvent()
        json += source.body.length
        const { event, record } = eventOf(from + i, source, dictionaries)
        id = (await all.contexts.append(event, record)).context
      }
      return id
    })
    ids.push(...(await Promise.all(appended)))
  }
  return { all, json, ids }
}

async function each(ids: readonly string[], act: (id: string) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < ids.length; from += 8) await Promise.all(ids.slice(from, from + 8).map(act))
}

async function segmentBytes(place: ContextPlace, ids: readonly string[]): Promise<number> {
  let bytes = 0
  for (const id of ids) {
    const fields = (await link.call('HKEYS', place.keys.parts(id))) as Buffer[]
    for (const field of fields) bytes += Number(await link.call('HSTRLEN', place.keys.parts(id), field))
  }
  return bytes
}

/** JSON to segment, digests included. */
async function ratioOf(options: Options): Promise<number> {
  const { all, json, ids } = await fill(options)
  await each(ids, (id) => all.mover.cool(id, 1))
  return json / (await segmentBytes(all.place, ids))
}

/** The bodies alone, each by itself, with zstd and no dictionary: what it is compared with. */
function plainRatio(): number {
  const frame = createFrameMaker(WARM_LEVEL)
  let [json, packed] = [0, 0]
  for (let n = 0; n < count; n++) {
    const { body } = nextEvent()
    json += body.length
    packed += frame(body, undefined).length
  }
  return json / packed
}

async function memoryByTier() {
  const empty = await usedMemoryOf(() => link.call('FLUSHALL'))
  const { all, json, ids } = await fill({
    dictionaries: structural,
    perContext: PER_CONTEXT,
    contexts: count,
  })
  const perContext = async () => ((await usedMemory()) - empty) / count
  const hot = await perContext()
  await each(ids, (id) => all.mover.cool(id, 1))
  const warm = await perContext()
  await each(ids, (id) => all.mover.freeze(id))
  const cold = await perContext()
  return { hot, warm, cold, json: json / count }
}
async function usedMemoryOf(before: () => Promise<unknown>): Promise<number> {
  await before()
  return usedMemory()
}

type Times = Record<'hot' | 'warm' | 'cold', number[]>

/** Reads of contexts in each tier, in turn, so that what disturbs one disturbs all. */
async function readTimes(): Promise<Times> {
  const { all, ids } = await fill({ dictionaries: structural, perContext: PER_CONTEXT, contexts: 3 * READS })
  const [hot, warm, cold] = [ids.slice(0, READS), ids.slice(READS, 2 * READS), ids.slice(2 * READS)]
  await each([...warm, ...cold], (id) => all.mover.cool(id, 1))
  await each(cold, (id) => all.mover.freeze(id))
  const times: Times = { hot: [], warm: [], cold: [] }
  for (let n = 0; n < READS; n++) {
    for (const [tier, id] of [
      ['hot', hot[n]!],
      ['warm', warm[n]!],
      ['cold', cold[n]!],
    ] as const) {
      const began = performance.now()
      const context = await all.contexts.read(id)
      times[tier].push(performance.now() - began)
      if (context?.timeline.length !== PER_CONTEXT || context.tier !== tier)
        throw new Error(`${id} is not whole`)
    }
  }
  for (const tier of ['hot', 'warm', 'cold'] as const) times[tier].sort((a, b) => a - b)
  return times
}

const ratios = {
  plain: [] as number[],
  structural1: [] as number[],
  structural6: [] as number[],
  own1: [] as number[],
  own6: [] as number[],
}
const memory: Awaited<ReturnType<typeof memoryByTier>>[] = []
const reads: Times[] = []
for (let round = 0; round < rounds; round++) {
  ratios.plain.push(plainRatio())
  ratios.structural1.push(await ratioOf({ dictionaries: structural, perContext: 1, contexts: count }))
  ratios.own1.push(await ratioOf({ dictionaries: own, perContext: 1, contexts: count }))
  ratios.structural6.push(
    await ratioOf({ dictionaries: structural, perContext: PER_CONTEXT, contexts: count }),
  )
  ratios.own6.push(await ratioOf({ dictionaries: own, perContext: PER_CONTEXT, contexts: count }))
  memory.push(await memoryByTier())
  reads.push(await readTimes())
}
const version = /redis_version:(\S+)/.exec(await infoOf('server'))?.[1] ?? 'unknown'
await link.close()
await server.stop()
rmSync(directory, { recursive: true })

console.log(
  `${machine({ Redis: version })} · ${count} contexts, ${rounds} rounds, interleaved; median (min–max)`,
)
printTable(
  'Warm segments: how many times smaller than the JSON, digests included',
  ['', 'one event', `${PER_CONTEXT} events`, 'target'],
  [
    [
      "the tenant's own dictionary",
      spread(ratios.own1),
      spread(ratios.own6),
      target(median(ratios.own1), OWN),
    ],
    [
      'structural starter',
      spread(ratios.structural1),
      spread(ratios.structural6),
      target(median(ratios.structural1), STRUCTURAL),
    ],
    [`zstd ${WARM_LEVEL} alone, bodies only`, spread(ratios.plain), '', ''],
  ],
)
printTable(
  `Redis memory of a context of ${PER_CONTEXT} events, bytes`,
  ['tier', 'bytes', 'share of its JSON'],
  (['hot', 'warm', 'cold'] as const).map((tier) => [
    tier,
    spread(
      memory.map((each) => each[tier]),
      0,
    ),
    `1/${(memory[0]!.json / memory[0]![tier]).toFixed(0)}`,
  ]),
)
printTable(
  `Reading a context of ${PER_CONTEXT} events, ms`,
  ['tier', 'p50', 'p99', 'p50 against hot'],
  (['hot', 'warm', 'cold'] as const).map((tier) => [
    tier,
    spread(
      reads.map((each) => percentile(each[tier], 0.5)),
      2,
    ),
    spread(
      reads.map((each) => percentile(each[tier], 0.99)),
      2,
    ),
    spread(
      reads.map((each) => percentile(each[tier], 0.5) / percentile(each.hot, 0.5)),
      2,
    ),
  ]),
)
const smaller = 'times smaller than its JSON an event is when warm'
headline({
  question: `${smaller}, the tenant's own dictionary`,
  figure: median(ratios.own1),
  unit: '×',
  goal: OWN,
})
headline({
  question: `${smaller}, structural starter`,
  figure: median(ratios.structural1),
  unit: '×',
  goal: STRUCTURAL,
})
const readAgainstHot = (tier: 'warm' | 'cold') =>
  median(reads.map((each) => percentile(each[tier], 0.5) / percentile(each.hot, 0.5)))
headline({
  question: 'reading a warm context against a hot one, p50',
  figure: readAgainstHot('warm'),
  unit: '×',
  goal: WARM_READ,
})
headline({
  question: 'reading a cold context out of a directory against a hot one, p50',
  figure: readAgainstHot('cold'),
  unit: '×',
})
