/**
 * The circle, with the real Prometheus and the real Alertmanager, under the configuration of this repository: our processes
 * are scraped, an alert fires, Alertmanager posts it into our own gateway, and it ends as a settled event of the tool
 * alertmanager. Only addresses and waiting times differ from what operators run.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { parse, stringify } from 'yaml'
import { freePort } from '../../scripts/free-port.ts'
import { type RedisServer, startRedis } from '../../scripts/private-redis.ts'
import { SECRET, sendGithub } from '../support/gateway.ts'
import { expressions, OF_PROCESSES, type RuleGroup, readText, ruleFiles } from '../support/monitoring.ts'
import type { TestProcess } from '../support/process.ts'
import { monitoringPrograms, type Programs } from '../support/prometheus.ts'
import { withoutVariables } from '../support/promql.ts'
import { useProcesses } from '../support/use-processes.ts'

/** Seven processes share the machine with other tests. */
const PATIENT = { timeout: 60_000, interval: 100 }
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

/** How often Prometheus scrapes and evaluates here. */
const INTERVAL = '500ms'
const OPS_TOKEN = 'a-token-for-operators'
const ALERT_SECRET = 'a-secret-for-alertmanager'
/** The alert that is made to fire: `for` is an hour. */
const ALERT = 'DeadLettersWaiting'

const found = monitoringPrograms()
const why = found.kind === 'missing' ? ` (skipped: ${found.why})` : ''

interface Answer {
  readonly status: string
  readonly error?: string
  readonly data: { readonly result: readonly { readonly metric: Readonly<Record<string, string>> }[] }
}
interface Targets {
  readonly data: {
    readonly activeTargets: readonly { readonly labels: { readonly job: string }; readonly health: string }[]
  }
}
interface Context {
  readonly context_id: string
  readonly subject: string
}
interface Timeline {
  readonly timeline: readonly { readonly event_id: string; readonly event: string }[]
}

