/**
 * What a consumer does again and again beside its events: renews what it holds, takes over what others left, trims, asks after
 * the breakers and Redis' clock, and reports itself. Each goes on by itself; one that fails is told once, and tried again.
 */
import type { Clock } from '@weir/core/clock'
import { isFault } from '@weir/core/faults'
import type { PartitionKeys } from '@weir/core/keys'
import type { RedisLink } from '@weir/core/redis/link'
import { BREAKER_GAUGE } from '@weir/core/stream/breaker'
import { keepReads } from '@weir/core/stream/reads'
import { trimSettled } from '@weir/core/stream/trim'
import type { Logger } from 'pino'
import type { Breakers } from './breakers.ts'
import type { PartitionMetrics } from './metrics.ts'
import { type ReclaimerOptions, reclaimOnce, reclaimSuspects } from './reclaimer.ts'
import type { RedisClock } from './redis-clock.ts'
import { type RenewerOptions, renewHeld } from './renewer.ts'
import { removeOldReports, writeReport } from './reports.ts'
import { createTellOnce } from './tell-once.ts'

export interface UpkeepSettings {
  readonly reclaimIdleMs: number
  readonly reclaimIntervalMs: number
  readonly heartbeatIntervalMs: number
  readonly deadConsumerAfterMs: number
  readonly keepSettledMs: number
  readonly trimIntervalMs: number
}

export interface UpkeepOptions {
  readonly name: string
  readonly link: RedisLink
  readonly keys: PartitionKeys
  readonly settings: UpkeepSettings
  readonly clock: Clock
  readonly redisClock: RedisClock
  readonly breakers: Breakers
  readonly reclaimer: ReclaimerOptions
  readonly renewal: RenewerOptions
  /** What the process is busy with. */
  busy(): { readonly held: number; readonly running: number }
  readonly background: Background
  readonly metrics: PartitionMetrics
  readonly log: Logger
}

export interface Upkeep {
  /** All but the renewing, until no new events are taken up. */
  run(stopping: AbortSignal): Promise<unknown>
  /** Renews what is held until nothing is, also while stopping. */
  renew(drained: AbortSignal): Promise<unknown>
}

/** Work that nobody waits for: what fails is told once, until it works again; that Redis is away is told elsewhere. */
export type Background = (what: string, work: () => Promise<unknown>) => Promise<void>

export function createBackground(log: Logger): Background {
  const telling = createTellOnce(log)
  return async (what, work) => {
    try {
      await work()
      telling.worked(what)
    } catch (error) {
      if (!isFault(error, 'REDIS_UNAVAILABLE')) telling.failed('error', what, error, 'background work failed')
    }
  }
}

const BREAKER_REFRESH_MS = 1_000

export function createUpkeep(options: UpkeepOptions): Upkeep {
  const { name, link, keys, settings, clock, redisClock, breakers, metrics, log } = options
  const { reclaimIdleMs, reclaimIntervalMs } = settings

  const every = async (ms: number, until: AbortSignal, what: string, work: () => Promise<unknown>) => {
    while (!until.aborted) {
      await clock.wait(ms, until)
      if (!until.aborted && link.connected) await options.background(what, work)
    }
  }
  const countReclaimed = (taken: number) => {
    if (taken > 0) metrics.reclaimed.inc(taken)
  }
  const trim = async () => {
    await keepReads(link, keys)
    const { trimmed } = await trimSettled(link, keys, settings.keepSettledMs)
    if (trimmed > 0) metrics.trimmed.inc(trimmed)
  }
  const heartbeat = async () => {
    await redisClock.read()
    const busy = options.busy()
    metrics.held.set(busy.held)
    metrics.running.set(busy.running)
    for (const [tool, state] of breakers.states())
      metrics.breaker.set({ tool_id: tool }, BREAKER_GAUGE[state.state])
    await writeReport(link, keys, name, {
      at: Math.round(redisClock.now()),
      ...busy,
      metrics: await metrics.registry.getMetricsAsJSON(),
    })
  }

  return {
    run(stopping) {
      const began = clock.monotonic()
      const each = (ms: number, what: string, work: () => Promise<unknown>) => every(ms, stopping, what, work)
      return Promise.all([
        each(reclaimIntervalMs, 'reclaim', async () =>
          countReclaimed(await reclaimOnce(options.reclaimer, stopping)),
        ),
        each(reclaimIntervalMs, 'suspects', async () => {
          // Where everything is killed from outside soon after each start, as in a crash loop or on a machine that fails, an innocent that was
          // taken over each time would be condemned. What kills its worker by itself waits for so long anyway.
          if (clock.monotonic() - began < reclaimIdleMs) return
          countReclaimed(await reclaimSuspects(options.reclaimer, stopping))
        }),
        each(settings.trimIntervalMs, 'trim', trim),
        each(BREAKER_REFRESH_MS, 'breakers', breakers.refresh),
        each(settings.heartbeatIntervalMs, 'heartbeat', heartbeat),
        each(settings.heartbeatIntervalMs, 'clock', redisClock.keep),
        each(settings.deadConsumerAfterMs / 2, 'old reports', () =>
          removeOldReports(link, keys, redisClock.now(), settings.deadConsumerAfterMs),
        ),
      ])
    },
    renew: (drained) =>
      every(reclaimIdleMs / 3, drained, 'renew', async () => {
        const lost = await renewHeld(options.renewal, reclaimIdleMs / 3)
        if (lost === 0) return
        metrics.ownershipLost.inc(lost)
        log.warn({ entries: lost }, 'others took over entries that were held here')
      }),
  }
}
