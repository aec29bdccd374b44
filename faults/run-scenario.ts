/** One scenario from its start to its verdict. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { messageOf } from '@weir/core/faults'
import { root } from '../tests/support/process.ts'
import type { BrokenBuild } from './broken/builds.ts'
import { isSound, type LedgerVerdict } from './ledger/check.ts'
import { A_WHILE, NotHere, type Scenario } from './scenario.ts'
import { type Deeds, type Installed, type Load, runWorld } from './world.ts'

export interface RunOptions {
  readonly seed: string
  /** How long it goes on, ms; 0 = one round. */
  readonly durationMs: number
  /** Deliveries under way at once, where the scenario does not want another number. */
  readonly concurrency: number
  /** Whose records stay; all of them in a directory. */
  readonly keep: 'nothing' | 'what went wrong' | { readonly in: string }
  readonly build: BrokenBuild | undefined
}

export interface Measured extends Deeds {
  readonly rounds: number
  readonly seconds: number
  readonly longestGapMs: number
  readonly verdict: LedgerVerdict
}

export type Outcome = { readonly scenario: Scenario; readonly place: string } & (
  | ({
      /** `kept`: nothing is wrong; `measured`: something is lost that is not promised; `broken`: a promise was not kept. */
      readonly kind: 'kept' | 'measured' | 'broken'
      /** Where the records are, when they were kept. */
      readonly records: string | undefined
    } & Measured)
  | { readonly kind: 'failed' | 'not here'; readonly why: string; readonly records: string | undefined }
)

const INSTALLED: Installed = {
  gateways: 2,
  consumers: 2,
  curator: false,
  supervised: false,
  settings: {},
  env: {},
  gatewayEnv: {},
}
const LOAD: Omit<Load, 'concurrency'> = {
  paceMs: 0,
  mix: { failingEvery: 7, deadlyEvery: 0, takesMs: 0, padding: 400 },
}

/** Never rejects: what goes wrong is an outcome, too. */
export async function runScenario(scenario: Scenario, options: RunOptions): Promise<Outcome> {
  const { keep } = options
  const directory = mkdtempSync(
    join(typeof keep === 'string' ? tmpdir() : keep.in, `weir-faults-${scenario.name}-`),
  )
  const keepRecords = (wrong: boolean): string | undefined => {
    if (typeof keep !== 'string' || (wrong && keep === 'what went wrong')) return directory
    rmSync(directory, { recursive: true, force: true })
    return undefined
  }
  const failed = (error: unknown, place: string): Outcome => {
    const cannot = error instanceof NotHere
    const records = keepRecords(!cannot)
    return { scenario, place, kind: cannot ? 'not here' : 'failed', why: messageOf(error), records }
  }
  const prepared = await scenario.prepare().catch((error: unknown) => error)
  if (prepared instanceof Error) return failed(prepared, '')
  const { place, round, stop, ...wanted } = prepared as Awaited<ReturnType<Scenario['prepare']>>
  try {
    let rounds = 0
    const installed = { ...INSTALLED, ...wanted.installed }
    const { verdict, deeds, ...measured } = await runWorld(
      place,
      `${options.seed} ${scenario.name}`,
      directory,
      { ...installed, env: { ...installed.env, ...brokenBy(options.build) } },
      { ...LOAD, concurrency: options.concurrency, ...wanted.load },
      async (world) => {
        await world.untilAccepted(A_WHILE)
        const until = performance.now() + options.durationMs
        do {
          await round(world)
          await place.untilHealed()
          rounds++
        } while (performance.now() < until)
      },
    )
    const found = scenario.accuses ? { ...verdict, condemned: [] } : verdict
    // What is not promised may be lost. It is never doubled, altered or made up.
    const lossOnly = isSound({ ...found, lost: [] })
    const kind = isSound(found) ? 'kept' : lossOnly && !scenario.promised ? 'measured' : 'broken'
    const records = keepRecords(kind === 'broken')
    return { scenario, place: place.name, kind, records, rounds, verdict, ...deeds, ...measured }
  } catch (error) {
    return failed(error, place.name)
  } finally {
    await stop?.()
    await place.stop()
  }
}

function brokenBy(build: BrokenBuild | undefined): Record<string, string> {
  if (build === undefined) return {}
  const hook = pathToFileURL(join(root, 'faults/broken/register.ts')).href
  return { BROKEN_BUILD: build, NODE_OPTIONS: `--import=${hook}` }
}
