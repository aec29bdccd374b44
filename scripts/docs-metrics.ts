/** Writes docs/metrics.md from the metrics that the programs really register. A test fails when it is not what this would write. */
import { writeFile } from 'node:fs/promises'
import { createProcessMetrics, type ProcessMetrics } from '@weir/core/metrics/process-metrics'
import { LEDGER_GAUGES } from '../apps/console/src/metrics.ts'
import { createConsumerMetrics } from '../apps/consumer/src/metrics.ts'
import { createCuratorMetrics } from '../apps/curator/src/metrics.ts'
import { GATEWAY_METRICS } from '../apps/ingest/src/metrics.ts'
import { createAiMetrics } from '../packages/ai/src/metrics.ts'
import { createColdMetrics } from '../packages/context-lifecycle/src/cold/metrics.ts'

interface Row {
  readonly name: string
  readonly type: string
  readonly labels: readonly string[]
  readonly help: string
}

const cell = (text: string) => text.replaceAll('|', '\\|')

function table(rows: readonly Row[]): string {
  return [
    '| metric | type | labels | meaning |',
    '|---|---|---|---|',
    ...rows.map(({ name, type, labels, help }) => {
      const shown = labels.map((label) => `\`${label}\``).join(', ')
      return `| \`${name}\` | ${type} | ${shown} | ${cell(help)} |`
    }),
  ].join('\n')
}

function gatewayRows(): Row[] {
  return Object.entries(GATEWAY_METRICS).map(([name, row]) => ({
    name,
    type: row.type,
    labels: 'labels' in row ? row.labels : [],
    help: row.help,
  }))
}

async function registeredRows({ registry }: Pick<ProcessMetrics, 'registry'>): Promise<Row[]> {
  const rows = await registry.getMetricsAsJSON()
  return rows.map(({ name, type, help }) => {
    const metric = registry.getSingleMetric(name) as unknown as { readonly labelNames: readonly string[] }
    return { name, type: String(type), labels: metric.labelNames, help }
  })
}

/** Gauges of the operations API that have labels. */
const LABELS: Readonly<Record<string, readonly string[]>> = {
  webhook_circuit_breaker_state: ['tool_id'],
  webhook_dead_letters_by_tool: ['tool'],
  webhook_partition_lag_messages: ['partition'],
  webhook_redis_used_memory_bytes: ['server'],
  webhook_redis_max_memory_bytes: ['server'],
}

function ledgerRows(): Row[] {
  return Object.entries(LEDGER_GAUGES).map(([name, help]) => ({
    name,
    type: 'gauge',
    labels: LABELS[name] ?? [],
    help,
  }))
}

function processRows(): Promise<Row[]> {
  return registeredRows(
    createProcessMetrics({ component: 'gateway', connected: () => true, certificates: [] }),
  )
}

function outsideRows(): Promise<Row[]> {
  const { registry } = createCuratorMetrics()
  registry.clear()
  createColdMetrics(registry)
  createAiMetrics(registry)
  return registeredRows({ registry })
}

