/** docs/monitoring.md says of the alerts, jobs, dashboards and objectives what is there. */
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { OBJECTIVES } from '../../scripts/dashboards/slo.ts'
import { type Alert, dashboards, readText, ruleFiles } from '../support/monitoring.ts'
import { parsePromql } from '../support/promql.ts'

const page = readText('docs/monitoring.md')
const rows = (heading: string): string[][] =>
  tableUnder(heading).map((row) =>
    row
      .slice(2, -2)
      .split(/(?<!\\) \| /)
      .map((cell) => cell.trim()),
  )

function tableUnder(heading: string): string[] {
  const section = page.split(`\n${heading}\n`)[1]?.split(/\n##+ /)[0] ?? ''
  return section
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(2)
}

/** Heading of the table for each file of rules. */
const TABLES = {
  'slo.yml': '### Objectives at risk',
  'pipeline.yml': '### The pipeline',
  'ingest.yml': '### The way in',
  'platform.yml': '### What all stands on',
  'contexts.yml': '### Contexts and AI',
} as const

describe('the tables of alerts', () => {
  it('are one for each file of rules', () => {
    expect([...ruleFiles().keys()].sort()).toEqual(Object.keys(TABLES).sort())
  })

  it.each(Object.entries(TABLES))('the one of %s has exactly its alerts, as they are', (file, heading) => {
    const wanted = (ruleFiles().get(file) ?? [])
      .flatMap((group) => group.rules)
      .filter((rule): rule is Alert => 'alert' in rule)
      .map((rule) => [
        `\`${rule.alert}\``,
        rule.labels.severity,
        rule.for ?? '0s',
        expressionCell(file, rule.expr),
      ])
    const told = rows(heading).map(([alert, severity, pause, , expr]) => [alert, severity, pause, expr])
    expect(told).toEqual(wanted)
    for (const [alert, , , meaning] of rows(heading)) expect(meaning, alert).toMatch(/^\w+ [^{}]*\w$/)
  })

  function expressionCell(file: string, expr: string): string {
    if (file === 'slo.yml') return '[burn rate](#burn-rates)'
    return `\`${expr.replaceAll(/\s+/g, ' ').replaceAll('|', '\\|')}\``
  }
})

it('lists exactly the dashboards', () => {
  expect(
    rows('## Dashboards')
      .map(([name]) => name?.replaceAll('`', ''))
      .sort(),
  ).toEqual([...dashboards().keys()].sort())
})

it('lists exactly the jobs, with their ports', () => {
  const { scrape_configs: jobs } = parse(readText('monitoring/prometheus.yml')) as {
    scrape_configs: { job_name: string; static_configs: { targets: string[] }[] }[]
  }
  const wanted = jobs.map(({ job_name: name, static_configs: configs }) => [
    `\`${name}\``,
    configs[0]?.targets[0]?.replace('localhost:', ''),
  ])
  expect(rows('## Scraping').map(([name, port]) => [name, port])).toEqual(wanted)
})

it('lists the objectives with their targets', () => {
  const told = new Map(rows('## Objectives').map(([name, target]) => [name, target]))
  expect([...told.keys()]).toEqual([...Object.keys(OBJECTIVES), 'backlog'])
  expect(told.get('availability')).toBe(`${OBJECTIVES.availability.target * 100} %`)
  expect(told.get('errors')).toBe(`< ${((1 - OBJECTIVES.errors.target) * 100).toFixed(1)} %`)
})

it('shows PromQL that is PromQL', () => {
  const blocks = [...page.matchAll(/```promql\n(.*?)```/gs)].map(([, text = '']) => text)
  expect(blocks.length).toBeGreaterThan(1)
  for (const block of blocks) expect(parsePromql(block).selectors.length).toBeGreaterThan(0)
})
