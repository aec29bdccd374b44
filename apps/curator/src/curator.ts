/**
 * Sweeps again and again until it is stopped:
 *
 *   dictionaries looked for ──▶ sweep (context-lifecycle/tiers/sweep.ts) ──▶ tiers counted, sized ──▶ prewarming ──▶ pause ──▶ …
 *        └── Redis away, or out of memory; cold storage away ──▶ told once, counted, and tried again after the pause
 *
 * Prewarming is extra: when it fails, the sweep before it counts all the same, and it is told by itself.
 *
 * Several may run at once: they share the work, and cannot harm each other.
 */
import type { ContextPlace } from '@weir/context-lifecycle/context-place'
import type { Prewarmer } from '@weir/context-lifecycle/prewarm/prewarmer'
import type { Library } from '@weir/context-lifecycle/tiers/library'
import { estimateTierBytes } from '@weir/context-lifecycle/tiers/sizes'
import type { Sweep } from '@weir/context-lifecycle/tiers/sweep'
import type { Clock } from '@weir/core/clock'
import { isFault, messageOf } from '@weir/core/faults'
import type { Sighting } from '@weir/core/health/sighting'
import type { Logger } from 'pino'
import type { CuratorMetrics } from './metrics.ts'

export interface Curator {
  start(): void
  /** Resolves when the moves in hand are finished. Harmless when repeated. */
  stop(): Promise<void>
}

export interface CuratorOptions {
  readonly sweep: Sweep
  /** undefined = it is switched off. */
  readonly prewarmer: Prewarmer | undefined
  readonly library: Pick<Library, 'refresh'>
  readonly places: readonly ContextPlace[]
  /** Pause between two sweeps, ms. */
  readonly intervalMs: number
  /** How often the bytes of the tiers are estimated, ms. */
  readonly sizeIntervalMs: number
  readonly clock: Clock
  readonly metrics: CuratorMetrics
  /** How the last sweep went, for /health/webhook. */
  readonly health?: Pick<Sighting, 'worked' | 'failed'>
  readonly log: Logger
}

/** Pause before it looks again whether Redis is there, ms. */
const RECONNECTING_MS = 100

export function createCurator(options: CuratorOptions): Curator {
  const { sweep, prewarmer, library, places, intervalMs, sizeIntervalMs, clock, metrics, health, log } =
    options
  let sizedAt = Number.NEGATIVE_INFINITY
  const stopped = new AbortController()
  let running: Promise<void> = Promise.resolve()
  const tellSweep = onceEach({
    failed(err, code) {
      log.error({ event: 'sweep_failed', err, code }, 'contexts stay where they are; it is tried again')
    },
    back: () => log.info({ event: 'sweep_back' }, 'contexts are moved again'),
  })
  const tellPrewarming = onceEach({
    failed(err, code) {
      log.warn(
        { event: 'prewarming_failed', err, code },
        'contexts are not made hot before they are asked for',
      )
    },
    back: () =>
      log.info({ event: 'prewarming_back' }, 'contexts are made hot before they are asked for again'),
  })

  function told(error: Error | undefined): void {
    if (error === undefined) health?.worked()
    else {
      metrics.sweepFailures.inc()
      health?.failed(codeOf(error))
    }
    tellSweep(error)
  }

  async function once(): Promise<void> {
    const began = clock.monotonic()
    try {
      await library.refresh()
      const { looked, collected, coldAway } = await sweep.run(stopped.signal)
      metrics.collected.inc(collected)
      await countTiers()
      const ms = clock.monotonic() - began
      if (began - sizedAt >= sizeIntervalMs) {
        await sizeTiers()
        sizedAt = began
      }
      metrics.sweepSeconds.observe(ms / 1000)
      metrics.lastSweep.set(clock.now() / 1000)
      told(coldAway)
      if (looked + collected > 0)
        log.info({ event: 'swept', looked, collected, ms: Math.round(ms) }, 'contexts were looked at')
    } catch (error) {
      told(asError(error))
    }
    await prewarm()
  }

  async function prewarm(): Promise<void> {
    if (prewarmer === undefined || stopped.signal.aborted) return
    try {
      const { warmed, coldAway } = await prewarmer.run(stopped.signal)
      tellPrewarming(coldAway)
      if (warmed > 0)
        log.info({ event: 'prewarmed', warmed }, 'contexts were made hot before they are asked for')
    } catch (error) {
      tellPrewarming(asError(error))
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

  async function sizeTiers(): Promise<void> {
    try {
      for (const [tier, bytes] of Object.entries(await estimateTierBytes(places)))
        metrics.bytes.set({ tier }, bytes)
    } catch (error) {
      // The link has named the right that is missing. Nothing is said rather than something old.
      if (!isFault(error, 'REDIS_UNSUITABLE')) throw error
      metrics.bytes.reset()
    }
  }

  return {
    start() {
      running = (async () => {
        while (!stopped.signal.aborted) {
          // Who watches the connections tells when one is away.
          const connected = places.every(({ link }) => link.connected)
          if (connected) await once()
          await clock.wait(connected ? intervalMs : RECONNECTING_MS, stopped.signal)
        }
      })()
    },
    async stop() {
      stopped.abort()
      await running
    },
  }
}

const codeOf = (error: Error): string => (isFault(error) ? error.code : error.name)

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(messageOf(error)))

interface Trouble {
  failed(error: Error, code: string): void
  back(): void
}

/** Tells trouble when it begins or becomes another, and that it is over, so that an outage is told once. */
function onceEach({ failed, back }: Trouble): (error: Error | undefined) => void {
  let last: string | undefined
  return (error) => {
    const now = error === undefined ? undefined : codeOf(error)
    if (error !== undefined && now !== undefined && now !== last) failed(error, now)
    if (error === undefined && last !== undefined) back()
    last = now
  }
}
