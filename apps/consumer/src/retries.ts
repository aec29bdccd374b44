/**
 * Brings parked events back when they are due: leases them, as many as there is room for.
 * Looks again when the next one is due, and at least every `pollMs`, because another consumer may have parked one.
 */
import type { Clock } from '@weir/core/clock'
import type { PartitionKeys } from '@weir/core/keys'
import type { RedisLink } from '@weir/core/redis/link'
import { type ClaimedEvent, claimParked } from '@weir/core/stream/parked'
import type { Logger } from 'pino'
import type { Held } from './held.ts'
import { createTellOnce } from './tell-once.ts'

export interface RetriesOptions {
  readonly link: RedisLink
  readonly keys: PartitionKeys
  readonly token: string
  readonly held: Held
  readonly clock: Clock
  readonly log: Logger
  readonly leaseMs: number
  readonly batchSize: number
  readonly pollMs: number
  readonly onClaimed: (events: readonly ClaimedEvent[]) => void
}

export interface Retries {
  run(signal: AbortSignal): Promise<void>
  /** One was parked here, due in so many ms: looks then, if it would not look sooner anyway. */
  expect(delayMs: number): void
}

/** Time between two looks at least, ms: a suspect that is due but may not be taken yet must not make this spin. */
const MIN_WAIT_MS = 10
const LOOKING = 'retries'

export function createRetries(options: RetriesOptions): Retries {
  const { link, keys, held, clock } = options
  const telling = createTellOnce(options.log)
  /** The wait under way: ends at `until` (monotonic ms), or when aborted. */
  let waiting: { readonly until: number; readonly end: AbortController } | undefined

  const pause = async (ms: number, signal: AbortSignal) => {
    if (signal.aborted) return
    const end = new AbortController()
    const stop = () => end.abort()
    signal.addEventListener('abort', stop)
    waiting = { until: clock.monotonic() + ms, end }
    await clock.wait(ms, end.signal)
    waiting = undefined
    signal.removeEventListener('abort', stop)
  }

  /** Leases what is due; returns how long until it is worth looking again, ms. */
  const claim = async (): Promise<number> => {
    const reservation = held.reserve(options.batchSize)
    try {
      if (reservation.count === 0) return 0
      const suspects = held.suspect ? 0 : 1
      const { token, leaseMs } = options
      const claimed = await claimParked(link, keys, token, leaseMs, reservation.count, suspects)
      options.onClaimed(claimed.events)
      if (claimed.events.length === reservation.count) return 0
      const untilDue = claimed.nextDueMs === undefined ? options.pollMs : claimed.nextDueMs - claimed.redisMs
      return Math.min(options.pollMs, Math.max(MIN_WAIT_MS, untilDue))
    } finally {
      reservation.release()
    }
  }

  return {
    async run(signal) {
      while (!signal.aborted) {
        try {
          await link.ready(signal)
          await held.whenRoom(signal)
          if (signal.aborted) return
          const waitMs = await claim()
          telling.worked(LOOKING)
          if (waitMs > 0) await pause(waitMs, signal)
        } catch (error) {
          if (signal.aborted) return
          telling.failed('warn', LOOKING, error, 'cannot look for due retries; trying again')
          await pause(options.pollMs, signal)
        }
      }
    },
    expect(delayMs) {
      if (waiting !== undefined && clock.monotonic() + delayMs < waiting.until) waiting.end.abort()
    },
  }
}
