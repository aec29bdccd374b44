/**
 * How long an accepted event takes until it is settled, at a constant rate offered by the clock: the real gateway, the
 * real consumer, Redis with its append-only file, and the sender, all on this machine.
 *
 *     [CONTEXTS_ENABLED=false] pnpm bench:latency [--rate 1000] [--seconds 20] [--rounds 3] [--fsync always,everysec] [--find-max] [--quick]
 *
 * Several rates may be given, `--rate 200,1000`. Every policy has a pipeline of its own; they take turns, and who has none does
 * nothing meanwhile. Times count from the moment at which a delivery was due, not from when it was sent. `--find-max` raises the rate by a
 * quarter until p99 from due to handled passes 1 s or the sender cannot keep up, then looks between the last two.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  bucketPercentile,
  type LatencyWorld,
  p50p99,
  type RunResult,
  shareUpTo,
  startLatencyWorld,
  type Times,
} from './latency-run.ts'
import { headline, machine, median, percentile, printTable, spread, target } from './table.ts'

const { values } = parseArgs({
  options: {
    rate: { type: 'string' },
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    'step-seconds': { type: 'string' },
    fsync: { type: 'string', default: 'always,everysec' },
    'find-max': { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
  },
})
const rates = (values.rate ?? (values.quick ? '200' : '1000')).split(',').map(Number)
const seconds = Number(values.seconds ?? (values.quick ? 3 : 20))
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
const stepSeconds = Number(values['step-seconds'] ?? (values.quick ? 2 : 10))
const warmUpSeconds = values.quick ? 1 : 5
type Policy = 'always' | 'everysec'
const policies = values.fsync.split(',') as Policy[]

/** Targets at 1,000 events/s on two cores, ms. */
const P50_MS = 5
const P99_MS = 25
const P50 = { atMost: P50_MS }
const P99 = { atMost: P99_MS }
/** The rate that is looked for is the one at which p99 passes this, ms. */
const TOO_LATE_MS = 1000
/** A sender that is later than this at p99 does not offer the rate that it was told, ms. */
const SENDER_LATE_MS = 100
const STEP_FACTOR = values.quick ? 2 : 1.25
const BISECTIONS = values.quick ? 0 : 2

function percent(cpu: number, { wall }: RunResult): string {
  return `${((cpu / wall) * 100).toFixed(0)} %`
}

/** The runs of one policy at one rate. */
interface Series {
  readonly policy: Policy
  readonly rate: number
  readonly runs: RunResult[]
}

const settledAt = ({ runs }: Series, share: number) =>
  runs.map(({ settled }) => bucketPercentile(settled, share))

/** Medians of the rounds. */
function p50p99Of({ runs }: Series, pick: (run: RunResult) => Times): string {
  return [0.5, 0.99]
    .map((share) => median(runs.map((run) => percentile(pick(run), share))).toFixed(1))
    .join(' / ')
}

function latencyRow(series: Series): string[] {
  const { policy, rate, runs } = series
  const [p50, p99] = [settledAt(series, 0.5), settledAt(series, 0.99)]
  return [
    policy,
    String(rate),
    median(runs.map(({ achieved }) => achieved)).toFixed(0),
    `${spread(p50)} · ${target(median(p50), P50)}`,
    `${spread(p99)} · ${target(median(p99), P99)}`,
    [P50_MS, P99_MS]
      .map((ms) => `${(median(runs.map(({ settled }) => shareUpTo(settled, ms))) * 100).toFixed(1)} %`)
      .join(' / '),
    p50p99Of(series, ({ answered }) => answered),
    p50p99Of(series, ({ handled }) => handled),
    Math.max(...runs.map(({ handled }) => handled.at(-1) ?? Number.NaN)).toFixed(1),
    p50p99Of(series, ({ late }) => late),
  ]
}

function cpuRows({ policy, rate, runs }: Series): string[][] {
  const parts = ['gateway', 'consumer', 'redis', 'sender', 'others'] as const
  const row = (part: string, cpuOf: (run: RunResult) => number, each = true) => [
    policy,
    String(rate),
    part,
    `${median(runs.map((run) => (cpuOf(run) / run.wall) * 100)).toFixed(0)} %`,
    each ? median(runs.map((run) => (cpuOf(run) / run.accepted) * 1e6)).toFixed(1) : '',
  ]
  return [
    ...parts.map((part) => row(part, ({ cpu }) => cpu[part], part !== 'others')),
    row('all of these but others', ({ cpu }) => cpu.gateway + cpu.consumer + cpu.redis + cpu.sender),
  ]
}

function stepRow(result: RunResult): string[] {
  return [
    result.load.rate.toFixed(0),
    result.achieved.toFixed(0),
    p50p99(result.answered),
    p50p99(result.handled),
    bucketPercentile(result.settled, 0.99).toFixed(1),
    p50p99(result.late),
    percent(result.cpu.gateway, result),
    percent(result.cpu.consumer, result),
    percent(result.cpu.redis, result),
    percent(result.cpu.sender, result),
    String(result.spooled),
  ]
}

