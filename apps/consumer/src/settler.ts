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
import type { Logger } from 'pino'
import type { Held, HeldItem } from './held.ts'
import { createTellOnce } from './tell-once.ts'

export type Outcome =
  | { readonly kind: 'settled' }
  | { readonly kind: 'superseded' }
  | {
      readonly kind: 'park'
      readonly reason: 'retry' | 'breaker' | 'dictionary' | 'key' | 'newer'
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
  /** The tool's dedupe window, ms. */
  readonly windowMs: (tool: string) => number
  readonly evidence: (tool: string, locator: Buffer) => EvidencePlace
  /** The longest delay that park may be asked for, ms. */
  readonly longestDelayMs: number
  /** @param ms since the outcome was handed in */
  readonly onSettled: (item: HeldItem, outcome: Outcome, result: Handover, ms: number) => void
}

export interface Settler {
  settle(item: HeldItem, outcome: Outcome): void
  /** Stops trying; what is not settled stays pending in Redis and comes again. */
  giveUp(): void
  readonly waiting: number
}

/** Outcomes in one script call: more would keep Redis from its other clients for more than a millisecond. */
const MAX_BATCH = 100
/** Script calls under way at once; with one alone, both sides wait for each other. */
const MAX_FLIGHTS = 4
/** Pause before what could not be settled is tried again while Redis answers (out of memory), ms. */
const RETRY_MS = 200
const MAX_ERROR_LENGTH = 2_000
const SETTLING = 'settle'

interface Pending {
  readonly item: HeldItem
  readonly outcome: Outcome
  /** Monotonic ms. */
  readonly since: number
}

type HandedOver = Extract<Outcome, { readonly kind: 'park' | 'dead' }>

function isHandedOver(pending: Pending): pending is Pending & { readonly outcome: HandedOver } {
  return pending.outcome.kind === 'park' || pending.outcome.kind === 'dead'
}

export function createSettler(options: SettlerOptions): Settler {
  const { link, keys, memory, held, clock, log } = options
  const telling = createTellOnce(log)
  /** To be settled now. */
  const queue: Pending[] = []
  /** Could not be settled; tried again at `retryAt` (monotonic ms), or when Redis is back. */
  let deferred: Pending[] = []
  let retryAt = 0
  let underWay = 0
  let flights = 0
  let flushing = false
  let nudge: (() => void) | undefined
  let pause: AbortController | undefined
  const gaveUp = new AbortController()

  const finish = ({ item, outcome, since }: Pending, result: Handover) => {
    held.remove(item)
    options.onSettled(item, outcome, result, clock.monotonic() - since)
  }

  const settleAll = async (items: readonly Pending[], kind: 'settled' | 'superseded') => {
    if (items.length === 0) return
    const now = options.redisNow()
    const entries = items.map(({ item }) =>
      // Settled late: its evidence may be over before the gateways' filters know of it.
      now - item.appendedAt > options.windowMs(item.record.tool) / 2
        ? { ...item, renew: options.evidence(item.record.tool, item.record.locator) }
        : item,
    )
    await settleDone(link, keys, memory, entries, kind, now)
    for (const pending of items) finish(pending, 'done')
  }

  const handOver = async (pending: Pending & { readonly outcome: HandedOver }) => {
    const { item, outcome } = pending
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

  /** Settles one batch; never rejects. */
  const flush = async (): Promise<void> => {
    const batch = queue.splice(0, MAX_BATCH)
    underWay += batch.length
    flights++
    const works = [
      settleAll(
        batch.filter(({ outcome }) => outcome.kind === 'settled'),
        'settled',
      ),
      settleAll(
        batch.filter(({ outcome }) => outcome.kind === 'superseded'),
        'superseded',
      ),
    ]
    for (const pending of batch) if (isHandedOver(pending)) works.push(handOver(pending))
    const results = await Promise.allSettled(works)
    underWay -= batch.length
    flights--
    const failed = results.find((result) => result.status === 'rejected')
    if (failed === undefined) telling.worked(SETTLING)
    else {
      telling.failed('warn', SETTLING, failed.reason, 'outcomes could not be settled yet')
      // Set aside: what needs memory must not stand before acknowledgements that need none.
      deferred.push(...batch.filter(({ item }) => item.state !== 'gone'))
      retryAt = clock.monotonic() + RETRY_MS
    }
    nudge?.()
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

  /** Until a batch is settled, or another one is full. */
  const untilNudged = () =>
    new Promise<void>((resolve) => {
      nudge = resolve
    })

  const run = async () => {
    // One turn of the event loop gathers what finished together.
    await new Promise<void>((resolve) => setImmediate(resolve))
    while (!gaveUp.signal.aborted) {
      if (deferred.length > 0 && clock.monotonic() >= retryAt) {
        queue.push(...deferred)
        deferred = []
      }
      // While one is under way, the next one fills; only a full one does not wait.
      if (queue.length >= (flights === 0 ? 1 : MAX_BATCH) && flights < MAX_FLIGHTS) void flush()
      else if (flights > 0) await untilNudged()
      else if (deferred.length > 0) await untilRetry()
      else break
    }
    flushing = false
  }

  return {
    settle(item, outcome) {
      item.state = 'settling'
      queue.push({ item, outcome, since: clock.monotonic() })
      pause?.abort()
      if (queue.length >= MAX_BATCH) nudge?.()
      if (flushing) return
      flushing = true
      void run()
    },
    giveUp() {
      gaveUp.abort()
      pause?.abort()
      nudge?.()
    },
    get waiting() {
      return queue.length + deferred.length + underWay
    },
  }
}
