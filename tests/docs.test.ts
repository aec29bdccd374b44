/** What the documentation says is what the program does. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { metricsPage } from '../scripts/docs-metrics.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')

/** Metrics that users script against: name and the labels that must be there. */
const CONTRACT: Readonly<Record<string, readonly string[]>> = {
  webhook_events_received_total: [],
  webhook_events_failed_total: [],
  webhook_event_processing_duration_seconds: [],
  webhook_consumer_lag_messages: [],
  webhook_circuit_breaker_state: ['tool_id'],
  webhooks_received_total: ['path', 'status'],
  webhook_auth_failures_total: [],
  webhook_signature_failures_total: [],
  webhooks_by_alertname_total: ['alertname'],
  webhook_rate_limit_exceeded_total: ['limit_type'],
  webhook_rate_limit_allowed_total: [],
  webhook_rate_limit_redis_errors_total: [],
  webhook_rate_limit_redis_connected: [],
}

describe('docs/metrics.md', () => {
  it('is what the programs register', async () => {
    expect(read('docs/metrics.md')).toBe(await metricsPage())
  })

  it('has every metric of the outside contract, with its labels', () => {
    const rows = read('docs/metrics.md').split('\n')
    for (const [name, labels] of Object.entries(CONTRACT)) {
      const row = rows.find((line) => line.startsWith(`| \`${name}\` |`))
      expect(row, name).toBeDefined()
      for (const label of labels) expect(row?.split('|')[3], name).toContain(`\`${label}\``)
    }
  })
})

describe('docs/dependencies.md', () => {
  it('names exactly the packages that the package.json files name', () => {
    const folders = [
      '.',
      'bench',
      ...['apps', 'packages'].flatMap((dir) => readdirSync(join(root, dir)).map((name) => `${dir}/${name}`)),
    ]
    const used = new Set<string>()
    for (const folder of folders) {
      const manifest = JSON.parse(read(`${folder}/package.json`)) as Record<
        string,
        Record<string, string> | undefined
      >
      for (const group of ['dependencies', 'devDependencies']) {
        for (const [name, version] of Object.entries(manifest[group] ?? {})) {
          if (!version.startsWith('workspace:')) used.add(name)
        }
      }
    }
    const listed = [...read('docs/dependencies.md').matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name)
    expect([...listed].sort()).toEqual([...used].sort())
  })
})

describe('links between documents', () => {
  const pages = [
    'README.md',
    'CONTRIBUTING.md',
    'CHANGELOG.md',
    'SECURITY.md',
    ...readdirSync(join(root, 'docs'))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
    'docs/runbooks/webhook-ops.md',
  ]
  it.each(pages)('%s links only to what exists', (page) => {
    for (const [, target] of read(page).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)/g)) {
      expect(existsSync(resolve(root, dirname(page), target as string)), `${page} → ${target}`).toBe(true)
    }
  })
})
