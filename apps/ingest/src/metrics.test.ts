import { describe, expect, it } from 'vitest'
import { createMetrics, GATEWAY_METRICS } from './metrics.ts'

describe('the metrics', () => {
  it('are all there from the start, with help and type', async () => {
    const text = await createMetrics().registry.metrics()
    for (const [name, { type, help }] of Object.entries(GATEWAY_METRICS)) {
      expect(text).toContain(`# HELP ${name} ${help}`)
      expect(text).toContain(`# TYPE ${name} ${type}`)
    }
  })

  it('count by labels', async () => {
    const metrics = createMetrics()
    metrics.received('/webhooks/:tool', 202)
    metrics.received('/webhooks/:tool', 202)
    metrics.received('/webhooks/:tool', 503)
    metrics.outcome('github', 'accepted')
    metrics.count('webhook_rate_limit_allowed_total')
    metrics.count('webhook_ingest_body_bytes_total', 'github', '', 500)
    metrics.count('webhook_ingest_body_bytes_total', 'github', '', 70)
    const text = await metrics.registry.metrics()
    expect(text).toContain('\nwebhooks_received_total{path="/webhooks/:tool",status="202"} 2\n')
    expect(text).toContain('\nwebhooks_received_total{path="/webhooks/:tool",status="503"} 1\n')
    expect(text).toContain('\nwebhook_ingest_body_bytes_total{tool="github"} 570\n')
    expect(text).toContain('\nwebhook_rate_limit_allowed_total 1\n')
    // Never counted, but without labels: an alert on it needs the zero.
    expect(text).toContain('\nwebhook_loss_detected_total 0\n')
    expect(metrics.counters()).toMatchObject({
      'webhooks_received_total{path=/webhooks/:tool,status=202}': 2,
      webhook_loss_detected_total: 0,
    })
  })

  it('compute how well events are packed of what was counted, and say nothing before anything was', async () => {
    const metrics = createMetrics()
    expect(await metrics.registry.metrics()).not.toMatch(/^webhook_dictionary_ratio\{/m)
    metrics.count('webhook_ingest_body_bytes_total', 'github', '', 900)
    metrics.count('webhook_ingest_packed_bytes_total', 'github', '', 60)
    metrics.count('webhook_ingest_body_bytes_total', 'github', '', 100)
    metrics.count('webhook_ingest_packed_bytes_total', 'github', '', 40)
    metrics.count('webhook_ingest_body_bytes_total', 'jira', '', 100)
    const text = await metrics.registry.metrics()
    expect(text).toContain('\nwebhook_dictionary_ratio{tool="github"} 10\n')
    expect(text).not.toContain('webhook_dictionary_ratio{tool="jira"}')
  })

  it('escape what a label may hold', async () => {
    const metrics = createMetrics()
    metrics.alertName('a "quoted"\nname\\')
    expect(await metrics.registry.metrics()).toContain(
      'webhooks_by_alertname_total{alertname="a \\"quoted\\"\\nname\\\\"} 1',
    )
  })

  it('measure stages in cumulative buckets', async () => {
    const metrics = createMetrics()
    for (const ms of [0.05, 0.3, 3, 30_000]) metrics.stage('admit', ms)
    const text = await metrics.registry.metrics()
    const bucket = (le: string) =>
      text.match(
        new RegExp(`webhook_ingest_stage_duration_seconds_bucket\\{le="${le}",stage="admit"\\} (\\d+)`),
      )?.[1]
    expect(['0.0001', '0.0005', '0.005', '10', '\\+Inf'].map(bucket)).toEqual(['1', '2', '3', '3', '4'])
    expect(text).toContain('webhook_ingest_stage_duration_seconds_count{stage="admit"} 4')
    expect(text).toMatch(/webhook_ingest_stage_duration_seconds_sum\{stage="admit"\} 30\.003/)
  })

  it('ask gauges at every scrape', async () => {
    const metrics = createMetrics()
    let records = 3
    metrics.gauge('webhook_spool_records', () => records)
    expect(await metrics.registry.metrics()).toContain('\nwebhook_spool_records 3')
    records = 4
    expect(await metrics.registry.metrics()).toContain('\nwebhook_spool_records 4')
  })

  it('give a hundred alert names a series of their own, and the rest one together', () => {
    const metrics = createMetrics()
    for (let i = 0; i < 250; i++) metrics.alertName(`alert-${i}`)
    metrics.alertName('alert-7')
    const series = Object.entries(metrics.counters()).filter(([name]) =>
      name.startsWith('webhooks_by_alertname_total'),
    )
    expect(series).toHaveLength(101)
    expect(metrics.counters()['webhooks_by_alertname_total{alertname=other}']).toBe(150)
    expect(metrics.counters()['webhooks_by_alertname_total{alertname=alert-7}']).toBe(2)
  })
})
