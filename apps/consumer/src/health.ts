/** What `/health/webhook` of a consumer tells: what this process is busy with, and what it sees of its partitions. */
import { isFault, messageOf } from '@weir/core/faults'
import type { Partition } from '@weir/core/partition'
import { type BreakerState, readBreaker } from '@weir/core/stream/breaker'
import { type Ledger, readLedger, sumLedgers } from '@weir/core/stream/ledger'

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

/** Times are whole ms; null where nobody knows. */
export interface HealthDocument {
  readonly status: 'ok' | 'degraded'
  readonly redis: 'ok' | 'disconnected'
  readonly held: number
  readonly running: number
  /** Outcomes that are not settled yet. */
  readonly unsettled: number
  /** Since Redis last answered a read of the stream; with several partitions, the one that waits longest. */
  readonly last_read_ms: number | null
  readonly stream: StreamHealth | null
  /** One for every tool: the gravest of its partitions' breakers. */
  readonly breakers: readonly BreakerHealth[] | null
  /** Why stream and breakers are not known. */
  readonly problem?: string
}

interface StreamHealth {
  readonly ledger: Ledger
  readonly group: boolean
  readonly lost: boolean
  readonly oldest_unread_ms: number
  readonly oldest_pending_ms: number
  readonly clock_behind_ms: number
}

interface BreakerHealth {
  readonly tool: string
  readonly state: BreakerState['state']
  readonly failures: number
  readonly wait_ms: number
}

const GRAVITY = { closed: 0, 'half-open': 1, open: 2 } as const

export function createHealth(options: HealthOptions): () => Promise<HealthDocument> {
  return async () => {
    const { redis, held, running, unsettled, last_read_ms } = options.state()
    const own = {
      status: redis ? 'ok' : 'degraded',
      redis: redis ? 'ok' : 'disconnected',
      held,
      running,
      unsettled,
      last_read_ms,
    } as const
    const partitions = options.partitions()
    try {
      const [stream, breakers] = await Promise.all([
        streamHealth(partitions),
        Promise.all(options.tools.map((tool) => breakerHealth(partitions, tool))),
      ])
      return { ...own, stream, breakers }
    } catch (error) {
      if (!isFault(error)) throw error
      return { ...own, status: 'degraded', stream: null, breakers: null, problem: messageOf(error) }
    }
  }
}

async function streamHealth(partitions: readonly Partition[]): Promise<StreamHealth> {
  const readings = await Promise.all(partitions.map(({ link, keys }) => readLedger(link, keys)))
  const most = (pick: (reading: (typeof readings)[number]) => number) => Math.max(0, ...readings.map(pick))
  return {
    ledger: sumLedgers(readings.map(({ ledger }) => ledger)),
    group: readings.every(({ group }) => group),
    lost: readings.some(({ lost }) => lost),
    oldest_unread_ms: most(({ oldestUnreadMs }) => oldestUnreadMs),
    oldest_pending_ms: most(({ oldestPendingMs }) => oldestPendingMs),
    clock_behind_ms: most(({ clockBehindMs }) => clockBehindMs),
  }
}

/** The gravest of the tool's breakers; every partition has its own. */
async function breakerHealth(partitions: readonly Partition[], tool: string): Promise<BreakerHealth> {
  const states = await Promise.all(partitions.map(({ link, keys }) => readBreaker(link, keys, tool)))
  const { state, failures, waitMs } = states.reduce((a, b) => {
    const graver = GRAVITY[b.state] - GRAVITY[a.state] || b.failures - a.failures
    return graver > 0 ? b : a
  })
  return { tool, state, failures, wait_ms: waitMs }
}
