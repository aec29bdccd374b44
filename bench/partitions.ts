/**
 * What more partitions cost, and what they bring: the gateway and the consumer on Clusters of loopback servers with 1, 2, 4 and
 * 8 partitions, in turns, each with Redis servers of its own.
 *
 *     pnpm bench:partitions [--partitions 1,2,4,8] [--masters 1,3] [--events 20000] [--rounds 3] [--quick]
 *
 * With one master nothing but the number of partitions changes: what grows is their price. With several the work of Redis is
 * spread, which makes nothing faster where all of them share two cores with gateway, consumer and sender. Numbers of partitions
 * below that of the masters are left out. In every round each gateway takes so many events while nobody reads, then a consumer
 * with a handler that does nothing takes as many.
 */
import { parseArgs } from 'node:util'
import { type Admitted, admit, type Settled, settle, warmUp } from './admit-settle.ts'
import { createLoad } from './gateway-load.ts'
import { githubPayloads } from './payloads.ts'
import { type App, SECRET, startWorld, type World } from './processes.ts'
import { headline, machine, median, printTable, spread } from './table.ts'

const { values } = parseArgs({
  options: {
    partitions: { type: 'string' },
    masters: { type: 'string' },
    events: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
})
const numbers = (list: string) => list.split(',').map(Number)
const partitions = numbers(values.partitions ?? (values.quick ? '1,4' : '1,2,4,8'))
const masters = numbers(values.masters ?? '1,3')
const events = Number(values.events ?? (values.quick ? 2000 : 20_000))
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
const CONNECTIONS = 32
const WARM_UP = values.quick ? 500 : 3000

interface Place {
  readonly masters: number
  readonly partitions: number
  readonly world: World
  readonly gateway: App
  readonly found: { readonly admitted: Admitted; readonly settled: Settled }[]
}

const load = createLoad(githubPayloads(), SECRET, CONNECTIONS)
const worlds: World[] = []
const places: Place[] = []
let unaccounted = 0
try {
  for (const many of masters) {
    for (const each of partitions.filter((number) => number >= many)) {
      const world = await startWorld({
        appendfsync: 'no',
        redisArgs: ['--auto-aof-rewrite-percentage', '0'],
        cluster: { masters: many, partitions: each },
      })
      worlds.push(world)
      const gateway = await world.startGateway()
      await warmUp(world, gateway, load, WARM_UP)
      places.push({ masters: many, partitions: each, world, gateway, found: [] })
    }
  }
  for (let round = 0; round < rounds; round++) {
    // Nobody always comes first.
    for (const { world, gateway, found } of round % 2 === 0 ? places : places.toReversed()) {
      const admitted = await admit(world, gateway, load, events)
      found.push({ admitted, settled: await settle(world, events) })
    }
  }
  for (const world of worlds) unaccounted += Math.abs((await world.ledger()).unaccounted ?? Number.NaN)
} finally {
  for (const world of worlds) await world.stop()
}

type Pick = (figures: Place['found'][number]) => number
const all: Pick = ({ admitted, settled }) =>
  admitted.gateway + admitted.redis + settled.consumer + settled.redis
const first = places[0]!
/** Against the first row, of the same round; the median of all. */
const growth = ({ found }: Place, pick: Pick) =>
  median(found.map((each, round) => pick(each) / pick(first.found[round]!)))
const COLUMNS: readonly (readonly [name: string, pick: Pick, digits: number])[] = [
  ['accepted/s', ({ admitted }) => admitted.rate, 0],
  ['gateway', ({ admitted }) => admitted.gateway, 1],
  ['Redis, admitting', ({ admitted }) => admitted.redis, 1],
  ['settled/s', ({ settled }) => settled.rate, 0],
  ['consumer', ({ settled }) => settled.consumer, 1],
  ['Redis, settling', ({ settled }) => settled.redis, 1],
  ['CPU of all', all, 1],
]
console.log(
  `${machine({ Redis: worlds[0]!.version })} · ${events} events each, ${rounds} rounds, interleaved; median (min–max)`,
)
printTable(
  'Growth with partitions: events per second, and CPU per event, µs',
  ['masters', 'partitions', ...COLUMNS.map(([name]) => name), 'against the first row'],
  places.map((place) => [
    String(place.masters),
    String(place.partitions),
    ...COLUMNS.map(([, pick, digits]) => spread(place.found.map(pick), digits)),
    `${growth(place, all).toFixed(2)}×`,
  ]),
)
console.log(`\nUnaccounted events: ${unaccounted}.`)
const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`
const nameOf = (place: Place) =>
  `${counted(place.partitions, 'partition')} on ${counted(place.masters, 'server')}`
for (const place of places.filter((each) => each !== first)) {
  const question = `CPU of all per event, ${nameOf(place)}, against ${nameOf(first)}`
  headline({ question, figure: growth(place, all), unit: '×' })
}
if (unaccounted !== 0) process.exitCode = 1
