import { describe, expect, it } from 'vitest'
import { digest, keysOf, timeOf } from './digests.test-support.ts'

const repository = { full_name: 'acme/site', links: { html: { href: 'https://bitbucket.org/acme/site' } } }
const actor = { display_name: 'Mia Krystof', nickname: 'mia' }
const sha = (digit: string) => digit.repeat(40)
const pullrequest = (more: object = {}) => ({
  id: 7,
  title: 'Faster pages',
  description: 'For SITE-2',
  state: 'OPEN',
  source: { branch: { name: 'SITE-1-faster' }, repository: { full_name: 'acme/site' } },
  created_on: '2026-01-01T10:00:00.000000+00:00',
  updated_on: '2026-01-02T12:00:00.123456+02:00',
  reviewers: [{ nickname: 'Alice' }],
  ...more,
})
const pr = (more: object, rest: object = {}) => ({
  pullrequest: pullrequest(more),
  repository,
  actor,
  ...rest,
})
const change = (more: object) => ({
  push: {
    changes: [
      {
        new: {
          type: 'branch',
          name: 'main',
          target: { hash: sha('7'), date: '2026-01-02T10:00:00+00:00', message: 'Faster\n' },
        },
        old: { type: 'branch', name: 'main' },
        commits: [{ hash: sha('7'), message: 'Merged in faster (pull request #7)\n\nSITE-3, fixes #5' }],
        ...more,
      },
    ],
  },
  repository,
  actor,
})
/** Composed after the vendor's documentation of Cloud and of Data Center. */
const dataCenter = {
  actor: { name: 'admin', displayName: 'Administrator' },
  date: '2026-01-02T12:00:00+0200',
  pullRequest: {
    id: 9,
    title: 'Faster',
    state: 'MERGED',
    fromRef: { displayId: 'faster', latestCommit: sha('c') },
    toRef: { repository: { slug: 'site', project: { key: 'WEB' } } },
    reviewers: [{ user: { name: 'Bob' } }],
  },
}
const AT = '2026-01-02T10:00:00.000Z'

// biome-ignore format: a table, one event a line
const ROWS: readonly (readonly [string, unknown, string | undefined, object])[] = [
  ['pullrequest:created', pr({}), '2026-01-01T10:00:00.000Z', { who: 'mia', what: 'opened', state: 'open', text: 'For SITE-2', people: ['alice'] }],
  ['pullrequest:fulfilled', pr({ state: 'MERGED' }), '2026-01-02T10:00:00.123Z', { what: 'merged', state: 'merged' }],
  ['pullrequest:rejected', pr({ state: 'DECLINED' }), '2026-01-02T10:00:00.123Z', { what: 'declined', state: 'closed' }],
  ['pullrequest:approved', pr({}, { approval: { date: '2026-01-02T10:00:00+00:00' } }), AT, { what: 'approved', state: 'open' }],
  ['pullrequest:comment_created', pr({}, { comment: { created_on: '2026-01-02T10:00:00+00:00', content: { raw: 'Nice, @bob' } } }), AT, { what: 'commented', text: 'Nice, @bob', people: ['bob', 'alice'] }],
  ['repo:push', change({}), AT, { who: 'mia', what: 'pushed 1 commit', title: 'Faster' }],
  ['repo:push', change({ new: null, closed: true, commits: [] }), undefined, { what: 'deleted the branch', state: 'deleted' }],
  ['repo:push', change({ forced: true }), AT, { what: 'force-pushed' }],
  ['repo:commit_status_updated', { repository, actor, commit_status: { name: 'Unit tests', state: 'FAILED', updated_on: '2026-01-02T10:00:00+00:00', refname: 'main', url: 'https://ci.example/1' } }, AT, { what: 'Unit tests failed', state: 'failure', severity: 'error', link: 'https://ci.example/1' }],
  ['issue:updated', { repository, actor, issue: { id: 3, title: 'Slow', state: 'resolved', updated_on: '2026-01-02T10:00:00+00:00' }, changes: { status: { old: 'new', new: 'resolved' } } }, AT, { what: 'moved from new to resolved', state: 'resolved' }],
  ['pr:merged', dataCenter, AT, { who: 'admin', what: 'merged', state: 'merged', people: ['bob'] }],
  ['repo:refs_changed', { actor: dataCenter.actor, date: dataCenter.date, repository: { slug: 'site', project: { key: 'WEB' } }, changes: [{ ref: { id: 'refs/heads/x', displayId: 'x', type: 'BRANCH' }, toHash: sha('0'), type: 'DELETE' }] }, AT, { what: 'deleted the branch', state: 'deleted', title: 'x' }],
]

describe('digests of Bitbucket events', () => {
  it.each(ROWS)('%s %#', (type, payload, at, expected) => {
    const made = digest('bitbucket', payload, type)
    expect(made).toMatchObject(expected)
    expect(timeOf(made)).toBe(at)
  })

  it('tell pull requests from issues, which have numbers of their own', () => {
    expect(keysOf(digest('bitbucket', change({}), 'repo:push'))).toEqual([
      'bitbucket acme/site/pull-requests/7',
      'jira SITE-3',
      'bitbucket acme/site/issues/5',
      `bitbucket acme/site@${sha('7')}`,
    ])
  })

  it('refer to the branch and the Jira issues of a pull request', () => {
    expect(keysOf(digest('bitbucket', pr({}), 'pullrequest:created'))).toEqual([
      'jira SITE-2',
      'jira SITE-1',
      'bitbucket acme/site@refs/heads/SITE-1-faster',
    ])
    expect(keysOf(digest('bitbucket', dataCenter, 'pr:merged'))).toEqual([
      `bitbucket WEB/site@${sha('c')}`,
      'bitbucket WEB/site@refs/heads/faster',
    ])
  })
})
