/**
 * What the starter dictionaries promise (docs/dictionaries.md): structure only, the same bytes from the same
 * sources, small, and worth having.
 */
import { readFileSync } from 'node:fs'
import { loadSamples } from '@weir/core/samples'
import { TABLES_BYTES } from '@weir/core/training/entropy'
import { describe, expect, it } from 'vitest'
import { cover } from '../../packages/core/src/training/cover.ts'
import { leaks, type Sampled } from './leaks.ts'
import { measure } from './measure.ts'
import { buildDictionary, dictionaryFile, githubPayloads, sources, structureOf } from './sources.ts'
import { blank, textOf } from './structure.ts'

const all = sources()
/** Go and Rails write & < > of JSON strings as escapes. */
const readable = (text: string): string =>
  text.replaceAll(/\\u00(26|3c|3e)/g, (_, code) => String.fromCharCode(Number.parseInt(code, 16)))

/** What a dictionary repeats: all behind its entropy tables. */
function textOfTool(tool: string): string {
  const source = all.find((one) => one.tool === tool)
  if (source === undefined) throw new Error(`no source for ${tool}`)
  const bytes = readFileSync(dictionaryFile(tool))
  return bytes.subarray(bytes.length - structureOf(source).length).toString()
}

/** Every payload at hand, with whose it is. */
const payloads: Sampled[] = [
  ...githubPayloads().map(({ json }) => ({ source: accountOf(json), json })),
  ...loadSamples(new URL('../../examples/events/', import.meta.url)).map(({ tool, body }) => ({
    source: tool,
    json: JSON.parse(body.toString()),
  })),
]

function accountOf(payload: unknown): string {
  const { repository, organization, sender } = payload as Record<
    string,
    { login?: string; owner?: { login: string } }
  >
  return repository?.owner?.login ?? organization?.login ?? sender?.login ?? 'nobody'
}

/**
 * Values of the samples that are words of the sender's API, each looked at by a person: kinds, states and actions,
 * path words and host names of the vendor, the zero commit, the zero time. A name, an address, a number of
 * somebody's must never be added here. `~` stands for a space.
 */
const API_WORDS: Readonly<Record<string, string>> = {
  github: `
    CONTAINER DraftIssue Repository access_tokens advisories application assigned badge.svg
    branch_protection_rule changed code-scanning columns converted critical dependencies dismiss dismissed
    github.com https://api.github.com/installation/repositories installations issue_comment labeled non_admins
    notifications_enabled organizations projects ready_for_review refs/heads/main reopened review_requested
    secret_scanning_alert selected settings tarball timeline unknown unlocked uploaded uploads.github.com
    vulnerability waiting zipball 0000000000000000000000000000000000000000`,
  gitlab: `
    GitLab MergeRequest ProjectLabel application avatar can_be_merged cannot_be_merged gitlab.com identicon internal
    markdown merge_request_event merge_requests on_success pipeline pipelines secure.gravatar.com skipped sources staging
    unchecked unknown www.gravatar.com 0000000000000000000000000000000000000000`,
  jira: `
    In~Progress Medium PLUGIN_LICENSE_ERROR Progress Sprint application atlassian avatar comment_created
    avatar-management--avatars.us-west-2.prod.public.atl-paas.net indeterminate initials issue_updated
    2Favatar-management--avatars.us-west-2.prod.public.atl-paas.net
    jira:issue_updated primaryAction priorities released secure.gravatar.com software sprint_started statuscategory
    universal_avatar worklog_created xsmall yellow`,
  alertmanager: `
    0001-01-01T00 0001-01-01T00:00:00Z application container critical firing g0.expr runbooks service warning`,
}

const allowedFor = (tool: string): ReadonlySet<string> =>
  new Set(
    (API_WORDS[tool] ?? '')
      .split(/\s+/)
      .filter((word) => word !== '')
      .map((word) => word.replaceAll('~', ' ')),
  )

describe.each(all)('the starter dictionary of $tool', (source) => {
  const { tool, vocabulary } = source
  const text = textOfTool(tool)

  it('is what its sources make, to the byte', () => {
    expect(buildDictionary(source).equals(readFileSync(dictionaryFile(tool)))).toBe(true)
  })

  it('holds no value of any sample but the API words that a person has looked at, and all of those', () => {
    expect(leaks(text, payloads, new Set())).toEqual([...allowedFor(tool)].sort())
  })

  it('has no word in it that the vocabulary does not list', () => {
    const tail = vocabulary.extras.join('') + vocabulary.headers.join('')
    expect(text.endsWith(tail)).toBe(true)
    const listed = [...vocabulary.keys, ...vocabulary.words, ...vocabulary.urlWords, ...vocabulary.prefixes]
    const words = new Set(listed.flatMap((word) => word.split(/\W+/)))
    const others = ['20', '20Z', 'UTC', 'git', 'diff', 'patch', 'true', 'false', 'null', '0', '']
    const found = new Set(readable(text.slice(0, -tail.length)).split(/\W+/))
    expect([...found].filter((word) => !words.has(word) && !others.includes(word))).toEqual([])
  })

  it('has no number in it that could be an id, no address and no time', () => {
    const harmless = readable(text)
      .replaceAll('0'.repeat(40), '')
      .replaceAll(/customfield_100\d\d/g, '')
      .replaceAll('0001-01-01T00:00:00Z', '')
    expect(harmless.match(/\d{4,}/g)).toBeNull()
    expect(
      harmless.match(/[\w.+-]+@[\w-]+\.\w+/g)?.filter((found) => !/^git@git(hub|lab)\.com$/.test(found)) ??
        [],
    ).toEqual([])
    expect(harmless.match(/\b[0-9a-f]{12,}\b/g)).toBeNull()
  })

  it('is small, and but for 512 bytes of tables all of it is text that can be looked at', () => {
    const bytes = readFileSync(dictionaryFile(tool))
    expect(bytes.length).toBeLessThanOrEqual(112 * 1024)
    expect(bytes.length - Buffer.byteLength(text)).toBeLessThanOrEqual(TABLES_BYTES)
    // Printable ASCII, the line end behind headers, and what stands for names that are folded.
    const others = Array.from(text).filter((c) => (c < ' ' && c !== '\n') || c > '~')
    expect(new Set(others)).toEqual(
      new Set(tool === 'github' ? ['\x01', '\x02', '\x03', '\x04', '\x05'] : []),
    )
  })
})

