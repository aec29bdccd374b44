/** The alerts and the configuration of Prometheus and Alertmanager: what they say, and what their own tools say to them. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { BACKLOG_EVENTS, budgetOf, LATENCY_SECONDS, OBJECTIVES } from '../../scripts/dashboards/slo.ts'
import { alerts, documentedMetrics, readText, ruleFiles } from '../support/monitoring.ts'
import { root } from '../support/process.ts'
import { monitoringPrograms, type Programs, runTool } from '../support/prometheus.ts'

/** promtool evaluates days of rules; it shares the machine with other tests. */
const PATIENT_MS = 180_000
const RUNBOOK = 'docs/runbooks/webhook-ops.md'

const testFiles = readdirSync(join(root, 'alerts/tests'))

interface RuleTest {
  readonly promql_expr_test: readonly {
    readonly expr: string
    readonly exp_samples?: readonly { readonly labels: string }[]
  }[]
}

describe('every alert', () => {
  it.each(alerts().map((alert) => [alert.alert, alert] as const))(
    '%s says what, how bad and what to do',
    (name, alert) => {
      expect(alert.labels.severity).toMatch(/^(critical|warning|info)$/)
      expect(alert.labels.component).toMatch(/^(gateway|consumer|curator|redis|platform)$/)
      expect(alert.annotations).toEqual({
        summary: expect.stringMatching(/\w/),
        description: expect.stringMatching(/\w.*\.$/s),
        runbook_url: `${RUNBOOK}#${name.toLowerCase()}`,
      })
    },
  )

  it('has a name of its own, also in lower case, as the runbook has its headings', () => {
    const names = alerts().map(({ alert }) => alert.toLowerCase())
    expect(names).toEqual([...new Set(names)])
  })

  it('is tested for when it is there and when it is not', () => {
    const fires = new Set<string>()
    const quiet = new Set<string>()
    for (const file of testFiles) {
      const { tests } = parse(readText(`alerts/tests/${file}`)) as { tests: RuleTest[] }
      for (const { promql_expr_test: cases } of tests) {
        const names = cases.flatMap(({ exp_samples: samples = [] }) =>
          samples.flatMap(({ labels }) => /alertname="(\w+)"/.exec(labels)?.[1] ?? []),
        )
        for (const name of names) fires.add(name)
        if (
          cases.some(
            ({ expr, exp_samples: samples = [] }) => expr.startsWith('ALERTS') && samples.length === 0,
          )
        )
          for (const name of names) quiet.add(name)
      }
    }
    const all = alerts().map(({ alert }) => alert)
    expect({
      fires: all.filter((name) => !fires.has(name)),
      quiet: all.filter((name) => !quiet.has(name)),
    }).toEqual({
      fires: [],
      quiet: [],
    })
  })
})

describe('the numbers that users were promised', () => {
  const rule = (name: string) => alerts().find(({ alert }) => alert === name)

  it.each([
    ['HighErrorRate', /rate\(webhook_events_failed_total\[5m\]\)\) > 0\.05$/, '5m', 'warning'],
    ['ConsumerLag', /webhook_consumer_lag_messages\) > 1000$/, '10m', 'critical'],
    ['CircuitBreakerOpen', /by \(tool_id\) .*webhook_circuit_breaker_state == 1/, '5m', 'warning'],
  ] as const)('%s', (name, expr, pause, severity) => {
    expect(rule(name)).toMatchObject({ for: pause, labels: { severity }, expr: expect.stringMatching(expr) })
  })

  it('the backlog of the objective is the one of the alert', () => {
    expect(rule('ConsumerLag')?.expr).toContain(`> ${BACKLOG_EVENTS}`)
  })

  it('a second is a bucket of the histogram, and the one that is asked for', () => {
    expect(readText('alerts/slo.yml')).toContain(`le=~"${LATENCY_SECONDS}|${LATENCY_SECONDS}[.]0"`)
  })

  it.each([
    ['Availability', OBJECTIVES.availability],
    ['Error', OBJECTIVES.errors],
    ['Latency', OBJECTIVES.latency],
  ])('the %s budget burns by the factors and windows of the workbook', (name, objective) => {
    const { slo } = objective
    const budget = budgetOf(objective)
    const burns = (factor: number, long: string, short: string, seconds: number) => {
      const limit = factor === 1 ? `${budget}` : `${factor} * ${budget}`
      const ratio = (window: string) => `weir:slo_error_ratio:${window}{slo="${slo}"} > ${limit}`
      const bad = `avg_over_time(weir:slo_bad_events:rate5m{slo="${slo}"}[${long}]) * ${seconds} > 10`
      return `( ${ratio(long)} and ${ratio(short)} and ${bad} )`
    }
    const plain = (text = '') => text.replaceAll(/\s+/g, ' ')
    expect(plain(rule(`${name}BudgetBurnFast`)?.expr)).toBe(
      `${burns(14.4, '1h', '5m', 3600)} or ${burns(6, '6h', '30m', 21_600)}`,
    )
    expect(plain(rule(`${name}BudgetBurnSlow`)?.expr)).toBe(
      `${burns(3, '1d', '2h', 86_400)} or ${burns(1, '3d', '6h', 259_200)}`,
    )
  })
})

