/** Do contexts move, get understood, and what does that cost? */
import type { DashboardSpec, Rows } from './frame.ts'
import { BREAKER_STATES, figure, graph, states } from './panels.ts'

const rate = (metric: string, by: string, where = '') =>
  `sum by (${by}) (rate(${metric}${where}[$__rate_interval]))`

const rows: Rows = {
  'Embeddings and summaries': [
    figure({
      title: 'Cost, last 24 h',
      help: 'At the configured prices, in their currency. Nothing: the provider is local, or no prices are configured.',
      unit: 'short',
      decimals: 2,
      queries: { cost: 'sum(increase(webhook_ai_cost_total[24h]))' },
    }),
    figure({
      title: 'Tokens, last 24 h',
      help: 'As providers count them. The budget of a tenant and day is webhook.ai.daily_token_budget.',
      unit: 'short',
      queries: { tokens: 'sum(increase(webhook_ai_tokens_total[24h]))' },
    }),
    figure({
      title: 'Cache hits, last 24 h',
      help: 'Share of texts that no provider had to be asked about. Low: the cache is too small or its time too short.',
      unit: 'percentunit',
      queries: {
        hits: 'sum(increase(webhook_ai_cache_lookups_total{found=~"hit|similar"}[24h])) / sum(increase(webhook_ai_cache_lookups_total[24h]))',
      },
    }),
    figure({
      title: 'Over budget, last 24 h',
      help: 'Enrichments that wait for the next day (UTC). Raise webhook.ai.daily_token_budget if that is not meant.',
      unit: 'short',
      queries: { waiting: 'sum(increase(webhook_ai_over_budget_total[24h])) or vector(0)' },
      limit: 1,
      alerts: ['AiOverBudget'],
    }),
    states({
      title: 'Breaker before the provider',
      help: 'Open: no embeddings and summaries until it answers. Search by words goes on, events are not delayed.',
      unit: 'none',
      queries: { '{{instance}}': 'webhook_ai_breaker_state' },
      states: BREAKER_STATES,
      alerts: ['AiBreakerOpen'],
    }),
    graph({
      title: 'Requests to providers',
      help: 'By how they ended: ok, or the code of the fault (docs/errors.md).',
      unit: 'reqps',
      queries: {
        '{{purpose}} {{provider}} {{model}} {{outcome}}': rate(
          'webhook_ai_requests_total',
          'purpose, provider, model, outcome',
        ),
      },
    }),
    graph({
      title: 'Time of these requests, p99',
      help: 'With all their attempts. Slow: the provider, or its limits. Events do not wait for it.',
      unit: 's',
      queries: {
        '{{purpose}} {{provider}}':
          'histogram_quantile(0.99, sum by (le, purpose, provider) (rate(webhook_ai_request_seconds_bucket[$__rate_interval])))',
      },
    }),
    graph({
      title: 'Tokens',
      help: 'A second, by purpose and direction. Input that grows without more texts: longer contexts.',
      unit: 'short',
      queries: { '{{purpose}} {{direction}}': rate('webhook_ai_tokens_total', 'purpose, direction') },
    }),
    graph({
      title: 'Texts asked about',
      help: 'Texts in requests to providers, a second. Divided by requests: how well they are put together.',
      unit: 'cps',
      queries: { '{{purpose}} {{provider}}': rate('webhook_ai_texts_total', 'purpose, provider') },
    }),
    graph({
      title: 'Cache',
      help: 'similar: a text almost the same had been asked about. Failures: Redis could not be asked, everything is asked again.',
      unit: 'cps',
      queries: {
        '{{purpose}} {{found}}': rate('webhook_ai_cache_lookups_total', 'purpose, found'),
        'failed {{code}}': rate('webhook_ai_cache_failures_total', 'code'),
      },
    }),
    graph({
      title: 'Enrichments of contexts',
      help: 'later: over budget, provider away or a key missing. failed: see the log of the curator.',
      unit: 'cps',
      queries: { '{{outcome}}': rate('webhook_context_enrichments_total', 'outcome') },
    }),
    graph({
      title: 'Contexts behind',
      help: 'words: search does not find their newest events yet. enrichment: the provider was not asked yet. Grows: curators do not keep up.',
      unit: 'short',
      queries: { '{{lag}}': 'max by (lag) (webhook_contexts_behind)' },
    }),
  ],
  Tiers: [
    graph({
      title: 'Contexts by tier',
      help: 'Hot and warm are in Redis, cold in S3. Hot that only grows: sweeps do not come to an end.',
      unit: 'short',
      queries: { '{{tier}}': 'max by (tier) (webhook_contexts)' },
    }),
    graph({
      title: 'Bytes by tier',
      help: 'Estimated each minute from 256 contexts. Hot and warm: memory of Redis. Cold: objects.',
      unit: 'bytes',
      queries: { '{{tier}}': 'avg by (tier) (webhook_context_bytes)' },
    }),
    graph({
      title: 'Moves',
      help: 'stuck: a key, a dictionary or sound bytes are missing; the log of the curator names the context.',
      unit: 'cps',
      queries: { '{{move}} {{result}}': rate('webhook_context_moves_total', 'move, result') },
    }),
    graph({
      title: 'Events put into contexts',
      help: 'known: tried before and already there. appended follows what is settled.',
      unit: 'cps',
      queries: { '{{result}}': rate('webhook_context_events_total', 'result') },
    }),
    graph({
      title: 'Since the last sweep',
      help: 'A sweep runs every 10 s. Over 15 min: the log of the curator says what it waits for.',
      unit: 's',
      queries: { age: 'time() - max(webhook_context_last_sweep_timestamp_seconds)' },
      limit: 900,
      alerts: ['SweepsNotFinishing'],
    }),
    graph({
      title: 'Time of a sweep, p99, and sweeps given up',
      help: 'Given up: Redis or cold storage away, or Redis out of memory.',
      unit: 's',
      queries: {
        p99: 'histogram_quantile(0.99, sum by (le) (rate(webhook_context_sweep_seconds_bucket[$__rate_interval])))',
        'given up in 5 min': 'sum(increase(webhook_context_sweep_failures_total[5m]))',
      },
    }),
    states({
      title: 'Breaker before cold storage',
      help: 'Open: contexts stay in Redis, which fills. Check bucket, credentials and network.',
      unit: 'none',
      queries: { '{{instance}}': 'webhook_cold_storage_breaker_state' },
      states: BREAKER_STATES,
      alerts: ['ColdStorageBreakerOpen'],
    }),
    graph({
      title: 'Operations on cold storage',
      help: 'refused: credentials or rights. unavailable: the store or the way to it.',
      unit: 'cps',
      queries: {
        '{{operation}} {{outcome}}': rate('webhook_cold_storage_operations_total', 'operation, outcome'),
        deleted: 'sum(rate(webhook_cold_objects_deleted_total[$__rate_interval]))',
      },
    }),
    graph({
      title: 'Time of these operations, p99',
      help: 'With all their attempts. Slow ones delay thawing: contexts are read late.',
      unit: 's',
      queries: {
        '{{operation}}':
          'histogram_quantile(0.99, sum by (le, operation) (rate(webhook_cold_storage_operation_seconds_bucket[$__rate_interval])))',
      },
    }),
  ],
  Prewarming: [
    figure({
      title: 'Hit rate, last 24 h',
      help: 'Of the contexts made hot before they were asked for: those that were read. Low: raise webhook.ai.prewarming.confidence_threshold.',
      unit: 'percentunit',
      queries: {
        hits: 'sum(increase(webhook_context_prewarm_hits_total[24h])) / (sum(increase(webhook_context_prewarm_hits_total[24h])) + sum(increase(webhook_context_prewarm_misses_total[24h])))',
      },
      width: 8,
    }),
    graph({
      title: 'Prewarmed, read, not read',
      help: 'stuck: would be read next and could not be made hot (a key, a dictionary or sound bytes are missing).',
      unit: 'cps',
      queries: {
        prewarmed: 'sum(rate(webhook_context_prewarmed_total[$__rate_interval]))',
        read: 'sum(rate(webhook_context_prewarm_hits_total[$__rate_interval]))',
        'not read': 'sum(rate(webhook_context_prewarm_misses_total[$__rate_interval]))',
        stuck: 'sum(rate(webhook_context_prewarm_stuck_total[$__rate_interval]))',
      },
    }),
    graph({
      title: 'Contexts wanted',
      help: 'Read while they were not hot, and waiting to be brought nearer. Grows: sweeps do not keep up.',
      unit: 'short',
      queries: { wanted: 'max(webhook_contexts_wanted)' },
    }),
  ],
}

export const aiIntelligence: DashboardSpec = {
  uid: 'weir-webhook-ai-intelligence',
  title: 'Webhook contexts and AI',
  help: 'Do contexts move between tiers, are they understood, and what does that cost? All tools together: none of it is told by tool.',
  rows,
}
