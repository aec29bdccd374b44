/** The curator's metrics: names, types, labels. Labels are bounded. */
import type { ColdObservation, GuardState } from '@weir/context-lifecycle/cold/guarded-store'
import type { PrewarmResult } from '@weir/context-lifecycle/prewarm/prewarmer'
import type { Move, SweepResult } from '@weir/context-lifecycle/tiers/sweep'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

export interface CuratorMetrics {
  readonly registry: Registry
  readonly moves: Counter<'move' | 'result'>
  readonly contexts: Gauge<'tier'>
  readonly wanted: Gauge<string>
  readonly sweepSeconds: Histogram<string>
  readonly sweepFailures: Counter<string>
  readonly lastSweep: Gauge<string>
  readonly collected: Counter<string>
  moved(move: Move, result: SweepResult): void
  prewarmed(result: PrewarmResult): void
  /** What cold storage did. */
  observed(seen: ColdObservation): void
  breaker(state: GuardState): void
}

const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]
const STATES: Readonly<Record<GuardState, number>> = { closed: 0, open: 1, 'half-open': 2 }

export function createCuratorMetrics(): CuratorMetrics {
  const registry = new Registry()
  const registers = [registry]
  const moves = new Counter({
    name: 'webhook_context_moves_total',
    help: 'Contexts looked at for a move (cool, freeze, thaw, heat): moved, extended (important, or read often), active (something happened meanwhile), stuck (a key, a dictionary or sound bytes are missing), nothing',
    labelNames: ['move', 'result'],
    registers,
  })
  const operations = new Counter({
    name: 'webhook_cold_storage_operations_total',
    help: 'Operations on cold storage by how they ended: ok, missing, unavailable, refused, shut (the breaker is open), aborted, failed',
    labelNames: ['operation', 'outcome'],
    registers,
  })
  const seconds = new Histogram({
    name: 'webhook_cold_storage_operation_seconds',
    help: 'How long operations on cold storage took, all their attempts together',
    labelNames: ['operation'],
    buckets: SECONDS,
    registers,
  })
  const breaker = new Gauge({
    name: 'webhook_cold_storage_breaker_state',
    help: 'Breaker before cold storage: 0 closed, 1 open, 2 half-open',
    aggregator: 'max',
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
    wanted: new Gauge({
      name: 'webhook_contexts_wanted',
      help: 'Contexts that were read while they were not hot, and wait to be brought nearer',
      registers,
    }),
    sweepSeconds: new Histogram({
      name: 'webhook_context_sweep_seconds',
      help: 'How long a sweep took',
      buckets: SECONDS,
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
    moved: (move, result) => moves.inc({ move, result }),
    prewarmed: (result) => prewarming[result].inc(),
    observed({ operation, outcome, ms }) {
      operations.inc({ operation, outcome })
      if (outcome !== 'shut') seconds.observe({ operation }, ms / 1000)
    },
    breaker: (state) => breaker.set(STATES[state]),
  }
}