describe.skipIf(found.kind === 'missing')(`Prometheus and Alertmanager${why}`, () => {
  const processes = useProcesses()
  let directory = ''
  let redis: RedisServer
  let ports: Readonly<Record<'gateway' | 'console' | 'consumer' | 'curator', number>>
  let prometheus = ''

  beforeAll(async () => {
    if (found.kind === 'missing') return
    directory = mkdtempSync(join(tmpdir(), 'weir-alerting-'))
    redis = await startRedis({ appendfsync: 'no' })
    ports = await startApps()
    await startMonitoring(found.programs)
  })
  afterAll(async () => {
    await redis?.stop()
    if (directory !== '') rmSync(directory, { recursive: true, force: true })
  })

  it('scrape every process with the token; without it the metrics are closed', async () => {
    const up = async () => {
      const { data } = await ask<Targets>('/api/v1/targets')
      return data.activeTargets.map(({ labels, health }) => `${labels.job} ${health}`).sort()
    }
    await expect
      .poll(up, PATIENT)
      .toEqual(['weir-consumer up', 'weir-curator up', 'weir-gateway up', 'weir-operations up'])
    for (const port of Object.values(ports))
      expect((await fetch(`http://127.0.0.1:${port}/metrics`)).ok, String(port)).toBe(false)
  })

  it('understand everything that dashboards and rules ask', async () => {
    const asked = expressions()
    expect(asked.length).toBeGreaterThan(100)
    for (const { where, expr } of asked) {
      const { status, error } = await query(withoutVariables(expr))
      expect(`${status} ${error ?? ''}`.trim(), where).toBe('success')
    }
  })

  it('see what the gateway exports about its process', async () => {
    for (const name of OF_PROCESSES.keys())
      expect((await query(`${name}{job="weir-gateway"}`)).data.result, name).toHaveLength(1)
  })

  it('turn a dead letter into an event of our own, and its end into another', async () => {
    // Signed well, and no JSON: a dead letter at once.
    expect((await sendGithub(ports.gateway, 'd-broken', 'no JSON')).status).toBe(202)
    const timeline = async (): Promise<string[]> => {
      const { contexts } = await operations<{ contexts: Context[] }>(
        '/contexts?tenant=operations&tool=alertmanager',
      )
      const ours = contexts.find(({ subject }) => subject.includes(ALERT))
      if (!ours) return []
      const { timeline: events } = await operations<Timeline>(`/contexts/${ours.context_id}`)
      const places = events.map(async ({ event, event_id: id }) => {
        const at = await operations<{ place: string; tool: string }>(`/events/${id}`)
        return `${at.tool} ${event} ${at.place}`
      })
      return Promise.all(places)
    }
    await expect.poll(timeline, PATIENT).toEqual(['alertmanager alert.firing settled'])
    // What consumers count comes from them alone, not from the operations API as well.
    const jobs = async () =>
      (await query('count by (job) (webhook_events_failed_total)')).data.result.map(
        ({ metric }) => metric.job,
      )
    await expect.poll(jobs, PATIENT).toEqual(['weir-consumer'])

    const purge = processes.start('apps/cli/src/main.ts', {
      args: ['dlq', 'purge', '--all', '--yes'],
      cwd: directory,
      env: { REDIS_URL: redis.url },
    })
    expect(await purge.exit, purge.output()).toMatchObject({ code: 0 })
    await expect
      .poll(timeline, PATIENT)
      .toEqual(['alertmanager alert.firing settled', 'alertmanager alert.resolved settled'])
  })

  async function startApps() {
    const config = join(directory, 'config.yaml')
    writeFileSync(
      config,
      JSON.stringify({
        webhook: {
          consumer: { ops_port: 0 },
          context_lifecycle: { curator: { ops_port: 0 } },
        },
        observability: { metrics: { open: false } },
      }),
    )
    const start = (app: string) =>
      processes.start(`apps/${app}/src/main.ts`, {
        cwd: directory,
        env: {
          PORT: '0',
          OPS_PORT: '0',
          OPS_TOKEN,
          CONFIG_FILE: config,
          REDIS_URL: redis.url,
          WEIR_DATA_DIR: join(directory, 'data'),
          GITHUB_WEBHOOK_SECRET: SECRET,
          ALERTMANAGER_WEBHOOK_SECRET: ALERT_SECRET,
        },
      })
    const [gateway, console, consumer, curator] = await Promise.all(
      ['ingest', 'console', 'consumer', 'curator'].map(start).map(portOf),
    )
    return { gateway, console, consumer, curator } as typeof ports
  }

  async function startMonitoring(programs: Programs): Promise<void> {
    const secrets = join(directory, 'secrets')
    mkdirSync(secrets)
    mkdirSync(join(directory, 'alerts'))
    writeFileSync(join(secrets, 'ops-token'), OPS_TOKEN)
    writeFileSync(join(secrets, 'alertmanager-webhook-secret'), ALERT_SECRET)
    for (const [name, groups] of ruleFiles())
      writeFileSync(join(directory, 'alerts', name), stringify({ groups: groups.map(impatient) }))
    const [prometheusPort, alertmanagerPort] = [await freePort(), await freePort()]
    prometheus = `http://127.0.0.1:${prometheusPort}`

    const places = new Map([
      ['localhost:8080', ports.gateway],
      ['localhost:8081', ports.console],
      ['localhost:8082', ports.consumer],
      ['localhost:8083', ports.curator],
      ['localhost:9093', alertmanagerPort],
    ])
    const moved = (text: string) => {
      let result = text.replaceAll('../alerts/', 'alerts/')
      for (const [address, port] of places) result = result.replaceAll(address, `127.0.0.1:${port}`)
      return result
    }
    const scraping = parse(moved(readText('monitoring/prometheus.yml'))) as { global: object }
    scraping.global = { scrape_interval: INTERVAL, evaluation_interval: INTERVAL }
    writeFileSync(join(directory, 'prometheus.yml'), stringify(scraping))
    const notifying = parse(moved(readText('monitoring/alertmanager.yml'))) as { route: object }
    notifying.route = { ...notifying.route, group_wait: INTERVAL, group_interval: INTERVAL }
    writeFileSync(join(directory, 'alertmanager.yml'), stringify(notifying))

    const alertmanager = processes.run(programs.alertmanager, {
      cwd: directory,
      args: [
        '--config.file=alertmanager.yml',
        '--storage.path=alertmanager-data',
        `--web.listen-address=127.0.0.1:${alertmanagerPort}`,
        '--cluster.listen-address=',
      ],
    })
    await alertmanager.waitForHttp(`http://127.0.0.1:${alertmanagerPort}/-/ready`)
    const server = processes.run(programs.prometheus, {
      cwd: directory,
      args: [
        '--config.file=prometheus.yml',
        '--storage.tsdb.path=prometheus-data',
        `--web.listen-address=127.0.0.1:${prometheusPort}`,
      ],
    })
    await server.waitForHttp(`${prometheus}/-/ready`)
  }

  /** The alert as it is, without the hour that it waits. */
  function impatient(group: RuleGroup): RuleGroup {
    const rules = group.rules.map((rule) =>
      'alert' in rule && rule.alert === ALERT ? { ...rule, for: '0s' } : rule,
    )
    return { ...group, rules }
  }

  async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
    return (await (await fetch(`${prometheus}${path}`, init)).json()) as T
  }

  const query = (expr: string) =>
    ask<Answer>('/api/v1/query', { method: 'POST', body: new URLSearchParams({ query: expr }) })

  async function operations<T>(path: string): Promise<T> {
    const headers = { authorization: `Bearer ${OPS_TOKEN}` }
    return (await (await fetch(`http://127.0.0.1:${ports.console}${path}`, { headers })).json()) as T
  }
})

async function portOf(app: TestProcess): Promise<number> {
  const [line] = await app.waitForLine(/^\{.*"msg":"listening".*\}$|^\{.*"event":"listening".*\}$/)
  return (JSON.parse(line) as { port: number }).port
}
