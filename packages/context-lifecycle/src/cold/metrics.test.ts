import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { createColdMetrics } from './metrics.ts'

describe('the metrics of cold storage', () => {
  it('count operations, time those that were made, and show the breaker', async () => {
    const registry = new Registry()
    const { observe, onChange } = createColdMetrics(registry)
    observe({ operation: 'get', outcome: 'ok', ms: 40, waitedMs: 0 })
    observe({ operation: 'get', outcome: 'shut', ms: 0, waitedMs: 0 })
    onChange('open')
    const text = await registry.metrics()
    expect(text).toContain('webhook_cold_storage_operations_total{operation="get",outcome="ok"} 1')
    expect(text).toContain('webhook_cold_storage_operations_total{operation="get",outcome="shut"} 1')
    expect(text).toContain('webhook_cold_storage_operation_seconds_count{operation="get"} 1')
    expect(text).toContain('webhook_cold_storage_operation_seconds_sum{operation="get"} 0.04')
    expect(text).toContain('webhook_cold_storage_breaker_state 1')
  })
})
