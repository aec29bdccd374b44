/**
 * Nothing that was answered 202 is lost with `durability: replica`, whatever happens to the master; with `local`, something
 * may be, and the gateway says so.
 *
 * `FAILOVER_ROUNDS=5 pnpm test failovers` measures: every scenario five times in every mode under more load, printed as
 * the table that docs/redis.md shows.
 */
import { afterAll, describe, expect, it } from 'vitest'
import { useCluster, useSentinel } from '../support/use-topology.ts'
import { CLUSTER_SCENARIOS, clusterPlace, SENTINEL_SCENARIOS, sentinelPlace } from './failovers.ts'
import { type Durability, type Outcome, type RunOptions, runUnderLoad } from './under-load.ts'

const rounds = Number(process.env.FAILOVER_ROUNDS ?? 0)
const outcomes: Outcome[] = []
/** Failovers take seconds, and longer on a busy machine. */
const PATIENT = { timeout: 90_000 }
const LIGHT: RunOptions = { concurrency: 8, answers: 200 }
const HEAVY: RunOptions = { concurrency: 64, answers: 3_000 }

const numbered = <T extends object>(rows: readonly T[]) =>
  Array.from({ length: rounds }, (_, round) => rows.map((row) => ({ ...row, round }))).flat()

/** What is measured without a promise: a loss must at least be told. */
function expectLossTold({ missing, reoffered, twice, losses }: Outcome): void {
  expect(twice).toBe(0)
  if (missing + reoffered > 0) expect(losses).toBeGreaterThan(0)
}

function expectNothingLost(outcome: Outcome): void {
  expect(outcome).toMatchObject({ missing: 0, twice: 0, losses: 0, reoffered: 0 })
  expect(outcome.statuses).toEqual(new Map([[202, outcome.acknowledged]]))
  expect(outcome.spooled).toBeGreaterThan(0)
}

describe('under Sentinels', () => {
  const sentinel = useSentinel({ replicas: 2, appendfsync: 'everysec', openConnections: 'allowed' })

  async function run(name: string, durability: Durability, options: RunOptions): Promise<Outcome> {
    const { current } = sentinel
    const happen = SENTINEL_SCENARIOS.find((each) => each.name === name)!.happen
    const outcome = await runUnderLoad(
      sentinelPlace(current),
      name,
      (load) => happen(current, load),
      durability,
      options,
    )
    outcomes.push(outcome)
    return outcome
  }

  it.each(SENTINEL_SCENARIOS)(
    '$name: with durability: replica nothing is lost or there twice',
    PATIENT,
    async ({ name }) => expectNothingLost(await run(name, 'replica, 2 of 2', LIGHT)),
  )

  it(
    'with durability: local, a master that dies before its replicas have all loses it; the gateway says so and offers it again',
    PATIENT,
    async () => {
      const settings = { 'ingest.reoffer_bytes': '1GiB' }
      const outcome = await run('master killed whose replicas lag', 'local', { ...LIGHT, settings })
      expect(outcome.losses).toBeGreaterThan(0)
      expect(outcome.reoffered).toBeGreaterThan(0)
      expect(outcome).toMatchObject({ missing: 0, twice: 0 })
    },
  )

  const modes: readonly Durability[] = ['local', 'replica, 1 of 2', 'replica, 2 of 2']
  const rows = SENTINEL_SCENARIOS.flatMap(({ name }) => modes.map((mode) => ({ name, mode })))
  it.runIf(rounds > 0).each(numbered(rows))(
    'measured: $name, $mode, $round',
    PATIENT,
    async ({ name, mode }) => {
      const outcome = await run(name, mode, HEAVY)
      if (mode === 'replica, 2 of 2') expectNothingLost(outcome)
      else expectLossTold(outcome)
    },
  )
})

describe('on a Cluster', () => {
  const cluster = useCluster({ masters: 3, replicasPerMaster: 1, openConnections: 'allowed' })
  const settings = { 'redis.partitions': 3 }

  async function run(name: string, durability: Durability, options: RunOptions): Promise<Outcome> {
    const { current } = cluster
    const happen = CLUSTER_SCENARIOS.find((each) => each.name === name)!.happen
    const outcome = await runUnderLoad(
      clusterPlace(current),
      name,
      (load) => happen(current, load),
      durability,
      { ...options, settings },
    )
    outcomes.push(outcome)
    return outcome
  }

  it.each(CLUSTER_SCENARIOS)(
    '$name: with durability: replica nothing is lost or there twice',
    PATIENT,
    async ({ name }) => expectNothingLost(await run(name, 'replica, 1 of 1', LIGHT)),
  )

  const modes: readonly Durability[] = ['local', 'replica, 1 of 1']
  const rows = CLUSTER_SCENARIOS.flatMap(({ name }) => modes.map((mode) => ({ name, mode })))
  it.runIf(rounds > 0).each(numbered(rows))(
    'measured: $name, $mode, $round',
    PATIENT,
    async ({ name, mode }) => {
      const outcome = await run(name, mode, HEAVY)
      if (mode === 'replica, 1 of 1') expectNothingLost(outcome)
      else expectLossTold(outcome)
    },
  )
})

afterAll(() => {
  if (rounds > 0) console.log(tableOf(outcomes))
})

/** One line for each scenario and mode, its runs summed. */
function tableOf(all: readonly Outcome[]): string {
  const lines = [
    '| scenario | durability | runs | answered 202 | lost by Redis, offered again | runs with LOSS | missing in the end | twice | through the spool | longest gap, ms |',
    '|---|---|---|---|---|---|---|---|---|---|',
  ]
  for (const [name, runs] of Map.groupBy(all, ({ scenario, durability }) => `${scenario} | ${durability}`)) {
    const sum = (pick: (outcome: Outcome) => number) => runs.reduce((total, each) => total + pick(each), 0)
    const cells = [
      runs.length,
      sum((each) => each.acknowledged),
      sum((each) => each.reoffered),
      runs.filter((each) => each.losses > 0).length,
      sum((each) => each.missing),
      sum((each) => each.twice),
      sum((each) => each.spooled),
      Math.round(Math.max(...runs.map((each) => each.gapMs))),
    ]
    lines.push(`| ${name} | ${cells.join(' | ')} |`)
  }
  return lines.join('\n')
}