const prometheusFiles = ['monitoring/prometheus.yml', 'monitoring/compose/prometheus.yml']
const alertmanagerFiles = ['monitoring/alertmanager.yml', 'monitoring/compose/alertmanager.yml']

interface PrometheusConfig {
  readonly scrape_configs: readonly {
    readonly job_name: string
    readonly authorization?: { readonly credentials_file: string }
    readonly metric_relabel_configs?: readonly { readonly regex: string; readonly action: string }[]
  }[]
}

describe.each(prometheusFiles)('%s', (file) => {
  const { scrape_configs: jobs } = parse(readText(file)) as PrometheusConfig

  it('scrapes every kind of process, with the token', () => {
    expect(jobs.map(({ job_name: name }) => name)).toEqual([
      'weir-gateway',
      'weir-operations',
      'weir-consumer',
      'weir-curator',
    ])
    for (const { authorization } of jobs)
      expect(authorization?.credentials_file).toMatch(/secrets\/ops-token$/)
  })

  it('counts what consumers measure once: not from the operations API as well', () => {
    const [drop, ...more] =
      jobs.find(({ job_name: name }) => name === 'weir-operations')?.metric_relabel_configs ?? []
    expect(more).toEqual([])
    expect(drop?.action).toBe('drop')
    const dropped = new RegExp(`^(?:${drop?.regex})$`)
    const sections = documentedMetrics()
    const own = [...(sections.get('Operations API')?.keys() ?? [])]
    const consumers = [...(sections.get('Consumer')?.keys() ?? [])]
    expect(own.filter((name) => dropped.test(name))).toEqual([])
    expect(consumers.filter((name) => !dropped.test(name) && !own.includes(name))).toEqual([])
    expect(own.length * consumers.length).toBeGreaterThan(0)
  })
})

describe('a machine without these programs', () => {
  it('skips what needs them and says what to install', () => {
    expect(monitoringPrograms('/nowhere', false)).toEqual({
      kind: 'missing',
      why: expect.stringMatching(
        /^no promtool, amtool, prometheus, alertmanager on PATH \(.*apt-get install/,
      ),
    })
  })

  it('fails in CI', () => {
    expect(() => monitoringPrograms('/nowhere', true)).toThrow(/CI tests with the real Prometheus/)
  })
})

const found = monitoringPrograms()
const why = found.kind === 'missing' ? ` (skipped: ${found.why})` : ''

describe.skipIf(found.kind === 'missing')(`their own tools${why}`, () => {
  let directory = ''
  let programs: Programs
  beforeAll(() => {
    if (found.kind === 'found') programs = found.programs
    directory = mkdtempSync(join(tmpdir(), 'weir-monitoring-'))
    for (const folder of ['alerts', 'monitoring'])
      cpSync(join(root, folder), join(directory, folder), { recursive: true })
    // Both tools want the files with secrets to be there.
    const secrets = join(directory, 'monitoring/secrets')
    mkdirSync(secrets, { recursive: true })
    for (const name of ['ops-token', 'alertmanager-webhook-secret'])
      writeFileSync(join(secrets, name), 'secret')
    // In containers they are mounted elsewhere.
    for (const file of [...prometheusFiles, ...alertmanagerFiles]) {
      const text = readFileSync(join(directory, file), 'utf8')
        .replaceAll('/etc/prometheus/', `${directory}/`)
        .replaceAll('/run/secrets/', `${secrets}/`)
      writeFileSync(join(directory, file), text)
    }
  })
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  it.each([...ruleFiles().keys()])('promtool finds nothing wrong with alerts/%s', (file) => {
    const { ok, output } = runTool(
      programs.promtool,
      ['check', 'rules', '--lint=all', '--lint-fatal', `alerts/${file}`],
      root,
    )
    expect(ok, output).toBe(true)
  })

  it.each(testFiles)('alerts/tests/%s holds', { timeout: PATIENT_MS }, (file) => {
    const { ok, output } = runTool(programs.promtool, ['test', 'rules', `alerts/tests/${file}`], root)
    expect(ok, output).toBe(true)
  })

  it.each(prometheusFiles)('promtool takes %s, with all rules', (file) => {
    const { ok, output } = runTool(programs.promtool, ['check', 'config', file], directory)
    expect(ok, output).toBe(true)
    expect(output).toContain(`${ruleFiles().size} rule files found`)
  })

  it.each(alertmanagerFiles)('amtool takes %s', (file) => {
    const { ok, output } = runTool(programs.amtool, ['check-config', file], directory)
    expect(ok, output).toBe(true)
  })

  it.each([
    ['critical', 'on-call,weir'],
    ['warning', 'weir'],
    ['info', 'weir'],
  ])('an alert that is %s goes to %s', (severity, receivers) => {
    for (const file of alertmanagerFiles) {
      const args = [
        'config',
        'routes',
        'test',
        `--config.file=${file}`,
        `severity=${severity}`,
        'alertname=Any',
      ]
      const { output } = runTool(programs.amtool, args, directory)
      expect(output.split('\n')[0], file).toBe(receivers)
    }
  })
})
