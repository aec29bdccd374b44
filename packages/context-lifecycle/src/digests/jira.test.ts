import { describe, expect, it } from 'vitest'
import { digest, keysOf, sample, timeOf } from './digests.test-support.ts'

const issue = (fields: object = {}) => ({
  id: '10021',
  self: 'https://acme.atlassian.net/rest/api/2/10021',
  key: 'SITE-21',
  fields: { summary: 'Login page is slow', status: { name: 'In Progress' }, ...fields },
})
const user = { displayName: 'Mia Krystof' }
const updated = (...items: object[]) => ({
  webhookEvent: 'jira:issue_updated',
  timestamp: 1_767_348_000_000,
  user,
  issue: issue(),
  changelog: { items },
})
const AT = '2026-01-02T10:00:00.000Z'

// biome-ignore format: a table, one event a line
const ROWS: readonly (readonly [string, unknown, string | undefined, object])[] = [
  ['created', sample('jira/issue_created'), '2022-10-11T08:22:19.153Z', { who: 'Mia Krystof', what: 'created', state: 'closed', title: 'New Issue', link: 'https://acme.atlassian.net/browse/HT-21' }],
  ['labelled', sample('jira/issue_updated'), '2022-10-11T10:35:56.414Z', { who: 'Mia Krystof', what: 'labelled test-label', state: 'open', people: ['mia krystof'] }],
  ['commented', sample('jira/comment_created'), '2022-10-11T09:46:53.600Z', { who: 'Mia Krystof', what: 'commented', text: 'New comment', state: '打开' }],
  ['work', sample('jira/worklog_created'), '2026-01-12T10:00:04.501Z', { who: 'Emma Richards', what: 'logged work: 1h 20m' }],
  ['sprint', sample('jira/sprint_started'), '2026-01-12T07:00:00.112Z', { what: 'started', state: 'active', title: 'SITE Sprint 7' }],
  ['status', updated({ field: 'resolution', toString: 'Done' }, { field: 'status', fieldId: 'status', fromString: 'To Do', toString: 'In Progress' }), AT, { what: 'moved from To Do to In Progress, resolved as Done', state: 'In Progress' }],
  ['assigned', updated({ field: 'assignee', fieldId: 'assignee', fromString: null, toString: 'Alice Doe' }), AT, { what: 'assigned to Alice Doe' }],
  ['unassigned', updated({ field: 'assignee', fromString: 'Alice Doe', toString: null }), AT, { what: 'unassigned Alice Doe' }],
  ['another field', updated({ field: 'Priorität', fieldId: 'priority', fromString: 'Low', toString: 'High' }), AT, { what: 'set Priorität to High' }],
  ['label removed', updated({ field: 'labels', fromString: 'a b', toString: 'a' }), AT, { what: 'removed the label b' }],
  ['without a changelog', { ...updated(), changelog: undefined, comment: { body: 'On it, [~accountid:5b10ac] and @bob' } }, AT, { what: 'commented', people: ['5b10ac', 'bob'] }],
  ['deleted', { webhookEvent: 'jira:issue_deleted', timestamp: 1_767_348_000_000, user, issue: issue() }, AT, { what: 'deleted', state: 'deleted' }],
  ['version', { webhookEvent: 'jira:version_released', timestamp: 1_767_348_000_000, version: { id: '3', name: '1.0', released: true } }, AT, { what: 'released', state: 'released', title: '1.0' }],
]

describe('digests of Jira events', () => {
  it.each(ROWS)('%s', (_what, payload, at, expected) => {
    const made = digest('jira', payload)
    expect(made).toMatchObject(expected)
    expect(timeOf(made)).toBe(at)
  })

  it('refer to linked and parent issues, and to the pull requests that a description links to', () => {
    const fields = {
      parent: { key: 'SITE-1' },
      issuelinks: [{ outwardIssue: { key: 'OPS-2' } }, { inwardIssue: { key: 'OPS-3' } }],
      description:
        'See https://github.com/acme/site/pull/7, [merge|https://gitlab.example.com/acme/site/-/merge_requests/8] and SITE-21, SITE-22 (UTF-8).',
    }
    expect(keysOf(digest('jira', { ...updated(), issue: issue(fields) }))).toEqual([
      'jira SITE-1',
      'jira OPS-2',
      'jira OPS-3',
      'github acme/site#7',
      'gitlab acme/site!8',
      'jira SITE-22',
    ])
  })

  it('refer to what a change joins: links, sprints, versions, the old key of a moved issue', () => {
    const made = digest(
      'jira',
      updated(
        { field: 'Link', to: 'OPS-9', toString: 'This issue blocks OPS-9' },
        { field: 'Sprint', from: '', to: '7, 8', toString: 'Sprint 7, Sprint 8' },
        { field: 'Fix Version', fieldId: 'fixVersions', to: '10000', toString: '1.0' },
        { field: 'Key', fromString: 'OLD-4', toString: 'SITE-21' },
      ),
    )
    expect(made.what).toBe('linked OPS-9, set Sprint to Sprint 7, Sprint 8, set Fix Version to 1.0')
    expect(keysOf(made)).toEqual([
      'jira OPS-9',
      'jira sprint/7',
      'jira sprint/8',
      'jira version/10000',
      'jira OLD-4',
    ])
  })
})
