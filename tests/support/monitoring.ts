/** The alerts, recording rules and dashboards of this repository, and the metrics that there are. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { root } from './process.ts'
import { parsePromql } from './promql.ts'

export interface Alert {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

export interface Recording {
  readonly record: string
  readonly expr: string
  readonly labels?: Readonly<Record<string, string>>
}

export interface RuleGroup {
  readonly name: string
  readonly interval?: string
  readonly rules: readonly (Alert | Recording)[]
}

export interface Expression {
  /** File, and panel or rule. */
  readonly where: string
  readonly expr: string
  /** Labels that the legend shows. */
  readonly legend: readonly string[]
}

export interface PanelJson {
  readonly id: number
  readonly type: string
  readonly title?: string
  readonly description?: string
  readonly datasource?: { readonly uid: string }
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } }
  readonly links?: readonly { readonly url: string }[]
  readonly options?: { readonly content?: string }
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[]
}

export interface DashboardJson {
  readonly uid: string
  readonly schemaVersion: number
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] }
  readonly panels: readonly PanelJson[]
}

/** What the gateway exports about its process, besides docs/metrics.md: labels by name. alerting.test.ts sees that it does. */
export const OF_PROCESSES: ReadonlyMap<string, readonly string[]> = new Map([
  ['process_cpu_seconds_total', []],
  ['process_resident_memory_bytes', []],
  ['nodejs_eventloop_lag_p99_seconds', []],
])

export const readText = (path: string): string => readFileSync(join(root, path), 'utf8')

/** Rule groups by file name. */
export function ruleFiles(): ReadonlyMap<string, readonly RuleGroup[]> {
  const names = readdirSync(join(root, 'alerts')).filter((name) => name.endsWith('.yml'))
  return new Map(
    names.map((name) => [name, (parse(readText(`alerts/${name}`)) as { groups: RuleGroup[] }).groups]),
  )
}

function rules(): (Alert | Recording)[] {
  return [...ruleFiles().values()].flatMap((groups) => groups.flatMap((group) => group.rules))
}

export function alerts(): Alert[] {
  return rules().filter((rule) => 'alert' in rule)
}

function recordings(): Recording[] {
  return rules().filter((rule) => 'record' in rule)
}

export function dashboards(): ReadonlyMap<string, DashboardJson> {
  const names = readdirSync(join(root, 'dashboards'))
  return new Map(names.map((name) => [name, JSON.parse(readText(`dashboards/${name}`)) as DashboardJson]))
}

/** Everything that asks for a metric. */
export function expressions(): Expression[] {
  const ofRules = rules().map((rule) => ({
    where: `alerts: ${'alert' in rule ? rule.alert : rule.record}`,
    expr: rule.expr,
    legend: [],
  }))
  const ofDashboards = [...dashboards()].flatMap(([file, { panels }]) =>
    panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ expr, legendFormat }) => ({
        where: `${file}: ${title}`,
        expr,
        legend: [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label as string),
      })),
    ),
  )
  return [...ofRules, ...ofDashboards]
}

/** Labels by the name of the series, as docs/metrics.md lists what the programs register (a test keeps it so), by heading. */
export function documentedMetrics(): ReadonlyMap<string, ReadonlyMap<string, readonly string[]>> {
  const bySection = new Map<string, Map<string, readonly string[]>>()
  let section = new Map<string, readonly string[]>()
  for (const line of readText('docs/metrics.md').split('\n')) {
    const heading = /^## (.*)/.exec(line)
    if (heading) {
      section = new Map()
      bySection.set(heading[1] as string, section)
    }
    const row = /^\| `(\w+)` \| (\w+) \| ([^|]*) \|/.exec(line)
    if (!row) continue
    const [, name = '', type, cell = ''] = row
    const labels = [...cell.matchAll(/`(\w+)`/g)].map(([, label]) => label as string)
    for (const [series, its] of seriesOf(name, type as string, labels)) section.set(series, its)
  }
  return bySection
}

/** What a metric is scraped as. */
function seriesOf(name: string, type: string, labels: readonly string[]): [string, readonly string[]][] {
  if (type !== 'histogram') return [[name, labels]]
  return [
    [`${name}_bucket`, [...labels, 'le']],
    [`${name}_sum`, labels],
    [`${name}_count`, labels],
  ]
}

/** Labels of what recording rules make: those set, those grouped by, and those of recorded series that they go on with. */
export function recordedSeries(): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>()
  for (const { record, expr, labels = {} } of recordings()) {
    const { selectors, groupings } = parsePromql(expr)
    const inherited = selectors.flatMap(({ metric }) => found.get(metric) ?? [])
    const all = [...(found.get(record) ?? []), ...Object.keys(labels), ...inherited]
    found.set(record, [...new Set([...all, ...groupings.flatMap((grouping) => grouping.labels)])])
  }
  return found
}
