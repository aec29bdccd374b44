/** What cold storage does, as metrics: of whoever uses it. Labels are bounded. */
import { SLOW_SECONDS } from '@weir/core/metrics/seconds'
import { BREAKER_GAUGE } from '@weir/core/stream/breaker'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { GuardDeps } from './guarded-store.ts'

export function createColdMetrics(registry: Registry): Required<Pick<GuardDeps, 'observe' | 'onChange'>> {
  const registers = [registry]
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
    buckets: SLOW_SECONDS,
    registers,
  })
  const breaker = new Gauge({
    name: 'webhook_cold_storage_breaker_state',
    help: 'Breaker before cold storage: 0 closed, 1 open, 2 half-open',
    aggregator: 'max',
    registers,
  })
  return {
    observe({ operation, outcome, ms }) {
      operations.inc({ operation, outcome })
      if (outcome !== 'shut') seconds.observe({ operation }, ms / 1000)
    },
    onChange: (state) => breaker.set(BREAKER_GAUGE[state]),
  }
}
