/** The dashboards as Grafana takes them: complete, tidy, with help on every panel. */
import { describe, expect, it } from 'vitest'
import { dashboardFiles } from '../../scripts/dashboards.ts'
import {
  alerts,
  type DashboardJson,
  dashboards,
  documentedMetrics,
  type PanelJson,
  readText,
} from '../support/monitoring.ts'

/** Width of Grafana's grid. */
const COLUMNS = 24

it('they are what scripts/dashboards.ts writes', () => {
  expect([...dashboardFiles().keys()].sort()).toEqual(
    [...dashboards().keys()].map((name) => `dashboards/${name}`),
  )
  for (const [path, text] of dashboardFiles()) expect(readText(path), path).toBe(text)
})

it('there is one for each question', () => {
  expect([...dashboards().keys()].sort()).toEqual([
    'webhook-ai-intelligence.json',
    'webhook-overview.json',
    'webhook-performance.json',
    'webhook-security.json',
  ])
})

describe.each([...dashboards()])('%s', (file, dashboard: DashboardJson) => {
  const panels = dashboard.panels.filter(({ type }) => type !== 'row')
  const asking = panels.filter(({ type }) => type !== 'text')

  it('can be imported anywhere: the Prometheus is chosen, not built in', () => {
    const variables = new Map(dashboard.templating.list.map(({ name, type }) => [name, type]))
    expect(variables.get('datasource')).toBe('datasource')
    const byTool = asking.some(({ targets = [] }) => targets.some(({ expr }) => expr.includes('$tool')))
    expect(variables.get('tool')).toBe(byTool ? 'query' : undefined)
    for (const { title, datasource } of asking) expect(datasource?.uid, title).toBe('${datasource}')
    expect(JSON.stringify(dashboard)).not.toMatch(/"id":null|__inputs/)
    expect(dashboard.uid).toBe(`weir-${file.replace('.json', '')}`)
    expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(39)
  })

  it('has help, a unit and a query on every panel', () => {
    for (const { title, description, fieldConfig, targets } of asking) {
      expect(description, title).toMatch(/\w.*\.$/s)
      expect(fieldConfig?.defaults.unit, title).toMatch(/\w/)
      expect(targets?.length, title).toBeGreaterThan(0)
    }
  })

  it('places panels side by side, each under an id of its own', () => {
    const ids = dashboard.panels.map(({ id }) => id)
    expect(ids).toEqual([...new Set(ids)])
    const taken = new Map<string, string>()
    for (const panel of dashboard.panels) {
      expect(panel.gridPos.x + panel.gridPos.w, panel.title).toBeLessThanOrEqual(COLUMNS)
      for (const cell of cellsOf(panel)) {
        expect(taken.get(cell), `${panel.title} at ${cell}`).toBeUndefined()
        taken.set(cell, panel.title ?? '')
      }
    }
  })

  it('links to entries of the runbook that alerts have', () => {
    const anchors = new Set(alerts().map(({ alert }) => `\${runbook}#${alert.toLowerCase()}`))
    for (const { title, links = [] } of panels)
      for (const { url } of links) expect(anchors, `${title}: ${url}`).toContain(url)
  })

  it('filters by tool wherever the metric has it', () => {
    const byTool = [...documentedMetrics().values()].flatMap((section) =>
      [...section].flatMap(([name, labels]) => (labels.includes('tool') ? [name] : [])),
    )
    // The objectives are about all of them, and what is compared with a total has to be the total.
    const whole = new Set(['p99 now < 1 s', 'Settled entries removed from the stream'])
    for (const { title = '', targets = [] } of asking) {
      if (whole.has(title)) continue
      for (const { expr } of targets)
        for (const name of byTool)
          if (expr.includes(name)) expect(expr, title).toMatch(new RegExp(`${name}\\{[^}]*tool=~"\\$tool"`))
    }
  })
})

it('says of tenants that they are no label, where one can be chosen', () => {
  const choosing = [...dashboards()].filter(([, { templating }]) =>
    templating.list.some(({ name }) => name === 'tenant'),
  )
  expect(choosing.map(([name]) => name).sort()).toEqual(['webhook-overview.json', 'webhook-security.json'])
  for (const [name, { panels }] of choosing) {
    const notes = panels.map(({ options }) => options?.content ?? '').join()
    expect(notes, name).toMatch(/No metric has the tenant as a label/)
    expect(notes, name).toContain('--tenant ${tenant}')
  }
})

function cellsOf({ gridPos: { x, y, w, h } }: PanelJson): string[] {
  const cells: string[] = []
  for (let row = y; row < y + h; row++)
    for (let column = x; column < x + w; column++) cells.push(`${column},${row}`)
  return cells
}
