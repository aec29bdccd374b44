/** What alerts, dashboards and their page advise can be done: the commands and settings that they name exist. */
import { describeConfig } from '@weir/core/config/describe'
import { describe, expect, it } from 'vitest'
import { alerts, dashboards, readText } from '../support/monitoring.ts'

const texts = new Map<string, string>([
  ...alerts().map(({ alert, annotations }) => [alert, Object.values(annotations).join('\n')] as const),
  ...[...dashboards()].flatMap(([file, { panels }]) =>
    panels.map(
      ({ title, description = '', options }) =>
        [`${file}: ${title}`, `${description}\n${options?.content ?? ''}`] as const,
    ),
  ),
  ...[
    'docs/monitoring.md',
    'docs/runbooks/webhook-ops.md',
    'docs/DEPLOYMENT.md',
    'docs/disaster-recovery.md',
    'docs/capacity.md',
    'docs/upgrading.md',
  ].map((page) => [page, readText(page)] as const),
])

const cli = readText('docs/cli.md')
const commands = new Set(
  [...cli.matchAll(/^## `webhook-cli ([a-z -]+?)(?: [[<].*)?`/gm)].map(([, name]) => name),
)
const ofEvery = cli.split('\n## Every command')[1]?.split('\n## ')[0] ?? ''
const settings = new Set(describeConfig().map(({ path }) => path))

describe('what they name', () => {
  it('of commands is there, with its options', () => {
    let named = 0
    for (const [where, text] of texts) {
      for (const [, first = '', second = '', rest = ''] of text.matchAll(
        /webhook-cli ([a-z][a-z-]*)(?:\s+([a-z][a-z-]*))?((?:\s+--[a-z-]+(?:\s[^\s`-]+)?)*)/g,
      )) {
        named += 1
        const command = commands.has(`${first} ${second}`) ? `${first} ${second}` : first
        expect(commands, `${where}: webhook-cli ${first} ${second}`).toContain(command)
        const section = cli.split(`\n## \`webhook-cli ${command}`)[1]?.split('\n## ')[0] ?? ''
        for (const [option] of rest.matchAll(/--[a-z-]+/g))
          expect(section + ofEvery, `${where}: ${command} ${option}`).toMatch(new RegExp(`\`${option}[ \`]`))
      }
    }
    expect(named).toBeGreaterThan(20)
  })

  it('of settings is there', () => {
    let named = 0
    for (const [where, text] of texts) {
      for (const [path] of text.matchAll(/\b(?:webhook|observability)(?:\.[a-z_]+)+\b/g)) {
        named += 1
        const there = settings.has(path) || [...settings].some((setting) => setting.startsWith(`${path}.`))
        expect(there, `${where}: ${path}`).toBe(true)
      }
    }
    expect(named).toBeGreaterThan(5)
  })
})
