/**
 * Whether the cost of an event depends on how many others wait: the gateway adds to, and the consumer takes from, a
 * stream with a small backlog and one with a large one, in turns, each with a Redis of its own.
 *
 *     pnpm bench:backlog [--small 1000] [--large 500000] [--events 30000] [--rounds 3] [--quick]
 *
 * The backlog is put there by admissions, not over HTTP. In every round, and for each backlog: the gateway takes so many
 * events while nobody reads, then a consumer with a handler that does nothing takes as many and is stopped, which
 * leaves the backlog as it was (the small one is topped up).
 */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { systemClock } from '@weir/core/clock'
import { type Admission, createAdmitter } from '@weir/core/stream/admit'
import { ensureGroup } from '@weir/core/stream/group'
import { createLoad, type Load } from './gateway-load.ts'
import { githubPayloads } from './payloads.ts'
import { type App, SECRET, startWorld, type World } from './processes.ts'
import { createRecorder, inPipeline } from './records.ts'
import { machine, median, printTable, spread } from './table.ts'

const { values } = parseArgs({
  options: {
    small: { type: 'string' },
    large: { type: 'string' },
    events: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
})
const backlogs = {
  small: Number(values.small ?? (values.quick ? 100 : 1000)),
  large: Number(values.large ?? (values.quick ? 10_000 : 500_000)),
}
type Size = keyof typeof backlogs
const SIZES = Object.keys(backlogs) as Size[]
const events = Number(values.events ?? (values.quick ? 3000 : 30_000))
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
const CONNECTIONS = 32
const WARM_UP = values.quick ? 500 : 3000
const DEPTH = 500
/**
 * The dedupe window of the fill, ms: its evidence is to be gone soon, as that of a real backlog would be. What it costs
 * depends on the rate within a window, not on what waits.
 */
const FILL_WINDOW_MS = 1000
/** Reading the ledger costs Redis too. */
const POLL_MS = 20
/** How long the warm-up may take to be settled, ms. */
const DRAIN_TIMEOUT_MS = 60_000
const HANDLERS = fileURLToPath(new URL('backlog-handler.ts', import.meta.url))

/** µs per event, but for `rate` (events/s) and `depth` (waiting before the consumer starts). */
interface Figures {
  readonly gateway: number
  readonly redisAdmit: number
  readonly consumer: number
  readonly redisSettle: number
  readonly rate: number
  readonly waiting: number
}

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
  await send(load, gateway, WARM_UP)
  const drain = await world.startConsumer(HANDLERS)
  await world.untilSettled(DRAIN_TIMEOUT_MS)
  await drain.stop()
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

/** On connections of its own: a gateway closes those that were idle for long. */
async function send(load: Load, { port }: App, count: number): Promise<void> {
  const sender = await load.connect(port)
  try {
    await sender.run(count)
  } finally {
    sender.close()
  }
}

/** The gateway takes events while nobody reads. */
async function admit({ world, gateway }: Place, load: Load) {
  const [cpu, redis] = [gateway.cpu(), world.redisCpu()]
  await send(load, gateway, events)
  return {
    gateway: ((gateway.cpu() - cpu) / events) * 1e6,
    redisAdmit: ((world.redisCpu() - redis) / events) * 1e6,
  }
}

/** A consumer takes as many; measured from when it has warmed up, on what it settled by then. */
async function settle({ world }: Place) {
  const before = (await world.ledger()).settled
  const settledOver = async (wanted: number) => {
    for (;;) {
      const settled = (await world.ledger()).settled - before
      if (settled >= wanted) return settled
      await systemClock.wait(POLL_MS)
    }
  }
  const waiting = (await world.ledger()).unread ?? 0
  const consumer = await world.startConsumer(HANDLERS)
  const from = await settledOver(events / 4)
  const [cpu, redis, started] = [consumer.cpu(), world.redisCpu(), performance.now()]
  const settled = (await settledOver((events * 9) / 10)) - from
  const seconds = (performance.now() - started) / 1000
  const figures = {
    consumer: ((consumer.cpu() - cpu) / settled) * 1e6,
    redisSettle: ((world.redisCpu() - redis) / settled) * 1e6,
    rate: settled / seconds,
    waiting,
  }
  await consumer.stop()
  return figures
}

const load = createLoad(githubPayloads(), SECRET, CONNECTIONS)
const worlds: World[] = []
const places = new Map<Size, Place>()
const found: Record<Size, Figures[]> = { small: [], large: [] }
const filled: string[] = []
let version = ''
let unaccounted = 0
try {
  for (const size of SIZES) {
    // Rewriting the append-only file would come at some size, and belong to none of the figures.
    const world = await startWorld({ appendfsync: 'no', redisArgs: ['--auto-aof-rewrite-percentage', '0'] })
    worlds.push(world)
    places.set(size, await open(world, load))
  }
  for (let round = 0; round < rounds; round++) {
    // Nobody always comes first.
    const order = round % 2 === 0 ? SIZES : SIZES.toReversed()
    for (const size of SIZES) await places.get(size)!.fill(backlogs[size])
    if (round === 0) {
      for (const size of SIZES) {
        const { world } = places.get(size)!
        filled.push(`${size}: ${((await world.usedMemory()) / 2 ** 20).toFixed(0)} MiB`)
        version = world.version
      }
    }
    const admitted = new Map<Size, Awaited<ReturnType<typeof admit>>>()
    for (const size of order) admitted.set(size, await admit(places.get(size)!, load))
    for (const size of order)
      found[size].push({ ...admitted.get(size)!, ...(await settle(places.get(size)!)) })
  }
  for (const world of worlds) unaccounted += Math.abs((await world.ledger()).unaccounted ?? Number.NaN)
} finally {
  for (const world of worlds) await world.stop()
}

const FIGURES: readonly (readonly [name: string, pick: (figures: Figures) => number, digits: number])[] = [
  ['gateway CPU per accepted event, µs', ({ gateway }) => gateway, 1],
  ['Redis CPU per accepted event, µs', ({ redisAdmit }) => redisAdmit, 1],
  ['consumer CPU per settled event, µs', ({ consumer }) => consumer, 1],
  ['Redis CPU per settled event, µs', ({ redisSettle }) => redisSettle, 1],
  ['events settled per second', ({ rate }) => rate, 0],
  ['waiting when the consumer started', ({ waiting }) => waiting, 0],
]
console.log(
  `${machine({ Redis: version })} · ${events} events each, ${rounds} rounds, interleaved; median (min–max)`,
)
printTable(
  'The same work before a small and a large backlog',
  ['figure', `${backlogs.small} waiting`, `${backlogs.large} waiting`, 'large / small'],
  FIGURES.map(([name, pick, digits]) => {
    const [small, large] = SIZES.map((size) => found[size].map(pick)) as [number[], number[]]
    const ratios = large.map((value, round) => value / small[round]!)
    return [name, spread(small, digits), spread(large, digits), `${median(ratios).toFixed(2)}×`]
  }),
)
console.log(`\nRedis memory when filled: ${filled.join(', ')}. Unaccounted events: ${unaccounted}.`)
if (unaccounted !== 0) process.exitCode = 1
