/**
 * What the autoscaler is told is what Redis has: a real Prometheus scrapes the real operations API, as the ServiceMonitor has it scraped,
 * and is asked what the Prometheus adapter and KEDA would ask it.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { freePort } from '../../scripts/free-port.ts'
import { usePipeline } from '../support/pipeline.ts'
import { root } from '../support/process.ts'
import { monitoringPrograms } from '../support/prometheus.ts'
import { useRedis } from '../support/redis.ts'
import { useProcesses } from '../support/use-processes.ts'

const found = monitoringPrograms()
const program = found.kind === 'found' ? found.programs.prometheus : undefined
const why = found.kind === 'missing' ? ` (skipped: ${found.why})` : ''

const NAMESPACE = 'webhook-system'
const yamlOf = (path: string) => parse(readFileSync(join(root, path), 'utf8'))

/** The query of an external rule, its template filled in as the adapter does for a metric of this namespace. */
function adapterQuery(): { series: string; query: string } {
  const [rule] = yamlOf('k8s/prometheus-adapter-values.yaml').rules.external
  const { metric } = yamlOf('k8s/webhook-hpa.yaml').spec.metrics[0].external
  expect(rule.name.as).toBe(metric.name)
  const [label] = Object.keys(rule.resources.overrides)
  const query = rule.metricsQuery
    .replaceAll('<<.Series>>', /__name__="([^"]+)"/.exec(rule.seriesQuery)?.[1])
    .replaceAll('<<.LabelMatchers>>', `${label}="${NAMESPACE}"`)
  expect(query).not.toContain('<<')
  return { series: rule.seriesQuery, query }
}

describe.skipIf(program === undefined)(`the lag for the autoscaler${why}`, () => {
  const redis = useRedis({ openConnections: 'allowed' })
  const open = usePipeline(redis)
  const processes = useProcesses()
  const directory = mkdtempSync(join(tmpdir(), 'weir-prometheus-'))
  afterAll(() => rmSync(directory, { recursive: true }))

  it('is unread, pending and parked together, once however many consoles there are; and nothing, not 0, when nobody knows it', async () => {
    const pipeline = await open()
    for (let count = 0; count < 37; count++) await pipeline.accept()
    const [done, parked] = await pipeline.read('consumer-1', 12)
    await pipeline.settle(done!)
    await pipeline.park(parked!)
    expect(await pipeline.ledger()).toMatchObject({ unread: 25, pending: 10, parked: 1, settled: 1 })

    const ports = [await freePort(), await freePort()]
    const consoles = ports.map((port) =>
      processes.start('apps/console/src/main.ts', {
        env: { REDIS_URL: redis.url, OPS_TOKEN: 'token', OPS_PORT: String(port), WEIR_DATA_DIR: directory },
        cwd: directory,
      }),
    )
    await Promise.all(consoles.map((each, at) => each.waitForHttp(`http://127.0.0.1:${ports[at]}/ready`)))

    const { endpoints } = yamlOf('k8s/monitoring/service-monitor.yaml').spec
    const scrape = {
      scrape_configs: [
        {
          job_name: 'webhook-console',
          scrape_interval: '100ms',
          scrape_timeout: '100ms',
          metrics_path: endpoints[0].path,
          static_configs: ports.map((port, at) => ({
            targets: [`127.0.0.1:${port}`],
            // The labels that a Prometheus operator attaches.
            labels: { namespace: NAMESPACE, service: 'webhook-console', pod: `webhook-console-${at}` },
          })),
        },
      ],
    }
    const file = join(directory, 'prometheus.yml')
    writeFileSync(file, JSON.stringify(scrape))
    const port = await freePort()
    const server = processes.run(program as string, {
      args: [
        `--config.file=${file}`,
        `--storage.tsdb.path=${directory}/data`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      cwd: directory,
    })
    const api = `http://127.0.0.1:${port}`
    await server.waitForHttp(`${api}/-/ready`)
    const ask = async (path: string, parameters: Record<string, string>) => {
      const answer = await fetch(`${api}/api/v1/${path}?${new URLSearchParams(parameters)}`)
      const body = (await answer.json()) as { status: string; data: unknown }
      expect(body).toMatchObject({ status: 'success' })
      return body.data
    }
    const valuesOf = async (query: string) => {
      const { result } = (await ask('query', { query })) as { result: { value: [number, string] }[] }
      return result.map(({ value }) => Number(value[1]))
    }

    const { series, query } = adapterQuery()
    const keda = yamlOf('k8s/keda/scaled-object.yaml').spec.triggers[0].metadata.query
    await expect.poll(() => valuesOf('count(webhook_consumer_lag_messages)')).toEqual([2])
    expect(((await ask('series', { 'match[]': series })) as unknown[]).length).toBe(2)
    for (const each of [query, keda]) expect(await valuesOf(each), each).toEqual([36])

    await pipeline.settle(...(await pipeline.read('consumer-1', 20)))
    for (const each of [query, keda]) await expect.poll(() => valuesOf(each)).toEqual([16])

    await redis.server.kill('SIGTERM')
    for (const each of [query, keda]) await expect.poll(() => valuesOf(each)).toEqual([])
  })
})
