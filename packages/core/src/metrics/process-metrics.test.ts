import { describe, expect, it } from 'vitest'
import { useCertificates } from '../../../../tests/support/tls.ts'
import { VERSION } from '../version.ts'
import { createProcessMetrics } from './process-metrics.ts'

const certificates = useCertificates()

describe('what every process measures of itself', () => {
  it('is its version and part, its Redis, its certificates, its pushes, and what Node and the system say', async () => {
    let connected = true
    const { registry, pushed } = createProcessMetrics({
      component: 'consumer',
      connected: () => connected,
      certificates: [{ name: 'redis.ca', path: certificates.current.client.caFile }],
    })
    const text = await registry.metrics()
    expect(VERSION).toMatch(/^\d+\.\d+\.\d+/)
    expect(text).toContain(`\nwebhook_build_info{version="${VERSION}",component="consumer"} 1\n`)
    expect(text).toContain('\nwebhook_redis_connected 1\n')
    expect(text).toMatch(/\nwebhook_certificate_expiry_timestamp_seconds\{file="redis.ca"\} \d{10}\n/)
    expect(text).toContain('\nprocess_cpu_seconds_total ')
    expect(text).toContain('\nnodejs_eventloop_lag_p99_seconds ')
    connected = false
    pushed('failed')
    const later = await registry.metrics()
    expect(later).toContain('\nwebhook_redis_connected 0\n')
    expect(later).toContain('\nwebhook_metrics_pushes_total{result="failed"} 1\n')
  })

  it('does not take its own end for an outage of Redis', async () => {
    let connected = true
    const { registry, stopping } = createProcessMetrics({
      component: 'curator',
      connected: () => connected,
      certificates: [],
    })
    stopping()
    connected = false
    expect(await registry.metrics()).toContain('\nwebhook_redis_connected 1\n')
  })

  it('shows no path', async () => {
    const { caFile } = certificates.current.client
    const { registry } = createProcessMetrics({
      component: 'gateway',
      connected: () => true,
      certificates: [{ name: 'redis.ca', path: caFile }],
    })
    expect(await registry.metrics()).not.toContain('ca.crt')
  })
})
