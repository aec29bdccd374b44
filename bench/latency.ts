/**
 * How long an accepted event takes until it is settled, at a constant rate offered by the clock: the real gateway, the
 * real consumer, Redis with its append-only file, and the sender, all on this machine.
 *
 *     [CONTEXTS_ENABLED=false] pnpm bench:latency [--rate 1000] [--seconds 60] [--fsync always,everysec] [--find-max] [--quick]
 *
 * Times count from the moment at which a delivery was due, not from when it was sent. `--find-max` raises the rate by a
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
} from './latency-run.ts'
import { machine, percentile, printTable, target } from './table.ts'

const { values } = parseArgs({
  options: {
    rate: { type: 'string' },
    seconds: { type: 'string' },
    'step-seconds': { type: 'string' },
    fsync: { type: 'string', default: 'always,everysec' },
    'find-max': { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
  },
})
const rate = Number(values.rate ?? (values.quick ? 200 : 1000))
const seconds = Number(values.seconds ?? (values.quick ? 3 : 60))
const stepSeconds = Number(values['step-seconds'] ?? (values.quick ? 2 : 10))
const warmUpSeconds = values.quick ? 1 : 5
const policies = values.fsync.split(',') as ('always' | 'everysec')[]

/** Targets at 1,000 events/s on two cores, ms. */
const P50_MS = 5
const P99_MS = 25
/** The rate that is looked for is the one at which p99 passes this, ms. */
const TOO_LATE_MS = 1000
/** A sender that is later than this at p99 does not offer the rate that it was told, ms. */
const SENDER_LATE_MS = 100
const STEP_FACTOR = 1.25
const BISECTIONS = 2

function percent(cpu: number, { wall }: RunResult): string {
  return `${((cpu / wall) * 100).toFixed(0)} %`
}

function latencyRow(policy: string, result: RunResult): string[] {
  const p50 = bucketPercentile(result.settled, 0.5)
  const p99 = bucketPercentile(result.settled, 0.99)
  return [
    policy,
    result.achieved.toFixed(0),
    `${p50.toFixed(1)} (${target(p50, P50_MS)})`,
    `${p99.toFixed(1)} (${target(p99, P99_MS)})`,
    [P50_MS, P99_MS].map((ms) => `${(shareUpTo(result.settled, ms) * 100).toFixed(1)} %`).join(' / '),
    p50p99(result.answered),
    p50p99(result.handled),
    (result.handled.at(-1) ?? Number.NaN).toFixed(1),
    p50p99(result.late),
  ]
}

function cpuRows(policy: string, result: RunResult): string[][] {
  const parts = Object.entries(result.cpu)
  const ours = parts.filter(([part]) => part !== 'others').reduce((sum, [, cpu]) => sum + cpu, 0)
  return [...parts, ['all of these but others', ours] as const].map(([part, cpu]) => [
    policy,
    part,
    percent(cpu, result),
    part === 'others' ? '' : ((cpu / result.accepted) * 1e6).toFixed(1),
  ])
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
const latencies: string[][] = []
const shares: string[][] = []
const verdicts: string[] = []
let failed = false
let version = ''
let max: Awaited<ReturnType<typeof findMax>> | undefined
try {
  for (const policy of policies) {
    const place = await startLatencyWorld(policy, directory)
    try {
      version = place.world.version
      const result = await place.run({ rate, warmUpSeconds, seconds })
      latencies.push(latencyRow(policy, result))
      shares.push(...cpuRows(policy, result))
      if (values['find-max'] && policy === policies[0]) max = await findMax(place, rate)
      failed ||= max?.steps.some(({ missing }) => missing > 0) ?? false
      const ledger = await place.world.ledger()
      const whole = result.missing === 0 && result.refused === 0 && ledger.unaccounted === 0
      failed ||= !whole
      verdicts.push(
        `appendfsync ${policy}: ${result.offered} offered, ${result.accepted} answered 202, ${result.refused} otherwise, ` +
          `${result.spooled} by way of the spool, ${result.missing} without effect; ledger: ${ledger.accepted} accepted, ` +
          `${ledger.settled} settled, ${ledger.unaccounted} unaccounted. ${result.connections} connections at the end.`,
      )
    } finally {
      await place.stop()
    }
  }
} finally {
  rmSync(directory, { recursive: true, force: true })
}

console.log(
  `${machine({ Redis: version })} · ${rate} events/s for ${seconds} s after ${warmUpSeconds} s, open loop`,
)
printTable(
  'From accepted to settled, ms',
  [
    'appendfsync',
    '202s/s',
    'accepted→settled p50',
    'p99',
    `share ≤ ${P50_MS} / ≤ ${P99_MS} ms`,
    'due→202 p50 / p99',
    'due→handled p50 / p99',
    'max',
    'sender late p50 / p99',
  ],
  latencies,
)
printTable('CPU while measuring, of one core', ['appendfsync', 'part', 'share', 'µs per event'], shares)
console.log(`\n${verdicts.join('\n')}`)
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
}
if (failed) {
  console.error('Something accepted has no effect, or something was refused: see above.')
  process.exitCode = 1
}
