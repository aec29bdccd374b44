/** The curator's metrics, beside those of cold storage and of AI: names, types, labels. Labels are bounded. */

import type { PrewarmResult } from '@weir/context-lifecycle/prewarm/prewarmer'
import type { Move, SweepResult } from '@weir/context-lifecycle/tiers/sweep'
import { SLOW_SECONDS } from '@weir/core/metrics/seconds'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

export interface CuratorMetrics {
  readonly registry: Registry
  readonly moves: Counter<'move' | 'result'>
  readonly contexts: Gauge<'tier'>
  readonly bytes: Gauge<'tier'>
  readonly wanted: Gauge<string>
  readonly sweepSeconds: Histogram<string>
  readonly sweepFailures: Counter<string>
  readonly lastSweep: Gauge<string>
  readonly collected: Counter<string>
  readonly enriched: Counter<'outcome'>
  readonly behind: Gauge<'lag'>
  readonly spans: Counter<'result'>
  moved(move: Move, result: SweepResult): void
  prewarmed(result: PrewarmResult): void
}

export function createCuratorMetrics(): CuratorMetrics {
  const registry = new Registry()
  const registers = [registry]
  const moves = new Counter({
    name: 'webhook_context_moves_total',
    help: 'Contexts looked at for a move (cool, freeze, thaw, heat): moved, extended (important, or read often), active (something happened meanwhile), stuck (a key, a dictionary or sound bytes are missing), nothing',
    labelNames: ['move', 'result'],
    registers,
  })
  const warmed = new Counter({
    name: 'webhook_context_prewarmed_total',
    help: 'Contexts made hot before they were asked for',
    registers,
  })
  const hits = new Counter({
    name: 'webhook_context_prewarm_hits_total',
    help: 'Of the contexts made hot before they were asked for: those that were read within ai.prewarming.lookback_window. Hit rate = hits / (hits + misses)',
    registers,
  })
  const misses = new Counter({
    name: 'webhook_context_prewarm_misses_total',
    help: 'Of the contexts made hot before they were asked for: those that were not read in that time',
    registers,
  })
  const unmoved = new Counter({
    name: 'webhook_context_prewarm_stuck_total',
    help: 'Contexts that would be read next and could not be made hot: a key, a dictionary or sound bytes are missing',
    registers,
  })
  const prewarming: Readonly<Record<PrewarmResult, Counter<string>>> = {
    warmed,
    hit: hits,
    miss: misses,
    stuck: unmoved,
  }
  return {
    registry,
    moves,
    contexts: new Gauge({
      name: 'webhook_contexts',
      help: 'Contexts by the tier of their newest event',
      labelNames: ['tier'],
      registers,
    }),
    bytes: new Gauge({
      name: 'webhook_context_bytes',
      help: 'What the events of contexts take by tier (hot and warm: in Redis; cold: objects), estimated from 256 contexts; exact where there are fewer',
      labelNames: ['tier'],
      registers,
    }),
    wanted: new Gauge({
      name: 'webhook_contexts_wanted',
      help: 'Contexts that were read while they were not hot, and wait to be brought nearer',
      registers,
    }),
    sweepSeconds: new Histogram({
      name: 'webhook_context_sweep_seconds',
      help: 'How long a sweep took',
      buckets: SLOW_SECONDS,
      registers,
    }),
    sweepFailures: new Counter({
      name: 'webhook_context_sweep_failures_total',
      help: 'Sweeps that were given up: Redis or cold storage away, or Redis out of memory',
      registers,
    }),
    lastSweep: new Gauge({
      name: 'webhook_context_last_sweep_timestamp_seconds',
      help: 'When the last sweep came to its end, s since the epoch',
      aggregator: 'max',
      registers,
    }),
    collected: new Counter({
      name: 'webhook_cold_objects_deleted_total',
      help: 'Objects in cold storage that were deleted because nothing refers to them any more',
      registers,
    }),
    enriched: new Counter({
      name: 'webhook_context_enrichments_total',
      help: 'Enrichments of contexts by how they ended: enriched, plain (ai.enabled is false), later (over budget, provider away, a key is missing), gone, failed',
      labelNames: ['outcome'],
      registers,
    }),
    behind: new Gauge({
      name: 'webhook_contexts_behind',
      help: 'Contexts with events that search does not find yet (words), or that a provider was not asked about yet (enrichment)',
      labelNames: ['lag'],
      registers,
    }),
    spans: new Counter({
      name: 'webhook_trace_spans_total',
      help: 'Spans of traces by what became of them: exported, failed (the collector did not take them), dropped (too many waited)',
      labelNames: ['result'],
      registers,
    }),
    moved: (move, result) => moves.inc({ move, result }),
    prewarmed: (result) => prewarming[result].inc(),
  }
}
