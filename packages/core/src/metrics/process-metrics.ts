/** What every process measures of itself, beside the metrics of its own work. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { VERSION } from '../version.ts'
import { type CertificateFile, createCertificates } from './certificates.ts'

/** As the logs call them (`app`). */
export type Component = 'gateway' | 'consumer' | 'curator' | 'console'

export interface ProcessMetricsOptions {
  readonly component: Component
  /** Whether all its connections to Redis stand. */
  connected(): boolean
  readonly certificates: readonly CertificateFile[]
  /** Where they are registered beside others; default: in a registry of their own. */
  readonly registry?: Registry
}

export interface ProcessMetrics {
  readonly registry: Registry
  /** From now on Redis is as it is now: connections that end because the process does are no outage, and the last push stays. */
  stopping(): void
  /** A push of the metrics has ended. */
  pushed(result: 'ok' | 'failed'): void
}

/** Those of Node and of the operating system (`nodejs_…`, `process_…`) are prom-client's own. */
export function createProcessMetrics(options: ProcessMetricsOptions): ProcessMetrics {
  const { registry = new Registry() } = options
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: 'webhook_build_info',
    help: 'Always 1; tells the version that runs, and as what: gateway, consumer, curator, console',
    labelNames: ['version', 'component'],
    registers,
  }).set({ version: VERSION, component: options.component }, 1)
  let { connected } = options
  new Gauge({
    name: 'webhook_redis_connected',
    help: "1 when all of this process's connections to Redis stand, else 0",
    registers,
    collect() {
      this.set(connected() ? 1 : 0)
    },
  })
  const certificates = createCertificates(options.certificates)
  new Gauge({
    name: 'webhook_certificate_expiry_timestamp_seconds',
    help: 'When the first certificate in a configured file ends, s since the epoch; the file by where it is configured: redis.cert, redis.ca',
    labelNames: ['file'],
    registers,
    async collect() {
      for (const [file, expiry] of await certificates.expiries()) this.set({ file }, expiry)
    },
  })
  const pushes = new Counter({
    name: 'webhook_metrics_pushes_total',
    help: 'Pushes of these metrics to the Pushgateway by how they ended: ok, failed',
    labelNames: ['result'],
    registers,
  })
  return {
    registry,
    stopping() {
      const stands = connected()
      connected = () => stands
    },
    pushed: (result) => pushes.inc({ result }),
  }
}