/** Undefined while the pipeline keeps up; else what gave way. */
function gaveWay(result: RunResult): string | undefined {
  if (percentile(result.handled, 0.99) > TOO_LATE_MS) return `p99 passed ${TOO_LATE_MS} ms`
  if (percentile(result.late, 0.99) > SENDER_LATE_MS) return 'the sender could not keep the rate'
  return undefined
}

async function findMax(place: LatencyWorld, from: number) {
  const steps: RunResult[] = []
  const attempt = async (offered: number) => {
    const result = await place.run({ rate: offered, warmUpSeconds: 1, seconds: stepSeconds })
    steps.push(result)
    return gaveWay(result)
  }
  let kept = 0
  let broken = from
  let why = await attempt(broken)
  while (why === undefined) {
    kept = broken
    broken = Math.round(broken * STEP_FACTOR)
    why = await attempt(broken)
  }
  for (let i = 0; i < BISECTIONS && kept > 0; i++) {
    const middle = Math.round((kept + broken) / 2)
    const between = await attempt(middle)
    if (between === undefined) kept = middle
    else {
      broken = middle
      why = between
    }
  }
  return { steps, kept, broken, why }
}

const directory = mkdtempSync(join(tmpdir(), 'weir-latency-'))
const places = new Map<Policy, LatencyWorld>()
const all: Series[] = policies.flatMap((policy) => rates.map((rate) => ({ policy, rate, runs: [] })))
const verdicts: string[] = []
let failed = false
let max: Awaited<ReturnType<typeof findMax>> | undefined
try {
  for (const policy of policies) places.set(policy, await startLatencyWorld(policy, directory))
  for (let round = 0; round < rounds; round++) {
    // Nobody always comes first.
    for (const { policy, rate, runs } of round % 2 === 0 ? all : all.toReversed())
      runs.push(await places.get(policy)!.run({ rate, warmUpSeconds, seconds }))
  }
  if (values['find-max']) max = await findMax(places.get(policies[0]!)!, values.quick ? 800 : rates[0]!)
  failed ||= max?.steps.some(({ missing }) => missing > 0) ?? false
  for (const [policy, { world }] of places) {
    const runs = all.filter((series) => series.policy === policy).flatMap((series) => series.runs)
    const sum = (pick: (run: RunResult) => number) => runs.reduce((total, run) => total + pick(run), 0)
    const [refused, missing] = [sum((run) => run.refused), sum((run) => run.missing)]
    const ledger = await world.ledger()
    failed ||= missing > 0 || refused > 0 || ledger.unaccounted !== 0
    verdicts.push(
      `appendfsync ${policy}: ${sum(({ offered }) => offered)} offered, ${sum(({ accepted }) => accepted)} answered 202, ${refused} otherwise, ` +
        `${sum(({ spooled }) => spooled)} by way of the spool, ${missing} without effect; ledger: ${ledger.accepted} accepted, ` +
        `${ledger.settled} settled, ${ledger.unaccounted} unaccounted. ${Math.max(...runs.map(({ connections }) => connections))} connections at most.`,
    )
  }
} finally {
  for (const place of places.values()) await place.stop()
  rmSync(directory, { recursive: true, force: true })
}

console.log(
  `${machine({ Redis: places.get(policies[0]!)!.world.version })} · ${rates.join(', ')} events/s for ${seconds} s after ${warmUpSeconds} s, open loop, ${rounds} rounds, interleaved; median (min–max)`,
)
printTable(
  'From accepted to settled, ms',
  [
    'appendfsync',
    'offered/s',
    '202s/s',
    'accepted→settled p50',
    'p99',
    `share ≤ ${P50_MS} / ≤ ${P99_MS} ms`,
    'due→202 p50 / p99',
    'due→handled p50 / p99',
    'max',
    'sender late p50 / p99',
  ],
  all.map(latencyRow),
)
printTable(
  'CPU while measuring, of one core',
  ['appendfsync', 'offered/s', 'part', 'share', 'µs per event'],
  all.flatMap(cpuRows),
)
console.log(`\n${verdicts.join('\n')}`)
for (const series of all) {
  for (const [name, share, goal] of [
    ['p50', 0.5, P50],
    ['p99', 0.99, P99],
  ] as const) {
    const question = `accepted to settled at ${series.rate} events/s, appendfsync ${series.policy}, ${name}`
    headline({ question, figure: median(settledAt(series, share)), unit: 'ms', goal })
  }
}
if (max !== undefined) {
  printTable(
    `The rate at which p99 passes ${TOO_LATE_MS / 1000} s (${stepSeconds} s each, appendfsync ${policies[0]}; times in ms, CPU of one core)`,
    [
      'offered/s',
      '202s/s',
      'due→202 p50 / p99',
      'due→handled p50 / p99',
      'settled p99',
      'sender late p50 / p99',
      'gateway',
      'consumer',
      'Redis',
      'sender',
      'spooled',
    ],
    max.steps.toSorted((a, b) => a.load.rate - b.load.rate).map(stepRow),
  )
  console.log(`\nKept ${max.kept} events/s; at ${max.broken} ${max.why}.`)
  const question = `the highest rate at which p99 from due to handled stays below ${TOO_LATE_MS} ms`
  headline({ question, figure: max.kept, unit: 'events/s' })
}
if (failed) {
  console.error('Something accepted has no effect, or something was refused: see above.')
  process.exitCode = 1
}
