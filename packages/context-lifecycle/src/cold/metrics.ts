/** What cold storage does, as metrics: of whoever uses it. Labels are bounded. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { GuardDeps, GuardState } from './guarded-store.ts'

/** Up to the end of the last attempt of a large object. */
const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]
const STATES: Readonly<Record<GuardState, number>> = { closed: 0, open: 1, 'half-open': 2 }

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
    buckets: SECONDS,
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
    onChange: (state) => breaker.set(STATES[state]),
  }
}
