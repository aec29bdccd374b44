/** What `pnpm faults` is asked for on its command line. */
import { parseArgs } from 'node:util'
import { parseDuration } from '@weir/core/config/duration'
import { BROKEN_BUILDS, type BrokenBuild } from './broken/builds.ts'

export interface FaultOptions {
  readonly seed: string
  /** How long each scenario goes on, ms; 0 = one round. */
  readonly durationMs: number
  /** Deliveries under way at once. */
  readonly concurrency: number
  /** Names of scenarios; undefined = all. */
  readonly only: readonly string[] | undefined
  /** Directory in which the records of every run stay; undefined = those of runs that went wrong alone. */
  readonly keep: string | undefined
  readonly build: BrokenBuild | undefined
  readonly list: boolean
}

/** What was asked for cannot be done; the message says what to do. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

const CONCURRENCY = 64
const MAX_CONCURRENCY = 1000

export const USAGE = `usage: pnpm faults [--seed text] [--duration 30s] [--concurrency ${CONCURRENCY}] [--only name,name] [--keep directory] [--list]
       pnpm faults --broken-build ${BROKEN_BUILDS.join('|')} …

Runs gateways, consumers and Redis as they run in earnest, has things happen to them under load, and compares what a sender and a handler
wrote down. Each scenario goes on for --duration (default: one round), the same for the same --seed.

Exit codes: 0 every promise was kept, 1 one was not, 2 nothing was run.
`

/** Throws UsageError. */
export function readFaultOptions(
  argv: readonly string[],
  names: readonly string[],
  seed: () => string,
): FaultOptions {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean', default: false } as const
  const { values } = parsed(() =>
    parseArgs({
      args: [...argv],
      options: {
        seed: text,
        duration: text,
        concurrency: text,
        only: text,
        keep: text,
        'broken-build': text,
        list: flag,
      },
    }),
  )
  const only = values.only?.split(',')
  for (const name of only ?? [])
    if (!names.includes(name))
      throw new UsageError(`--only ${name}: there is no such scenario; there are ${names.join(', ')}`)
  const durationMs = values.duration === undefined ? 0 : parseDuration(values.duration)
  if (durationMs === undefined)
    throw new UsageError(`--duration ${values.duration}: write a duration such as 30s or 5m`)
  const concurrency = Number(values.concurrency ?? CONCURRENCY)
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > MAX_CONCURRENCY)
    throw new UsageError(
      `--concurrency ${values.concurrency}: write a whole number from 1 to ${MAX_CONCURRENCY}`,
    )
  const build = values['broken-build']
  return {
    seed: values.seed ?? seed(),
    durationMs,
    concurrency,
    only,
    keep: values.keep,
    build: build === undefined ? undefined : brokenBuild(build),
    list: values.list,
  }
}

function brokenBuild(name: string): BrokenBuild {
  const build = BROKEN_BUILDS.find((each) => each === name)
  if (build === undefined)
    throw new UsageError(
      `--broken-build ${name}: there is no such build; there are ${BROKEN_BUILDS.join(', ')}`,
    )
  return build
}

function parsed<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
