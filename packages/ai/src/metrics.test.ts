import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { createAiMetrics } from './metrics.ts'

describe('the metrics of AI', () => {
  it('count requests, texts, tokens and what they cost, what the cache had, and show the breaker', async () => {
    const registry = new Registry()
    const observe = createAiMetrics(registry)
    observe({
      kind: 'request',
      purpose: 'embedding',
      provider: 'openai',
      model: 'm',
      outcome: 'ok',
      texts: 3,
      ms: 250,
      inputTokens: 120,
      outputTokens: 0,
      cost: 0.5,
    })
    observe({ kind: 'lookup', purpose: 'embedding', found: 'hit', count: 4 })
    observe({ kind: 'over-budget', purpose: 'summary' })
    observe({ kind: 'breaker', view: { state: 'half-open', failures: 0, waitMs: 0 } })
    const text = await registry.metrics()
    for (const sample of [
      'webhook_ai_requests_total{purpose="embedding",provider="openai",model="m",outcome="ok"} 1',
      'webhook_ai_texts_total{purpose="embedding",provider="openai"} 3',
      'webhook_ai_request_seconds_sum{purpose="embedding",provider="openai"} 0.25',
      'webhook_ai_tokens_total{purpose="embedding",direction="input"} 120',
      'webhook_ai_cost_total{purpose="embedding"} 0.5',
      'webhook_ai_cache_lookups_total{purpose="embedding",found="hit"} 4',
      'webhook_ai_over_budget_total{purpose="summary"} 1',
      'webhook_ai_breaker_state 2',
    ])
      expect(text).toContain(`\n${sample}\n`)
  })
})
