import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { AdapterRequest } from './adapters/adapter.ts'
import { parseBody } from './adapters/parse.ts'
import { adapterFor } from './adapters/table.ts'
import { locatorOf, type OccurrenceKey } from './event.ts'
import { loadSamples, type Sample } from './samples.ts'

const samples = loadSamples(new URL('../../../examples/events/', import.meta.url))

function seen(sample: Sample) {
  const adapter = adapterFor(sample.tool)
  if (adapter === undefined) throw new Error(`no adapter for ${sample.tool}`)
  const parsed = parseBody(adapter, sample.headers['content-type'], sample.body)
  if (!parsed.ok) throw new Error(parsed.reason)
  const request: AdapterRequest = { headers: sample.headers, body: sample.body, json: parsed.json }
  const type = adapter.type(request)
  return {
    occurrence: adapter.occurrence(request),
    name: adapter.eventName(type, parsed.json),
    subject: adapter.subject(type, parsed.json)?.key,
  }
}

describe('the sample events', () => {
  it('are of every tool that has a fixed form', () => {
    expect(new Set(samples.map((sample) => sample.tool))).toEqual(
      new Set(['github', 'jira', 'gitlab', 'alertmanager']),
    )
    expect(new Set(samples.map((sample) => `${sample.tool}/${sample.name}`)).size).toBe(samples.length)
  })

  it('are understood by the adapters', () => {
    const table = samples.map((sample) => [sample.tool, seen(sample).name, seen(sample).subject].join(' '))
    expect(table).toMatchInlineSnapshot(`
      [
        "github push Codertocat/Hello-World@refs/heads/master",
        "github pull_request.opened Codertocat/Hello-World#2",
        "github issues.opened Codertocat/Hello-World#1",
        "github issue_comment.created Codertocat/Hello-World#1",
        "github check_run.completed Codertocat/Hello-World@ec26c3e57ca3a959ca5aad62de7213c562f8c821",
        "github release.published Codertocat/Hello-World/releases/0.0.1",
        "jira jira:issue_created HT-21",
        "jira jira:issue_updated HT-20",
        "jira comment_created HT-21",
        "jira worklog_created issue/10042",
        "jira sprint_started sprint/7",
        "gitlab push mike/diaspora@refs/heads/master",
        "gitlab merge_request.open gitlabhq/gitlab-test!1",
        "gitlab note gitlab-org/gitlab-test!1",
        "gitlab issue.open gitlabhq/gitlab-test#23",
        "gitlab pipeline.success gitlab-org/gitlab-test/pipelines/31",
        "alertmanager alert.firing {}:{alertname="WebhookHighErrorRate"}",
        "alertmanager alert.firing {}:{alertname="WebhookHighErrorRate"}",
        "alertmanager alert.firing {}:{alertname="WebhookHighErrorRate"}",
        "alertmanager alert.resolved {}:{alertname="WebhookHighErrorRate"}",
        "alertmanager alert.firing {}:{alertname="WebhookConsumerLag"}",
      ]
    `)
  })

  it('each have an identity of their own', () => {
    const keys = samples.map((sample) =>
      locatorOf('default', sample.tool, seen(sample).occurrence as OccurrenceKey),
    )
    expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(samples.length)
  })

  it('get a new identity from a new delivery id', () => {
    for (const sample of samples) {
      if (sample.deliveryIdHeader === undefined) continue
      const again = { ...sample, headers: { ...sample.headers, [sample.deliveryIdHeader]: 'another' } }
      expect(seen(again).occurrence).toEqual({ kind: 'delivery-id', value: 'another' })
    }
  })
})

describe('loading samples', () => {
  const entry = {
    tool: 'x',
    name: 'x',
    file: 'samples/x/x.json',
    headers: {},
    source: 's',
    sha256: '0'.repeat(64),
  }

  function load(manifest: object): Sample[] {
    const directory = mkdtempSync(join(tmpdir(), 'weir-samples-'))
    try {
      mkdirSync(join(directory, 'samples/x'), { recursive: true })
      writeFileSync(join(directory, 'samples/x/x.json'), '{}')
      writeFileSync(join(directory, 'index.json'), JSON.stringify(manifest))
      return loadSamples(pathToFileURL(`${directory}/`))
    } finally {
      rmSync(directory, { recursive: true })
    }
  }

  it('refuses a file that was changed, saying which', () => {
    expect(() => load({ sources: {}, samples: [entry] })).toThrow(/samples\/x\/x\.json is not the file/)
  })

  it('refuses a file outside its directory', () => {
    expect(() => load({ sources: {}, samples: [{ ...entry, file: 'samples/../../x.json' }] })).toThrow(/file/)
  })

  it('refuses a sample without a source', () => {
    const sha256 = createHash('sha256').update('{}').digest('hex')
    expect(() => load({ sources: {}, samples: [{ ...entry, sha256 }] })).toThrow(/no source 's'/)
  })
})