/** The whole page. */
export async function metricsPage(): Promise<string> {
  return `# Metrics

Written by \`node scripts/docs-metrics.ts\` from what the programs register. Label values are bounded: tools come from the adapters'
table, paths are route patterns, alert names end at a hundred. Every process serves \`/metrics\` ([health.md](health.md) says
where), unless \`observability.metrics.enabled\` is false.

## What an operator asks

| question | answer |
|---|---|
| how long does each step take | \`webhook_ingest_stage_duration_seconds\` (gateway), \`webhook_stage_duration_seconds\` (consumer), \`webhook_event_accepted_to_settled_seconds\` from end to end |
| how much waits, for how long | \`webhook_consumer_lag_messages\` = \`webhook_unread_messages\` + \`webhook_pending_messages\` + \`webhook_parked_messages\`; \`webhook_oldest_unread_seconds\`, \`…_pending_seconds\`, \`…_parked_seconds\`. While Redis cannot tell, \`webhook_consumer_lag_known\` is 0 and the lag is absent; it is never 0 because nobody knows |
| what fails | \`webhook_retries_total\` (tried again), \`webhook_events_failed_total\` (given up, by tool and reason), \`webhook_dead_letters\`, \`webhook_dead_letters_by_tool\`, \`webhook_oldest_dead_letter_seconds\` |
| what is lost | \`webhook_unaccounted_events\`, \`webhook_loss_witness\`, \`webhook_loss_detected_total\` |
| is the spool in use | \`webhook_spool_records\`, \`webhook_spool_oldest_age_seconds\`, \`webhook_spool_accepting\` of each gateway; \`webhook_spooled_events\` of all, as last reported |
| what do the dictionaries bring | \`webhook_dictionary_ratio\`, since the gateway started; of late: \`sum by (tool) (rate(webhook_ingest_body_bytes_total[1h])) / sum by (tool) (rate(webhook_ingest_packed_bytes_total[1h]))\` |
| where are the contexts | \`webhook_contexts\` by tier; \`webhook_context_bytes\`: what their events take there, told from 256 of them every minute |
| what does AI cost | \`webhook_ai_tokens_total\`, \`webhook_ai_cost_total\`, \`webhook_ai_request_seconds\`, \`webhook_ai_cache_lookups_total\` |
| is Redis full | \`webhook_redis_used_memory_bytes / (webhook_redis_max_memory_bytes > 0)\`, by server |
| when do certificates end | \`(webhook_certificate_expiry_timestamp_seconds - time()) / 86400\`, in days |

To count dead letters by tool the operations API reads each once, and all anew when some were replayed or purged, for 0.3 s at each
scrape at most (about twenty thousand letters). While it has not read all, \`webhook_dead_letters_by_tool\` is absent, and never an estimate.

The operations API adds up what all consumers counted, so that one scrape is enough where consumers come and go. Scrape the consumers
*or* take the sums from the operations API: who sums over both counts everything twice.

## Pushgateway

With \`observability.metrics.push_gateway\` (\`PROMETHEUS_PUSHGATEWAY\`) every process also pushes what it measures, every
\`push_interval\` and once more when it stops, for networks in which nobody can scrape. The group is \`job="webhook-<component>"\`
(gateway, consumer, curator, console), \`instance="<host>:<port>"\` (\`<host>:pid-<n>\` where it listens nowhere). The console pushes what it measures itself, not the sums
of the consumers, who push their own. A push that fails disturbs nothing: it is told once, counted in \`webhook_metrics_pushes_total\`, and tried again; the last one takes 2 s at most. A user and
a password in the address are sent as such (Basic). Prometheus scrapes the Pushgateway with \`honor_labels: true\`.

A Pushgateway keeps a group until it is deleted; \`push_time_seconds\` tells how old it is. A process that starts again under the same
name goes on in its group. Of one that will not come back, delete it:

\`\`\`sh
curl -X DELETE http://pushgateway:9091/metrics/job/webhook-consumer/instance/host-1:8082
\`\`\`

## Every process

At \`/metrics\` of gateway, consumer, curator and operations API; not part of the sums. \`process_…\` and \`nodejs_…\` are prom-client's own, as on Linux.

${table(await processRows())}

## Gateway

On the gateway's port when \`observability.metrics.open\` is true (the default outside production).

${table(gatewayRows())}

## Consumer

On each consumer's own port (\`consumer.ops_port\`), and added up over all consumers by the operations API.

${table(await registeredRows(createConsumerMetrics()))}

## Curator

On each curator's own port (\`context_lifecycle.curator.ops_port\`).

${table(await registeredRows(createCuratorMetrics()))}

## Cold storage and AI

By whoever uses them: the curator, and the operations API for contexts that are read and searches that are embedded. Add them up.

${table(await outsideRows())}

## Operations API

Measured from the ledger at each scrape, right also when no consumer runs. Without Redis the page is answered all the same: gauges that
nobody knows are absent, and \`webhook_consumer_lag_known\` is 0.

${table(ledgerRows())}
`
}

if (import.meta.main) {
  await writeFile(new URL('../docs/metrics.md', import.meta.url), await metricsPage())
}
