/**
 * Sweeps again and again until it is stopped:
 *
 *   dictionaries looked for ──▶ sweep (context-lifecycle/tiers/sweep.ts) ──▶ tiers counted ──▶ pause ──▶ …
 *        └── Redis away, or out of memory; cold storage away ──▶ told once, counted, and tried again after the pause
 *
 * Several may run at once: they share the work, and cannot harm each other.
 */
import type { ContextPlace } from '@weir/context-lifecycle/context-place'
import type { Library } from '@weir/context-lifecycle/tiers/library'
import type { Sweep } from '@weir/context-lifecycle/tiers/sweep'
import type { Clock } from '@weir/core/clock'
import { isFault, messageOf } from '@weir/core/faults'
import type { Logger } from 'pino'
import type { CuratorMetrics } from './metrics.ts'

export interface Curator {
  start(): void
  /** Resolves when the moves in hand are finished. Harmless when repeated. */
  stop(): Promise<void>
}

export interface CuratorOptions {
  readonly sweep: Sweep
  readonly library: Pick<Library, 'refresh'>
  readonly places: readonly ContextPlace[]
  /** Resolves when Redis is connected to; rejects when the signal aborts first. */
  ready(signal: AbortSignal): Promise<unknown>
  /** Pause between two sweeps, ms. */
  readonly intervalMs: number
  readonly clock: Clock
  readonly metrics: CuratorMetrics
  readonly log: Logger
}

/** How long the first sweep waits for its connection, ms. */
const CONNECT_MS = 5_000

export function createCurator(options: CuratorOptions): Curator {
  const { sweep, library, places, ready, intervalMs, clock, metrics, log } = options
  const stopped = new AbortController()
  let running: Promise<void> = Promise.resolve()
  /** What was told last, so that an outage is told once. */
  let trouble: string | undefined

  function told(error: Error | undefined): void {
    const now = error === undefined ? undefined : isFault(error) ? error.code : error.name
    if (error !== undefined) metrics.sweepFailures.inc()
    if (error !== undefined && now !== trouble)
      log.error(
        { event: 'sweep_failed', err: error, code: now },
        'contexts stay where they are; it is tried again',
      )
    if (error === undefined && trouble !== undefined)
      log.info({ event: 'sweep_back' }, 'contexts are moved again')
    trouble = now
  }

  async function once(): Promise<void> {
    const began = clock.monotonic()
    try {
      await library.refresh()
      const { looked, collected, coldAway } = await sweep.run(stopped.signal)
      metrics.collected.inc(collected)
      await countTiers()
      const ms = clock.monotonic() - began
      metrics.sweepSeconds.observe(ms / 1000)
      metrics.lastSweep.set(clock.now() / 1000)
      told(coldAway)
      if (looked + collected > 0)
        log.info({ event: 'swept', looked, collected, ms: Math.round(ms) }, 'contexts were looked at')
    } catch (error) {
      told(error instanceof Error ? error : new Error(messageOf(error)))
    }
  }

  async function countTiers(): Promise<void> {
    const counts = await Promise.all(
      places.map(({ link, keys }) =>
        Promise.all(
          [keys.active, keys.hot, keys.warm, keys.wanted].map(async (zset) =>
            Number(await link.call('ZCARD', zset)),
          ),
        ),
      ),
    )
    const [all = 0, hot = 0, warm = 0, wanted = 0] = [0, 1, 2, 3].map((at) =>
      counts.reduce((sum, each) => sum + (each[at] ?? 0), 0),
    )
    // A context with hot and with warm events is in both sets; so few are that the difference is not worth a question for each.
    metrics.contexts.set({ tier: 'hot' }, hot)
    metrics.contexts.set({ tier: 'warm' }, warm)
    metrics.contexts.set({ tier: 'cold' }, Math.max(0, all - hot - warm))
    metrics.wanted.set(wanted)
  }

  return {
    start() {
      running = (async () => {
        // Without it the first sweep of every process failed, and the next one came after the pause. Its own failure tells why.
        await ready(AbortSignal.any([stopped.signal, AbortSignal.timeout(CONNECT_MS)])).catch(() => undefined)
        while (!stopped.signal.aborted) {
          await once()
          await clock.wait(intervalMs, stopped.signal)
        }
      })()
    },
    async stop() {
      stopped.abort()
      await running
    },
  }
}
