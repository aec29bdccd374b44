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
import { monitoringPrograms, type Programs, runTool } from '../support/prometheus.ts'
import { useRedis } from '../support/redis.ts'
import { useProcesses } from '../support/use-processes.ts'

const found = monitoringPrograms()
const programs = found.kind === 'found' ? found.programs : undefined
const why = found.kind === 'missing' ? ` (skipped: ${found.why})` : ''

const NAMESPACE = 'webhook-system'
const yamlOf = (path: string) => parse(readFileSync(join(root, path), 'utf8'))

/** What is asked for a metric of the autoscaler: the rule's template filled in as the adapter does for this namespace, and KEDA's query. */
function queriesFor(at: number): { series: string; adapter: string; keda: string } {
  const { metric } = yamlOf('k8s/webhook-hpa.yaml').spec.metrics[at].external
  const rules: AdapterRule[] = yamlOf('k8s/prometheus-adapter-values.yaml').rules.external
  const { seriesQuery, resources, metricsQuery } = rules.find(({ name }) => name.as === metric.name)!
  const [label] = Object.keys(resources.overrides)
  const series = /__name__="([^"]+)"/.exec(seriesQuery)?.[1] ?? ''
  const adapter = metricsQuery
    .replaceAll('<<.Series>>', series)
    .replaceAll('<<.LabelMatchers>>', `${label}="${NAMESPACE}"`)
  expect(adapter).not.toContain('<<')
  return {
    series: seriesQuery,
    adapter,
    keda: yamlOf('k8s/keda/scaled-object.yaml').spec.triggers[at].metadata.query,
  }
}

interface AdapterRule {
  readonly seriesQuery: string
  readonly resources: { readonly overrides: object }
  readonly name: { readonly as: string }
  readonly metricsQuery: string
}

describe.skipIf(programs === undefined)(`how busy consumers are, for the autoscaler${why}`, () => {
  const { adapter, keda } = queriesFor(1)
  const directory = mkdtempSync(join(tmpdir(), 'weir-promtool-'))
  afterAll(() => rmSync(directory, { recursive: true }))
  const of = (pod: string, namespace = NAMESPACE) => `namespace="${namespace}",pod="${pod}"`
  const workers = (pod: string) => ({ series: `webhook_consumer_workers{${of(pod)}}`, values: '10x20' })
  /** `each`: seconds in the stage that are added every 15 s. */
  const seconds = (stage: string, labels: string, each: number) => ({
    series: `webhook_stage_duration_seconds_sum{stage="${stage}",${labels}}`,
    values: `0+${each}x20`,
  })

  it.each([
    {
      what: 'the seconds that handlers run in a second, over the workers of one consumer',
      series: [
        ...['a', 'b', 'c'].map(workers),
        seconds('handlers', of('a'), 150), // all ten of its workers, always
        seconds('handlers', of('b'), 75), // half of them
        seconds('settle', of('b'), 900),
        seconds('handlers', of('a', 'somewhere-else'), 150),
      ],
      samples: [{ labels: '{}', value: 1.5 }],
    },
    {
      what: 'nothing while no handler has run',
      series: [workers('a')],
      samples: [{ labels: '{}', value: 0 }],
    },
    {
      what: 'not known while no consumer is seen',
      series: [seconds('settle', of('a'), 1)],
      samples: [],
    },
  ])('is $what', ({ series, samples }) => {
    const file = join(directory, 'busy.yml')
    const asked = [adapter, keda].map((expr) => ({ expr, eval_time: '4m', exp_samples: samples }))
    const test = { interval: '15s', input_series: series, promql_expr_test: asked }
    writeFileSync(file, JSON.stringify({ rule_files: [], tests: [test] }))
    const { ok, output } = runTool((programs as Programs).promtool, ['test', 'rules', file], directory)
    expect(ok, output).toBe(true)
  })
})

describe.skipIf(programs === undefined)(`the lag for the autoscaler${why}`, () => {
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
    const server = processes.run((programs as Programs).prometheus, {
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

    const { series, adapter, keda } = queriesFor(0)
    await expect.poll(() => valuesOf('count(webhook_consumer_lag_messages)')).toEqual([2])
    expect(((await ask('series', { 'match[]': series })) as unknown[]).length).toBe(2)
    for (const each of [adapter, keda]) expect(await valuesOf(each), each).toEqual([36])

    await pipeline.settle(...(await pipeline.read('consumer-1', 20)))
    for (const each of [adapter, keda]) await expect.poll(() => valuesOf(each)).toEqual([16])

    await redis.server.kill('SIGTERM')
    for (const each of [adapter, keda]) await expect.poll(() => valuesOf(each)).toEqual([])
  })
})
