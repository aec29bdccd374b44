/** What `/health/webhook` of a consumer tells: what this process is busy with, and what it sees of its partitions. */
import { isFault, messageOf } from '@weir/core/faults'
import { type Check, type Checks, type HealthDocument, healthDocument } from '@weir/core/health/document'
import { breakersCheck, lagCheck, ledgerCheck, unknownCheck } from '@weir/core/health/pipeline-checks'
import type { Partition } from '@weir/core/partition'
import { type BreakerState, readBreaker } from '@weir/core/stream/breaker'
import { readLedgers } from '@weir/core/view/status'

export interface HealthOptions {
  readonly state: () => {
    readonly redis: boolean
    readonly held: number
    readonly running: number
    readonly unsettled: number
    readonly last_read_ms: number | null
  }
  readonly partitions: () => readonly Partition[]
  readonly tools: readonly string[]
}

/** A consumer that has not read for so long is busy with handlers that do not end, or stands still, ms. */
const SILENT_MS = 120_000

const GRAVITY = { closed: 0, 'half-open': 1, open: 2 } as const

export function createHealth(options: HealthOptions): () => Promise<HealthDocument> {
  return async () => {
    const state = options.state()
    const own = { redis: redisCheck(state.redis), work: workCheck(state) }
    return healthDocument({ ...own, ...(await streamChecks(options)) }, ['redis'])
  }
}

function redisCheck(connected: boolean): Check {
  return connected
    ? { state: 'ok', age_ms: 0 }
    : { state: 'failing', age_ms: 0, detail: 'not connected; processing goes on when it is back' }
}

/** As old as the last answer to a read, be it that there is nothing; with several partitions, of the one that waits longest. */
function workCheck({ held, running, unsettled, last_read_ms }: ReturnType<HealthOptions['state']>): Check {
  const silent = last_read_ms !== null && last_read_ms > SILENT_MS
  return {
    state: last_read_ms === null ? 'unknown' : silent ? 'degraded' : 'ok',
    age_ms: last_read_ms,
    ...(silent && { detail: 'has not read for a while: handlers take all its room, or it stands still' }),
    held,
    running,
    unsettled,
  }
}

async function streamChecks({ partitions: partitionsNow, tools }: HealthOptions): Promise<Checks> {
  const partitions = partitionsNow()
  try {
    const [facts, breakers] = await Promise.all([
      readLedgers(partitions),
      Promise.all(tools.map((tool) => breakerOf(partitions, tool))),
    ])
    return { lag: lagCheck(facts), ledger: ledgerCheck(facts), breakers: breakersCheck(breakers) }
  } catch (error) {
    if (!isFault(error)) throw error
    const unknown = unknownCheck(messageOf(error))
    return { lag: unknown, ledger: unknown, breakers: unknown }
  }
}

/** The gravest of the tool's breakers; every partition has its own. */
async function breakerOf(
  partitions: readonly Partition[],
  tool: string,
): Promise<{ readonly tool: string; readonly state: BreakerState['state'] }> {
  const states = await Promise.all(partitions.map(({ link, keys }) => readBreaker(link, keys, tool)))
  const { state } = states.reduce((a, b) => (GRAVITY[b.state] > GRAVITY[a.state] ? b : a))
  return { tool, state }
}
