/**
 * What this gateway tells the others through Redis, every few seconds: how much waits in its spool, and the highest
 * stream id it saw acknowledged (the ledger shows both).
 *
 * A gateway has a new name at every start. One that was killed cannot take its report back, and its spool would count
 * twice once its successor reports the same records. So the names of the spool directory's owners stand in a file in
 * it, and the successor, which has the directory to itself, removes their reports.
 */
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '@weir/core/clock'
import { isFault, messageOf } from '@weir/core/faults'
import type { PartitionKeys } from '@weir/core/keys'
import type { RedisLink } from '@weir/core/redis/link'
import { forgetGateway, reportGateway } from '@weir/core/stream/ledger'
import type { Logger } from 'pino'
import type { Witness } from './witness.ts'

export interface Reporter {
  /** Reports now. Throws what Redis answered. */
  report(): Promise<void>
  start(): void
  /** Ends the reports with a last one; with an empty spool this gateway leaves the list. Never throws. */
  stop(): Promise<void>
}

export interface ReporterOptions {
  readonly link: RedisLink
  readonly keys: PartitionKeys
  /** Name of this gateway, new at every start. */
  readonly gateway: string
  /** Those who had this gateway's spool before it. */
  readonly owners: Owners
  /** Events in its spool that wait for this partition. */
  spooled(): number
  readonly witness: Witness
  up(): boolean
  readonly clock: Clock
  readonly log: Logger
}

const REPORT_INTERVAL_MS = 2000

export function createReporter(options: ReporterOptions): Reporter {
  const { link, keys, gateway, owners, witness, clock, log } = options
  const stopped = new AbortController()
  let running: Promise<void> = Promise.resolve()
  let alone = false

  async function report(): Promise<void> {
    if (!alone) {
      for (const owner of owners.before) await forgetGateway(link, keys, owner)
      await owners.settle()
      alone = true
    }
    const said = { spooled: options.spooled(), at: clock.now() }
    await reportGateway(link, keys, gateway, witness.highest, said)
  }

  async function tryToReport(): Promise<void> {
    if (!options.up()) return
    await report().catch((error: unknown) => {
      // Redis being away is told by the pulse.
      if (isFault(error, 'REDIS_UNAVAILABLE')) return
      log.warn(
        { event: 'report_failed', reason: messageOf(error) },
        'the report of this gateway was not written',
      )
    })
  }

  async function run(): Promise<void> {
    while (!stopped.signal.aborted) {
      await tryToReport()
      await clock.wait(REPORT_INTERVAL_MS, stopped.signal)
    }
  }

  return {
    report,
    start() {
      running = run()
    },
    async stop() {
      stopped.abort()
      await running
      await tryToReport()
      if (!options.up() || options.spooled() > 0) return
      await forgetGateway(link, keys, gateway).catch((error: unknown) =>
        log.warn(
          { event: 'report_failed', reason: messageOf(error) },
          'this gateway stays in the list of gateways',
        ),
      )
    },
  }
}

export interface Owners {
  readonly before: readonly string[]
  /** The reports of those before are gone: only this gateway stays in the file. */
  settle(): Promise<void>
}

/** The same for so many lanes: those before it are forgotten when each has removed their reports from its partition. */
export function sharedOwners({ before, settle }: Owners, lanes: number): Owners {
  let left = lanes
  return {
    before,
    settle: () => {
      left--
      return left === 0 ? settle() : Promise.resolve()
    },
  }
}

/** For a gateway without a spool directory. */
export const NO_OWNERS: Owners = { before: [], settle: () => Promise.resolve() }

const FILE = 'owners'

/** Enters a gateway in the list of its spool directory. */
export async function enterOwner(directory: string, gateway: string): Promise<Owners> {
  const path = join(directory, FILE)
  const before = (await readFile(path, 'utf8').catch(noFile)).split('\n').filter((line) => line !== '')
  const write = async (names: readonly string[]): Promise<void> => {
    await writeFile(`${path}.part`, `${names.join('\n')}\n`, { mode: 0o600, flush: true })
    await rename(`${path}.part`, path)
  }
  await write([...before, gateway])
  return { before, settle: () => (before.length === 0 ? Promise.resolve() : write([gateway])) }
}

function noFile(error: unknown): string {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
  throw error
}
