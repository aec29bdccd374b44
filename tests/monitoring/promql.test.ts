/** What dashboards and alerts ask for is what the programs export: names, and the labels on them. */
import { describe, expect, it } from 'vitest'
import {
  alerts,
  documentedMetrics,
  expressions,
  OF_PROCESSES,
  recordedSeries,
} from '../support/monitoring.ts'
import { parsePromql, withoutVariables } from '../support/promql.ts'

/** What Prometheus adds itself. */
const OF_PROMETHEUS: ReadonlyMap<string, readonly string[]> = new Map([
  ['up', []],
  ['ALERTS', ['alertname', 'alertstate', 'severity', 'component']],
])
/** Every scraped series has these. */
const OF_EVERY_SCRAPE = ['job', 'instance']

const documented = new Map([...documentedMetrics().values()].flatMap((section) => [...section]))
const known: ReadonlyMap<string, readonly string[]> = new Map([
  ...documented,
  ...OF_PROMETHEUS,
  ...OF_PROCESSES,
  ...recordedSeries(),
])

/** What an expression asks for that is not there. */
function strangers(expr: string, legend: readonly string[] = []): string[] {
  const { selectors, groupings } = parsePromql(withoutVariables(expr))
  const found: string[] = []
  const labelsOf = (metric: string) => [...(known.get(metric) ?? []), ...OF_EVERY_SCRAPE]
  for (const { metric, matchers } of selectors) {
    if (!known.has(metric)) found.push(metric)
    else
      for (const label of matchers) if (!labelsOf(metric).includes(label)) found.push(`${metric}{${label}}`)
  }
  for (const { labels, metrics } of groupings) {
    for (const metric of metrics) {
      if (known.has(metric))
        for (const label of labels) if (!labelsOf(metric).includes(label)) found.push(`${metric} by ${label}`)
    }
  }
  // What is grouped has the labels that it is grouped by; what is not, those of the metric.
  const shown =
    groupings.length > 0
      ? groupings.flatMap(({ labels }) => labels)
      : selectors.flatMap(({ metric }) => labelsOf(metric))
  for (const label of legend) if (!shown.includes(label)) found.push(`legend {{${label}}}`)
  return found
}

describe('the check itself', () => {
  it.each([
    ['webhook_dead_letter', 'webhook_dead_letter'],
    ['sum(rate(webhook_event_processing_duration_seconds[5m]))', 'webhook_event_processing_duration_seconds'],
    ['webhook_events_failed_total{outcome="dead"}', 'webhook_events_failed_total{outcome}'],
    ['sum by (tenant) (webhook_events_failed_total)', 'webhook_events_failed_total by tenant'],
    ['weir:slo_error_ratio:1h{tool="github"}', 'weir:slo_error_ratio:1h{tool}'],
  ])('sees what is wrong with %s', (expr, stranger) => {
    expect(strangers(expr)).toEqual([stranger])
  })

  it('sees a legend that would stay empty', () => {
    for (const sum of ['sum by (tool)', 'sum'])
      expect(strangers(`${sum} (webhook_events_failed_total)`, ['reason'])).toEqual(['legend {{reason}}'])
    expect(strangers('webhook_events_failed_total', ['reason'])).toEqual([])
  })

  it('sees what is no PromQL', () => {
    expect(() => strangers('sum(rate(webhook_dead_letters[5m]) > ')).toThrow(/no PromQL/)
    expect(() => strangers('webhook_dead_letters > $limit')).toThrow(/no variable \$limit/)
  })
})

describe('dashboards and alerts', () => {
  it.each(expressions().map(({ where, expr, legend }) => [where, expr, legend] as const))(
    '%s asks for what there is',
    (_, expr, legend) => {
      expect(strangers(expr, legend)).toEqual([])
    },
  )

  it('name only labels in texts that the alert has', () => {
    for (const { alert, expr, annotations } of alerts()) {
      const { selectors, groupings } = parsePromql(expr)
      const has =
        groupings.length > 0
          ? groupings.flatMap(({ labels }) => labels)
          : selectors.flatMap(({ metric }) => [...(known.get(metric) ?? []), ...OF_EVERY_SCRAPE])
      for (const [, label] of Object.values(annotations)
        .join()
        .matchAll(/\$labels\.(\w+)/g))
        expect(has, `${alert}: $labels.${label}`).toContain(label)
    }
  })

  it('show every metric of ours somewhere', () => {
    const asked = expressions().flatMap(({ expr }) => parsePromql(withoutVariables(expr)).selectors)
    const base = (series: string) => series.replace(/_(bucket|sum|count)$/, '')
    const shown = new Set(asked.map(({ metric }) => base(metric)))
    const unseen = [...documented.keys()]
      .map(base)
      .filter((name) => name.startsWith('webhook') && !shown.has(name))
    expect([...new Set(unseen)], 'give these a place in scripts/dashboards').toEqual([])
  })
})
