/**
 * Whether the cost of an event depends on how many others wait: the gateway adds to, and the consumer takes from, streams
 * with backlogs of several sizes, in turns, each with a Redis of its own.
 *
 *     pnpm bench:backlog [--backlogs 1000,10000,100000,1000000] [--events 20000] [--rounds 3] [--quick]
 *
 * The backlog is put there by admissions, not over HTTP. In every round, and for each backlog: the gateway takes so many
 * events while nobody reads, then a consumer with a handler that does nothing takes as many and is stopped, which
 * leaves the backlog as it was (small ones are topped up).
 */
import { parseArgs } from 'node:util'
import { type Admission, createAdmitter } from '@weir/core/stream/admit'
import { ensureGroup } from '@weir/core/stream/group'
import { type Admitted, admit, type Settled, settle, warmUp } from './admit-settle.ts'
import { createLoad, type Load } from './gateway-load.ts'
import { githubPayloads } from './payloads.ts'
import { type App, SECRET, startWorld, type World } from './processes.ts'
import { createRecorder, inPipeline } from './records.ts'
import { headline, machine, median, printTable, spread } from './table.ts'

const { values } = parseArgs({
  options: {
    backlogs: { type: 'string' },
    events: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
})
const backlogs = (values.backlogs ?? (values.quick ? '100,1000,10000' : '1000,10000,100000,1000000'))
  .split(',')
  .map(Number)
  .sort((a, b) => a - b)
const [smallest, largest] = [backlogs[0]!, backlogs.at(-1)!]
const events = Number(values.events ?? (values.quick ? 2000 : 20_000))
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
const CONNECTIONS = 32
const WARM_UP = values.quick ? 500 : 3000
const DEPTH = 500
/**
 * The dedupe window of the fill, ms: its evidence is to be gone soon, as that of a real backlog would be. What it costs
 * depends on the rate within a window, not on what waits.
 */
const FILL_WINDOW_MS = 1000
/** What counts as flat: rounds of the same backlog differ by as much on a shared machine. */
const FLAT = { atMost: 1.25 }

interface Place {
  readonly world: World
  readonly gateway: App
  /** Brings the backlog to this size. */
  fill(wanted: number): Promise<void>
}

async function open(world: World, load: Load): Promise<Place> {
  const { link, keys, config } = world
  await ensureGroup(link, keys)
  const gateway = await world.startGateway()
  await warmUp(world, gateway, load, WARM_UP)
  const admitter = createAdmitter({
    keys,
    window: () => ({ duration: FILL_WINDOW_MS, maxSize: 1 }),
    evidenceShards: config.webhook.deduplication.evidence_shards,
    now: Date.now,
  })
  const recorder = createRecorder()
  const payloads = githubPayloads()
  function* admissions(count: number): Generator<Admission> {
    for (let i = 0; i < count; i++) yield recorder(payloads[i % payloads.length]!)
  }
  return {
    world,
    gateway,
    async fill(wanted) {
      const missing = wanted - ((await world.ledger()).unread ?? 0)
      await inPipeline(admissions(missing), DEPTH, (admission) => admitter.admit(link, admission))
    },
  }
}

interface Figures {
  readonly admitted: Admitted
  readonly settled: Settled
}

const load = createLoad(githubPayloads(), SECRET, CONNECTIONS)
const worlds: World[] = []
const places = new Map<number, Place>()
const found = new Map(backlogs.map((size) => [size, [] as Figures[]]))
const filled: string[] = []
let version = ''
let unaccounted = 0
try {
  for (const size of backlogs) {
    // Rewriting the append-only file would come at some size, and belong to none of the figures.
    const world = await startWorld({ appendfsync: 'no', redisArgs: ['--auto-aof-rewrite-percentage', '0'] })
    worlds.push(world)
    version = world.version
    places.set(size, await open(world, load))
  }
  for (let round = 0; round < rounds; round++) {
    // Nobody always comes first.
    const order = round % 2 === 0 ? backlogs : backlogs.toReversed()
    for (const size of backlogs) await places.get(size)!.fill(size)
    if (round === 0) {
      for (const [size, { world }] of places)
        filled.push(`${size} waiting: ${((await world.usedMemory()) / 2 ** 20).toFixed(0)} MiB`)
    }
    const admitted = new Map<number, Admitted>()
    for (const size of order) {
      const { world, gateway } = places.get(size)!
      admitted.set(size, await admit(world, gateway, load, events))
    }
    for (const size of order) {
      const settled = await settle(places.get(size)!.world, events)
      found.get(size)!.push({ admitted: admitted.get(size)!, settled })
    }
  }
  for (const world of worlds) unaccounted += Math.abs((await world.ledger()).unaccounted ?? Number.NaN)
} finally {
  for (const world of worlds) await world.stop()
}

const RATE = 'events settled per second'
const WAITING = 'waiting when the consumer started'
const FIGURES: readonly (readonly [name: string, pick: (figures: Figures) => number, digits: number])[] = [
  ['gateway CPU per accepted event, µs', ({ admitted }) => admitted.gateway, 1],
  ['Redis CPU per accepted event, µs', ({ admitted }) => admitted.redis, 1],
  ['consumer CPU per settled event, µs', ({ settled }) => settled.consumer, 1],
  ['Redis CPU per settled event, µs', ({ settled }) => settled.redis, 1],
  [RATE, ({ settled }) => settled.rate, 0],
  [WAITING, ({ settled }) => settled.waiting, 0],
]
/** The largest backlog against the smallest, of the same round; the median of all. */
const growth = (pick: (figures: Figures) => number) =>
  median(found.get(largest)!.map((each, round) => pick(each) / pick(found.get(smallest)![round]!)))

console.log(
  `${machine({ Redis: version })} · ${events} events each, ${rounds} rounds, interleaved; median (min–max)`,
)
printTable(
  'The same work before backlogs of several sizes',
  ['figure', ...backlogs.map((size) => `${size} waiting`), 'largest / smallest'],
  FIGURES.map(([name, pick, digits]) => [
    name,
    ...backlogs.map((size) => spread(found.get(size)!.map(pick), digits)),
    `${growth(pick).toFixed(2)}×`,
  ]),
)
console.log(`\nRedis memory when filled: ${filled.join(', ')}. Unaccounted events: ${unaccounted}.`)
for (const [name, pick] of FIGURES.filter(([name]) => name !== WAITING)) {
  // Fewer a second is more for each.
  const figure = name === RATE ? 1 / growth(pick) : growth(pick)
  const what = name === RATE ? 'time per settled event' : name.replace(', µs', '')
  const question = `${what}, ${largest} waiting against ${smallest}`
  headline({ question, figure, unit: '×', goal: FLAT })
}
if (unaccounted !== 0) process.exitCode = 1
