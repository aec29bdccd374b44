import { adapterFor } from '@weir/core/adapters/table'
import { describe, expect, it } from 'vitest'
import { referenceOfLink } from './links.ts'

const sha = 'a'.repeat(40)
const gh = { repository: { full_name: 'acme/site' } }
const gl = { project: { path_with_namespace: 'acme/sub/site' } }
const bb = { repository: { full_name: 'acme/site' } }

/** A link, the tool, and a payload whose adapter names the same thing: the keys must be the same. */
// biome-ignore format: a table, one link a line
const SAME: readonly (readonly [address: string, tool: string, type: string, payload: object])[] = [
  ['https://github.com/acme/site/pull/7/files', 'github', 'pull_request', { ...gh, pull_request: { number: 7 } }],
  ['https://github.com/acme/site/issues/7', 'github', 'issues', { ...gh, issue: { number: 7 } }],
  ['https://github.com/acme/site/discussions/7?x#y', 'github', 'discussion', { ...gh, discussion: { number: 7 } }],
  [`https://github.com/acme/site/commit/${sha}`, 'github', 'status', { ...gh, sha }],
  ['https://github.com/acme/site/actions/runs/77/job/5', 'github', 'workflow_run', { ...gh, workflow_run: { id: 77 } }],
  ['https://github.com/acme/site/releases/tag/v1.2.', 'github', 'release', { ...gh, release: { tag_name: 'v1.2' } }],
  ['https://github.com/acme/site/security/dependabot/3', 'github', 'dependabot_alert', { ...gh, alert: { number: 3 } }],
  ['https://code.acme.example/acme/site/pull/7', 'github', 'pull_request', { ...gh, pull_request: { number: 7 } }],
  ['https://gitlab.com/acme/sub/site/-/merge_requests/7', 'gitlab', 'merge_request', { ...gl, object_kind: 'merge_request', object_attributes: { iid: 7 } }],
  ['https://code.acme.example/acme/sub/site/merge_requests/7', 'gitlab', 'merge_request', { ...gl, object_kind: 'merge_request', object_attributes: { iid: 7 } }],
  ['https://code.acme.example/acme/sub/site/-/issues/7', 'gitlab', 'issue', { ...gl, object_kind: 'issue', object_attributes: { iid: 7 } }],
  ['https://gitlab.acme.example/acme/sub/site/issues/7', 'gitlab', 'issue', { ...gl, object_kind: 'issue', object_attributes: { iid: 7 } }],
  [`https://gitlab.com/acme/sub/site/-/commit/${sha}`, 'gitlab', 'note', { ...gl, object_kind: 'note', commit: { id: sha } }],
  ['https://gitlab.com/acme/sub/site/-/pipelines/31', 'gitlab', 'pipeline', { ...gl, object_kind: 'pipeline', object_attributes: { id: 31 } }],
  ['https://gitlab.com/acme/sub/site/-/releases/v1', 'gitlab', 'release', { ...gl, object_kind: 'release', tag: 'v1' }],
  ['https://bitbucket.org/acme/site/pull-requests/7/diff', 'bitbucket', 'pullrequest:created', { ...bb, pullrequest: { id: 7 } }],
  ['https://bitbucket.org/acme/site/issues/7/slow', 'bitbucket', 'issue:created', { ...bb, issue: { id: 7 } }],
  [`https://bitbucket.org/acme/site/commits/${sha}`, 'bitbucket', 'repo:commit_comment_created', { ...bb, commit: { hash: sha } }],
  ['https://git.acme.example/projects/WEB/repos/site/pull-requests/9/overview', 'bitbucket', 'pr:opened', { pullRequest: { id: 9, toRef: { repository: { slug: 'site', project: { key: 'WEB' } } } } }],
  ['https://acme.atlassian.net/browse/SITE-21', 'jira', 'jira:issue_updated', { issue: { key: 'SITE-21' } }],
  ['https://tools.acme.example/jira/browse/SITE-21?focusedCommentId=1', 'jira', 'jira:issue_updated', { issue: { key: 'SITE-21' } }],
  ['https://acme.pagerduty.com/incidents/PGR0VU2', 'pagerduty', 'incident.triggered', { event: { resource_type: 'incident', data: { id: 'PGR0VU2' } } }],
]

describe('links to subjects', () => {
  it.each(SAME)('%s is what %s calls by the same key', (address, tool, type, payload) => {
    const key = adapterFor(tool)?.subject(type, payload)?.key
    expect(key).toBeDefined()
    expect(referenceOfLink(address, 'generic', undefined)).toEqual({ tool, key })
  })

  it.each([
    'https://github.com/orgs/acme/discussions/7',
    'https://github.com/acme/site',
    'https://github.com/acme/site/commit/abc1234',
    'https://example.com/acme/site/issues/7',
    'https://example.com/browse/UTF-8',
    'https://notgithub.com/acme/site/issues/7',
    'https://github.com.evil.example@x/%',
    'https://',
  ])('%s leads to none', (address) => {
    expect(referenceOfLink(address, 'generic', undefined)).toBeUndefined()
  })

  it("knows an installation by the event's own host", () => {
    const address = 'https://git.acme.example/acme/site/issues/7'
    expect(referenceOfLink(address, 'github', 'git.acme.example')).toEqual({
      tool: 'github',
      key: 'acme/site#7',
    })
    expect(referenceOfLink(address, 'gitlab', 'git.acme.example')).toEqual({
      tool: 'gitlab',
      key: 'acme/site#7',
    })
    expect(referenceOfLink(address, 'jira', 'git.acme.example')).toBeUndefined()
  })
})
