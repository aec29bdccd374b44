/** The curator's metrics: names, types, labels. Labels are bounded. */

import type { Observe } from '@weir/ai/observation'
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
  readonly enriched: Counter<'outcome'>
  readonly behind: Gauge<'lag'>
  readonly spans: Counter<'result'>
  moved(move: Move, result: SweepResult): void
  prewarmed(result: PrewarmResult): void
  /** What cold storage did. */
  observed(seen: ColdObservation): void
  breaker(state: GuardState): void
  /** What the enrichment did. */
  enrichment: Observe
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
    enrichment: aiMetrics(registers),
    moved: (move, result) => moves.inc({ move, result }),
    prewarmed: (result) => prewarming[result].inc(),
    observed({ operation, outcome, ms }) {
      operations.inc({ operation, outcome })
      if (outcome !== 'shut') seconds.observe({ operation }, ms / 1000)
    },
    breaker: (state) => breaker.set(STATES[state]),
  }
}

/** Counts what providers, cache and budget tell. */
function aiMetrics(registers: Registry[]): Observe {
  const requests = new Counter({
    name: 'webhook_ai_requests_total',
    help: 'Requests to providers of embeddings and summaries by how they ended: ok, aborted, or the code of the fault',
    labelNames: ['purpose', 'provider', 'model', 'outcome'],
    registers,
  })
  const texts = new Counter({
    name: 'webhook_ai_texts_total',
    help: 'Texts in these requests',
    labelNames: ['purpose', 'provider'],
    registers,
  })
  const seconds = new Histogram({
    name: 'webhook_ai_request_seconds',
    help: 'How long these requests took, with all their attempts',
    labelNames: ['purpose', 'provider'],
    buckets: SECONDS,
    registers,
  })
  const tokens = new Counter({
    name: 'webhook_ai_tokens_total',
    help: 'Tokens as providers count them: input, output',
    labelNames: ['purpose', 'direction'],
    registers,
  })
  const cost = new Counter({
    name: 'webhook_ai_cost_total',
    help: 'What these tokens cost at the configured prices, in their currency',
    labelNames: ['purpose'],
    registers,
  })
  const lookups = new Counter({
    name: 'webhook_ai_cache_lookups_total',
    help: 'Texts looked for before a provider was asked: hit, similar (one almost the same was found), miss',
    labelNames: ['purpose', 'found'],
    registers,
  })
  const overBudget = new Counter({
    name: 'webhook_ai_over_budget_total',
    help: 'Enrichments that wait because the budget of the day is used up',
    labelNames: ['purpose'],
    registers,
  })
  const degraded = new Counter({
    name: 'webhook_ai_cache_failures_total',
    help: 'Times that the cache could not be read or written, or the budget not be corrected',
    labelNames: ['code'],
    registers,
  })
  const breaker = new Gauge({
    name: 'webhook_ai_breaker_state',
    help: 'Breaker before the provider: 0 closed, 1 open, 2 half-open',
    aggregator: 'max',
    registers,
  })
  return (seen) => {
    switch (seen.kind) {
      case 'request': {
        const { purpose, provider, model, outcome } = seen
        requests.inc({ purpose, provider, model, outcome })
        texts.inc({ purpose, provider }, seen.texts)
        seconds.observe({ purpose, provider }, seen.ms / 1000)
        tokens.inc({ purpose, direction: 'input' }, seen.inputTokens)
        tokens.inc({ purpose, direction: 'output' }, seen.outputTokens)
        if (seen.cost !== undefined) cost.inc({ purpose }, seen.cost)
        return
      }
      case 'lookup':
        lookups.inc({ purpose: seen.purpose, found: seen.found }, seen.count)
        return
      case 'over-budget':
        overBudget.inc({ purpose: seen.purpose })
        return
      case 'degraded':
        degraded.inc({ code: seen.error.code })
        return
      case 'breaker':
        breaker.set(STATES[seen.view.state])
    }
  }
}
