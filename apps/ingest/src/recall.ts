/**
 * The long memory as the gateway asks it: a local copy of the bloom filters first, which answers "certainly new" for
 * next to nothing; only its "maybe" costs a look-up in Redis, and only that look-up may call an event a duplicate.
 */
import type { Clock } from '@weir/core/clock'
import { messageOf } from '@weir/core/faults'
import type { RedisLink } from '@weir/core/redis/link'
import {
  createLocalFilters,
  type LocalFilters,
  type LongMemoryOptions,
  wasSettled,
} from '@weir/core/stream/long-memory'
import type { Logger } from 'pino'
import type { GatewayMetrics } from './metrics.ts'

export interface Recall {
  /** The local copy, for metrics. */
  readonly filters: LocalFilters
  /** False = certainly not settled before the last refresh. */
  maybe(locator: Buffer): boolean
  /** Exact; `unknown` when Redis cannot tell. */
  confirm(locator: Buffer): Promise<'settled' | 'new' | 'unknown'>
  /** Copies the filters now; rejects with what went wrong. */
  refresh(): Promise<void>
  /** Keeps the copies fresh until stopped. */
  start(): void
  stop(): void
}

export interface RecallOptions {
  readonly link: RedisLink
  readonly memory: LongMemoryOptions
  /** Redis' clock, ms. */
  redisNow(): number
  /** Pause between two refreshes, ms. */
  readonly refreshMs: number
  /** Whether Redis can be asked. */
  up(): boolean
  readonly clock: Clock
  /** 0 to 1; spreads the refreshes of many gateways. */
  random(): number
  readonly metrics: GatewayMetrics
  readonly log: Logger
}

/** Pauses vary by this much in both directions. */
const JITTER = 0.2

export function createRecall(options: RecallOptions): Recall {
  const { link, memory, metrics, log, clock } = options
  const filters = createLocalFilters(memory)
  const stopped = new AbortController()
  const off = memory.horizonMs === 0
  const refresh = (): Promise<void> => (off ? Promise.resolve() : filters.refresh(link, options.redisNow()))

  async function keepFresh(): Promise<void> {
    while (!stopped.signal.aborted) {
      const jitter = 1 - JITTER + 2 * JITTER * options.random()
      await clock.wait(options.refreshMs * jitter, stopped.signal)
      if (stopped.signal.aborted || !options.up()) continue
      await refresh().catch((error: unknown) =>
        log.warn(
          { event: 'long_memory', reason: messageOf(error) },
          'the bloom filters could not be refreshed',
        ),
      )
    }
  }

  return {
    filters,
    maybe: off ? () => false : (locator) => filters.maybe(locator),
    async confirm(locator) {
      try {
        const settled = await wasSettled(link, memory, options.redisNow(), locator)
        metrics.count('webhook_long_memory_lookups_total', settled ? 'hit' : 'false_positive')
        return settled ? 'settled' : 'new'
      } catch (error) {
        metrics.count('webhook_long_memory_lookups_total', 'failed')
        log.warn({ event: 'long_memory', reason: messageOf(error) }, 'a look-up in the long memory failed')
        return 'unknown'
      }
    },
    refresh,
    start() {
      if (!off) void keepFresh()
    },
    stop: () => stopped.abort(),
  }
}
