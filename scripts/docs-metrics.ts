/** Writes docs/metrics.md from the metrics that the programs really register. A test fails when it is not what this would write. */
import { writeFile } from 'node:fs/promises'
import { LEDGER_GAUGES } from '../apps/console/src/metrics.ts'
import { createConsumerMetrics } from '../apps/consumer/src/metrics.ts'
import { createCuratorMetrics } from '../apps/curator/src/metrics.ts'
import { GATEWAY_METRICS } from '../apps/ingest/src/metrics.ts'

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

async function registeredRows({
  registry,
}: Pick<ReturnType<typeof createConsumerMetrics>, 'registry'>): Promise<Row[]> {
  const rows = await registry.getMetricsAsJSON()
  return rows.map(({ name, type, help }) => {
    const metric = registry.getSingleMetric(name) as unknown as { readonly labelNames: readonly string[] }
    return { name, type: String(type), labels: metric.labelNames, help }
  })
}

/** Gauges of the operations API that have labels. */
const LABELS: Readonly<Record<string, readonly string[]>> = {
  webhook_circuit_breaker_state: ['tool_id'],
  webhook_partition_lag_messages: ['partition'],
}

function ledgerRows(): Row[] {
  return Object.entries(LEDGER_GAUGES).map(([name, help]) => ({
    name,
    type: 'gauge',
    labels: LABELS[name] ?? [],
    help,
  }))
}

/** The whole page. */
export async function metricsPage(): Promise<string> {
  return `# Metrics

Written by \`node scripts/docs-metrics.ts\` from what the programs register. Label values are bounded: tools come from the adapters'
table, paths are route patterns, alert names end at a hundred.

## Gateway

On the gateway's port when \`observability.metrics.open\` is true (the default outside production).

${table(gatewayRows())}

## Consumer

On each consumer's own port (\`consumer.ops_port\`), and added up over all consumers by the operations API.

${table(await registeredRows(createConsumerMetrics()))}

## Curator

On each curator's own port (\`context_lifecycle.curator.ops_port\`).

${table(await registeredRows(createCuratorMetrics()))}

## Operations API

Measured from the ledger at each scrape, right also when no consumer runs.

${table(ledgerRows())}
`
}

if (import.meta.main) {
  await writeFile(new URL('../docs/metrics.md', import.meta.url), await metricsPage())
}
