import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { describeConfig, redactedConfig } from './describe.ts'
import { parseDuration } from './duration.ts'
import { OTHER_VARIABLES } from './environment.ts'
import { loadConfig } from './load.ts'
import { REFUSED, WITHOUT_EFFECT } from './not-yet.ts'
import { valueIn } from './outline.ts'
import { configurationPage } from './page.ts'
import { FIT, PRODUCTION } from './rules.ts'
import { parseSize } from './size.ts'
import { TOOLS } from './tools.ts'

const fields = describeConfig()
const byPath = new Map(fields.map((field) => [field.path, field]))

describe('the description of the configuration', () => {
  it('has every field of a loaded configuration, and no other', async () => {
    const { config } = await loadConfig({ env: {}, cores: 1 })
    const leaves = (node: unknown, path: string): string[] => {
      if (typeof node !== 'object' || node === null || Array.isArray(node)) return [path]
      return Object.entries(node).flatMap(([key, value]) =>
        leaves(value, path === '' ? key : `${path}.${key}`),
      )
    }
    const loaded = leaves(config, '').filter((path) => path !== 'production')
    expect(loaded.sort()).toEqual([...byPath.keys()].sort())
  })

  it('says for each what it means, in a sentence', () => {
    for (const { path, meaning, allowed, type, unit } of fields) {
      expect(meaning, path).toMatch(/\.$/)
      expect(allowed, path).not.toBe('')
      if (type === 'duration') expect(unit, path).toBe('ms')
      if (type === 'size') expect(unit, path).toBe('bytes')
    }
  })

  it('names the default that is really used', async () => {
    const { config } = await loadConfig({ env: {}, cores: 1 })
    // Worked out from other fields; their values are in the tests of loading.
    const derived = /^(as |the longer of |`spool`|a quarter|true, in|127\.0\.0\.1, in)/
    for (const { path, type, default: text } of fields) {
      if (derived.test(text)) continue
      const value = valueIn(config, path.split('.'))
      if (type === 'duration' && text !== 'null') expect(parseDuration(text), path).toBe(value)
      else if (type === 'size') expect(parseSize(text), path).toBe(value)
      else if (type === 'list') expect(value, path).toEqual([])
      else expect(text.toLowerCase(), path).toBe(String(value))
    }
  })

  it('gives each variable one meaning, or one to several tools', () => {
    const names = fields.flatMap((field) => field.env)
    const twice = names.filter((name, index) => names.indexOf(name) !== index)
    expect(twice).toEqual(['HMAC_SECRET'])
    for (const name of Object.keys(OTHER_VARIABLES)) expect(names).not.toContain(name)
  })

  it('knows every path that the rules and the table of what is missing speak of', () => {
    const paths = [...FIT, ...PRODUCTION].flatMap((rule) => rule.about)
    for (const path of [...paths, ...[...REFUSED, ...WITHOUT_EFFECT].map((row) => row.path)]) {
      expect(
        [...byPath.keys()].some((known) => known === path || known.startsWith(`${path}.`)),
        path,
      ).toBe(true)
    }
  })

  it('calls secret what is one', () => {
    expect(fields.filter((field) => field.secret).map((field) => field.path)).toEqual([
      'webhook.redis.sentinel_password',
      'webhook.redis.password',
      ...TOOLS.map((tool) => `webhook.security.signature_secrets.${tool}`),
      'webhook.security.tenant_secrets',
      'webhook.security.encryption_master_key',
      'webhook.security.encryption_previous_master_keys',
      'webhook.ops.token',
      'webhook.context_lifecycle.s3.access_key_id',
      'webhook.context_lifecycle.s3.secret_access_key',
      'webhook.context_lifecycle.s3.session_token',
      'webhook.ai.openai_api_key',
    ])
  })
})

describe('docs/configuration.md', () => {
  const page = configurationPage()

  it('is what scripts/docs-config.ts writes', async () => {
    const written = await readFile(new URL('../../../../docs/configuration.md', import.meta.url), 'utf8')
    expect(written, 'run: node scripts/docs-config.ts').toBe(page)
  })

  it('has every field and every variable, and none that does not exist', () => {
    const tables = page.split('\n## ').slice(1)
    const documented = tables.flatMap((chapter) => {
      const [name = ''] = chapter.split('\n')
      if (!/^(webhook|observability)/.test(name)) return []
      const keys = [...chapter.matchAll(/^\| `([^`]+)` \|/gm)].map((match) => `${name}.${match[1]}`)
      return keys.flatMap((path) =>
        path.includes('<tool>') ? TOOLS.map((tool) => path.replace('<tool>', tool)) : [path],
      )
    })
    expect(documented.sort()).toEqual([...byPath.keys()].sort())
    const variables = tables.find((chapter) => chapter.startsWith('Environment variables')) ?? ''
    const names = [...variables.matchAll(/^\| `([A-Z0-9_]+)` \|/gm)].map((match) => match[1])
    const known = [...new Set([...fields.flatMap((field) => field.env), ...Object.keys(OTHER_VARIABLES)])]
    expect(names.sort()).toEqual(known.sort())
  })
})

describe('a redacted configuration', () => {
  it('has every secret hidden and everything else as it was', async () => {
    const secrets = {
      REDIS_PASSWORD: 'hidden-1',
      GITHUB_WEBHOOK_SECRET: 'hidden-2',
      HMAC_SECRET: 'hidden-3',
      OPS_TOKEN: 'hidden-4',
      ENCRYPTION_MASTER_KEY: `hidden-5${'x'.repeat(32)}`,
      OPENAI_API_KEY: 'hidden-6',
      AWS_ACCESS_KEY_ID: 'hidden-7',
      AWS_SECRET_ACCESS_KEY: 'hidden-8',
      REDIS_URL: 'redis://me:hidden-9@redis:6379/0',
      PROMETHEUS_PUSHGATEWAY: 'http://me:hidden-10@push:9091',
    }
    const flags = { 'webhook.security.signature_secrets.jira': ['hidden-11', 'hidden-12'] }
    const { config } = await loadConfig({ env: secrets, cores: 1, flags })
    const before = structuredClone(config)
    const redacted = redactedConfig(config)
    expect(JSON.stringify(redacted)).not.toContain('hidden')
    expect(config).toEqual(before)
    expect(redacted.webhook.redis.url).toBe('redis://***:***@redis:6379/0')
    expect(redacted.webhook.security.signature_secrets).toEqual({
      ...Object.fromEntries(TOOLS.map((tool) => [tool, null])),
      github: ['***'],
      jira: ['***', '***'],
      alertmanager: ['***'],
      generic: ['***'],
    })
    expect(redacted.webhook.consumer).toEqual(config.webhook.consumer)
    expect(redacted.production).toBe(false)
  })
})
