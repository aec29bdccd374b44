/** What providers, cache and budget tell, as metrics: of whoever enriches, and of whoever searches. Labels are bounded. */
import { SLOW_SECONDS } from '@weir/core/metrics/seconds'
import { BREAKER_GAUGE } from '@weir/core/stream/breaker'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Observe } from './observation.ts'

export function createAiMetrics(registry: Registry): Observe {
  const registers = [registry]
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
    buckets: SLOW_SECONDS,
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
        breaker.set(BREAKER_GAUGE[seen.view.state])
    }
  }
}
