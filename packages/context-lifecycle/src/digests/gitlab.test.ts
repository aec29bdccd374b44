import { describe, expect, it } from 'vitest'
import { digest, keysOf, sample, timeOf } from './digests.test-support.ts'

const project = {
  id: 5,
  path_with_namespace: 'acme/site',
  web_url: 'https://git.acme.example/acme/site',
  default_branch: 'main',
}
const user = { username: 'mia', name: 'Mia Krystof' }
const attributes = (more: object) => ({
  iid: 7,
  title: 'Faster pages',
  state: 'opened',
  created_at: '2026-01-01 10:00:00 UTC',
  updated_at: '2026-01-02 10:00:00 UTC',
  ...more,
})
const sha = 'a'.repeat(40)

/** Samples of the vendor's documentation (examples/events), and payloads composed after it. */
// biome-ignore format: a table, one event a line
const ROWS: readonly (readonly [string, unknown, string | undefined, object])[] = [
  ['push', sample('gitlab/push'), '2012-01-03T21:36:29.000Z', { who: 'John Smith', what: 'pushed 4 commits', title: 'fixed readme', defaultBranch: true }],
  ['issue', sample('gitlab/issue'), '2013-12-03T17:15:43.000Z', { who: 'root', what: 'opened', state: 'open', people: ['user1'], text: 'Create new API for manipulations with repository' }],
  ['merge_request', sample('gitlab/merge_request'), '2013-12-03T17:23:34.000Z', { who: 'root', what: 'opened', state: 'open', title: 'MS-Viewport' }],
  ['note', sample('gitlab/note'), '2015-05-17T18:21:36.000Z', { who: 'root', what: 'commented', state: 'open', text: 'This MR needs work.', link: 'http://example.com/gitlab-org/gitlab-test/merge_requests/1#note_1244' }],
  ['pipeline', sample('gitlab/pipeline'), '2016-08-12T15:26:29.000Z', { who: 'root', what: 'pipeline succeeded', state: 'success', defaultBranch: true }],
  ['merge_request', { object_kind: 'merge_request', user, project, object_attributes: attributes({ action: 'merge', state: 'merged' }) }, '2026-01-02T10:00:00.000Z', { who: 'mia', what: 'merged', state: 'merged' }],
  ['merge_request', { object_kind: 'merge_request', user, project, object_attributes: attributes({ action: 'update', oldrev: sha, draft: true }) }, '2026-01-02T10:00:00.000Z', { what: 'pushed new commits', state: 'draft' }],
  ['merge_request', { object_kind: 'merge_request', user, project, object_attributes: attributes({ action: 'approved' }) }, '2026-01-02T10:00:00.000Z', { what: 'approved' }],
  ['issue', { object_kind: 'issue', user, project, object_attributes: attributes({ action: 'update', severity: 'high' }), changes: { labels: { previous: [], current: [{ title: 'bug' }] } } }, '2026-01-02T10:00:00.000Z', { what: 'labelled bug', severity: 'error' }],
  ['issue', { object_kind: 'issue', user, project, object_attributes: attributes({ action: 'update' }), changes: { assignees: { previous: [], current: [{ username: 'alice' }] } }, assignees: [{ username: 'Alice' }] }, '2026-01-02T10:00:00.000Z', { what: 'assigned to alice', people: ['alice'] }],
  ['push', { object_kind: 'push', user_username: 'mia', project, ref: 'refs/heads/x', before: sha, after: '0'.repeat(40), commits: [] }, undefined, { who: 'mia', what: 'deleted the branch', state: 'deleted' }],
  ['tag_push', { object_kind: 'tag_push', user_username: 'mia', project, ref: 'refs/tags/v1', before: '0'.repeat(40), after: sha, commits: [], total_commits_count: 0 }, undefined, { what: 'created the tag', title: 'v1' }],
  ['job', { object_kind: 'build', user, project, project_id: 5, pipeline_id: 31, build_name: 'lint', build_status: 'failed', build_finished_at: '2026-01-02 10:00:00 UTC', ref: 'main', sha }, '2026-01-02T10:00:00.000Z', { what: 'job lint failed', state: 'failure', severity: 'error', defaultBranch: true }],
  ['deployment', { object_kind: 'deployment', user, project, deployment_id: 9, environment: 'production', status: 'success', status_changed_at: '2026-01-02 12:00:00 +0200', ref: 'main' }, '2026-01-02T10:00:00.000Z', { what: 'deployment to production succeeded', state: 'success' }],
  ['release', { object_kind: 'release', project, action: 'create', tag: 'v1', name: 'One', released_at: '2026-01-02 10:00:00 UTC' }, '2026-01-02T10:00:00.000Z', { what: 'released', state: 'published', title: 'One' }],
  ['emoji', { object_kind: 'emoji', user, project, event_type: 'award', object_attributes: { name: 'tada', awarded_on: '2026-01-02 10:00:00 UTC' }, issue: attributes({}) }, '2026-01-02T10:00:00.000Z', { what: 'reacted with :tada:', title: 'Faster pages' }],
  ['system', { event_name: 'project_create', path_with_namespace: 'acme/new', created_at: '2026-01-02T10:00:00Z' }, '2026-01-02T10:00:00.000Z', { what: 'project created' }],
]

describe('digests of GitLab events', () => {
  it.each(ROWS)('%s %#', (type, payload, at, expected) => {
    const made = digest('gitlab', payload, type)
    expect(made).toMatchObject(expected)
    expect(timeOf(made)).toBe(at)
  })

  it('refer to what descriptions and branches name, as GitLab writes it', () => {
    const object_attributes = attributes({
      action: 'open',
      description:
        'Closes #7, #8; after !9 and acme/docs!3, https://git.acme.example/acme/site/-/issues/4. SITE-2',
      source_branch: 'feature/SITE-1',
      source: { path_with_namespace: 'acme/site' },
      last_commit: { id: sha },
    })
    expect(
      keysOf(digest('gitlab', { object_kind: 'merge_request', project, object_attributes }, 'merge_request')),
    ).toEqual([
      `gitlab acme/site@${sha}`,
      'gitlab acme/site#7',
      'gitlab acme/site#8',
      'gitlab acme/site!9',
      'gitlab acme/docs!3',
      'gitlab acme/site#4',
      'jira SITE-2',
      'jira SITE-1',
      'gitlab acme/site@refs/heads/feature/SITE-1',
    ])
  })

  it("join a pipeline to its merge request, commit, branch and jobs' subject", () => {
    expect(keysOf(digest('gitlab', sample('gitlab/pipeline'), 'pipeline'))).toEqual([
      'gitlab gitlab-org/gitlab-test!1',
      'gitlab gitlab-org/gitlab-test@bcbb5ec396a2c0f828686f14fac9b80b780504f2',
      'gitlab projects/1/pipelines/31',
      'gitlab gitlab-org/gitlab-test@refs/heads/master',
    ])
  })
})
