/**
 * Settles outcomes in batches. While Redis is away the outcomes wait here (their entries still count as held, so no
 * more are read than `prefetch_count`) and are settled when it is back; repeating a settlement whose answer was lost
 * changes nothing.
 */
import type { Clock } from '@weir/core/clock'
import { messageOf } from '@weir/core/faults'
import type { PartitionKeys } from '@weir/core/keys'
import type { RedisLink } from '@weir/core/redis/link'
import type { EvidencePlace } from '@weir/core/stream/evidence'
import { bury, type Handover, park } from '@weir/core/stream/handover'
import type { LongMemoryOptions } from '@weir/core/stream/long-memory'
import { settleDone } from '@weir/core/stream/settle'
import { streamIdMillis } from '@weir/core/stream/stream-id'
import type { Logger } from 'pino'
import type { Held, HeldItem } from './held.ts'

export type Outcome =
  | { readonly kind: 'settled' }
  | { readonly kind: 'superseded' }
  | {
      readonly kind: 'park'
      readonly reason: 'retry' | 'breaker' | 'dictionary'
      readonly delayMs: number
      readonly attempts: number
      readonly error: string
    }
  | { readonly kind: 'dead'; readonly reason: string; readonly attempts: number; readonly error: string }

export interface SettlerOptions {
  readonly link: RedisLink
  readonly keys: PartitionKeys
  readonly memory: LongMemoryOptions
  readonly held: Held
  readonly clock: Clock
  readonly log: Logger
  /** Redis' time as this process estimates it, ms. */
  readonly redisNow: () => number
  readonly evidence: (tool: string, locator: Buffer) => EvidencePlace
  /** The longest delay that park may be asked for, ms. */
  readonly longestDelayMs: number
  readonly onSettled: (item: HeldItem, outcome: Outcome, result: Handover) => void
}

export interface Settler {
  settle(item: HeldItem, outcome: Outcome): void
  /** Stops trying; what is not settled stays pending in Redis and comes again. */
  giveUp(): void
  readonly waiting: number
}

/** Outcomes in one script call. */
const MAX_BATCH = 100
/** Pause before what could not be settled is tried again while Redis answers (out of memory), ms. */
const RETRY_MS = 200
const MAX_ERROR_LENGTH = 2_000

interface Pending {
  readonly item: HeldItem
  readonly outcome: Outcome
}

export function createSettler(options: SettlerOptions): Settler {
  const { link, keys, memory, held, clock, log } = options
  /** To be settled now. */
  const queue: Pending[] = []
  /** Could not be settled; tried again at `retryAt` (monotonic ms), or when Redis is back. */
  let deferred: Pending[] = []
  let retryAt = 0
  let underWay = 0
  let flushing = false
  let pause: AbortController | undefined
  const gaveUp = new AbortController()

  const finish = ({ item, outcome }: Pending, result: Handover) => {
    held.remove(item)
    options.onSettled(item, outcome, result)
  }

  const settleAll = async (batch: readonly Pending[], kind: 'settled' | 'superseded') => {
    const items = batch.filter(({ outcome }) => outcome.kind === kind)
    if (items.length === 0) return
    const now = options.redisNow()
    const entries = items.map(({ item }) => {
      const place = options.evidence(item.record.tool, item.record.locator)
      // Settled late: its evidence may be over before the gateways' filters know of it.
      return now - streamIdMillis(item.streamId) > place.windowMs / 2 ? { ...item, renew: place } : item
    })
    await settleDone(link, keys, memory, entries, kind, now)
    for (const pending of items) finish(pending, 'done')
  }

  const handOver = async (pending: Pending) => {
    const { item, outcome } = pending
    if (outcome.kind !== 'park' && outcome.kind !== 'dead') return
    const now = options.redisNow()
    const place = options.evidence(item.record.tool, item.record.locator)
    const error = outcome.error.slice(0, MAX_ERROR_LENGTH)
    if (outcome.kind === 'park') {
      const { delayMs, attempts, reason } = outcome
      const request = { entry: item, delayMs, attempts, reason, error, evidence: place, redisMs: now }
      finish(pending, await park(link, keys, request))
    } else {
      const { attempts, reason } = outcome
      const aheadMs = options.longestDelayMs
      finish(
        pending,
        await bury(link, keys, {
          entry: item,
          attempts,
          reason,
          error,
          evidence: place,
          redisMs: now,
          aheadMs,
        }),
      )
    }
  }

  const flushOnce = async () => {
    const batch = queue.splice(0, MAX_BATCH)
    underWay = batch.length
    const results = await Promise.allSettled([
      settleAll(batch, 'settled'),
      settleAll(batch, 'superseded'),
      ...batch.map(handOver),
    ])
    underWay = 0
    const failed = results.find((result) => result.status === 'rejected')
    if (failed === undefined) return
    if (deferred.length === 0)
      log.warn({ err: messageOf(failed.reason) }, 'outcomes could not be settled yet')
    // Set aside: what needs memory must not stand before acknowledgements that need none.
    deferred.push(...batch.filter(({ item }) => item.state !== 'gone'))
    retryAt = clock.monotonic() + RETRY_MS
  }

  /** Until it is time for the deferred ones, or until something else is to be settled. */
  const untilRetry = async () => {
    if (link.connected) {
      pause = new AbortController()
      await clock.wait(Math.max(0, retryAt - clock.monotonic()), pause.signal)
      pause = undefined
    } else {
      await link.ready(gaveUp.signal).catch((error: unknown) => {
        // The link was closed, or we gave up: either way there is nothing to wait for.
        log.debug({ err: messageOf(error) }, 'stopped waiting for Redis')
        gaveUp.abort()
      })
      retryAt = 0
    }
  }

  const run = async () => {
    // One turn of the event loop gathers what finished together.
    await new Promise<void>((resolve) => setImmediate(resolve))
    while (!gaveUp.signal.aborted) {
      if (deferred.length > 0 && clock.monotonic() >= retryAt) {
        queue.push(...deferred)
        deferred = []
      }
      if (queue.length > 0) await flushOnce()
      else if (deferred.length > 0) await untilRetry()
      else break
    }
    flushing = false
  }

  return {
    settle(item, outcome) {
      item.state = 'settling'
      queue.push({ item, outcome })
      pause?.abort()
      if (flushing) return
      flushing = true
      void run()
    },
    giveUp() {
      gaveUp.abort()
      pause?.abort()
    },
    get waiting() {
      return queue.length + deferred.length + underWay
    },
  }
}