// GitHub's source is a package of real payloads, blanked while building.
describe.each(all.filter(({ tool }) => tool !== 'github'))('the committed structure of $tool', (source) => {
  it('has no values left to take out', () => {
    expect(source.payloads.length).toBeGreaterThan(0)
    for (const { json } of source.payloads) expect(blank(json, source.vocabulary)).toEqual(json)
  })
})

describe('the check for values', () => {
  const github = textOfTool('github')
  const planted = (value: string) =>
    leaks(`${github.slice(0, 20_000)}"${value}"${github.slice(20_000)}`, payloads, allowedFor('github'))

  it.each([
    ['a login', 'Codertocat'],
    ['a repository', 'Hello-World'],
    ['a commit', 'ec26c3e57ca3a959ca5aad62de7213c562f8c821'],
    ['a time', '2019-05-15T15:20:18Z'],
    ['an id', '21031067'],
    ['a node id', 'MDQ6VXNlcjIxMDMxMDY3'],
    ['an address', '21031067+Codertocat@users.noreply.github.com'],
    ['a title', 'Spelling error in the README file'],
    ['a value inside other text', 'https://github.com/Codertocat/Hello-World/pull/2'],
    ['a Jira account', '5b10ac8d82e05b22cc7d4ef5'],
    ['a fingerprint of an alert', 'e0cddec14467f3ac'],
  ])('finds %s', (_what, value) => {
    expect(planted(value)).not.toEqual([])
  })

  it('finds what a careless word in the vocabulary lets through', () => {
    const [source] = all
    if (source === undefined) throw new Error('no source')
    const careless = {
      ...source.vocabulary,
      urlWords: new Set([...source.vocabulary.urlWords, 'Hello-World']),
    }
    const dictionary = structureOf({ ...source, vocabulary: careless }).toString()
    expect(leaks(dictionary, payloads, allowedFor('github'))).toContain('Hello-World')
  })

  it('finds hundreds in a dictionary of plain payloads', () => {
    const plain = githubPayloads().map(({ json }) => JSON.stringify(json))
    const dictionary = cover(plain, { size: 48 * 1024, window: 512, gram: 8 })
    expect(leaks(dictionary, payloads, allowedFor('github')).length).toBeGreaterThan(100)
  })
})

describe('taking values out', () => {
  const vocabulary = all[0]?.vocabulary
  if (vocabulary === undefined) throw new Error('no vocabulary')

  it.each([
    [{ login: 'octocat', id: 7, site_admin: false }, '{"login":"","id":,"site_admin":false}'],
    [{ html_url: 'https://github.com/acme/site/pull/7' }, '{"html_url":"https://github.com///pull/"}'],
    [
      { diff_url: 'https://github.com/acme/site/pull/7.diff' },
      '{"diff_url":"https://github.com///pull/.diff"}',
    ],
    [
      { events_url: 'https://api.github.com/users/acme/events{/privacy}' },
      '{"events_url":"https://api.github.com/users//events{/privacy}"}',
    ],
    [{ html_url: 'https://internal.acme.example/secret' }, '{"html_url":"https:///"}'],
    [{ created_at: '2026-01-01T10:00:00Z' }, '{"created_at":"20Z"}'],
    [{ ref: 'refs/heads/acme-secret' }, '{"ref":"refs/heads/"}'],
    [{ node_id: 'MDQ6VXNlcjIxMDMxMDY3' }, '{"node_id":"MDQ6VXNlcj"}'],
    [{ state: 'open', title: 'Open sesame' }, '{"state":"open","title":""}'],
    [{ acme_secret_field: 'x', id: 0 }, '{"id":0}'],
    [{ labels: [{ name: 'a' }, { name: 'b' }, { name: 'c' }] }, '{"labels":[{"name":""},{"name":""}]}'],
  ])('makes of %j %s', (json, expected) => {
    expect(textOf(blank(json, vocabulary), false)).toBe(expected)
  })

  it('changes nothing the second time', () => {
    for (const { json } of payloads) {
      const once = blank(json, vocabulary)
      expect(blank(once, vocabulary)).toEqual(once)
    }
  })
})

describe('together', () => {
  it('they stay below 400 KiB', () => {
    const bytes = all.reduce((sum, { tool }) => sum + readFileSync(dictionaryFile(tool)).length, 0)
    expect(bytes).toBeLessThanOrEqual(400 * 1024)
  })

  it('they are worth having: GitHub events of types not learned from pack at least 15 to 1', () => {
    const [github] = all
    if (github === undefined) throw new Error('no source')
    const rows = measure(github, 6)
    const ratio = (what: string) => {
      const row = rows.find((one) => one.what === what)
      return row === undefined ? Number.NaN : row.raw / row.packed
    }
    expect(ratio('held out')).toBeGreaterThan(15)
    expect(ratio('as shipped')).toBeGreaterThan(ratio('held out'))
    expect(ratio('no dictionary')).toBeLessThan(7)
  })
})
