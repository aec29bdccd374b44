import { describe, expect, it } from 'vitest'
import { bitbucket } from './bitbucket.ts'
import { request } from './fixtures.test-support.ts'

const repository = {
  type: 'repository',
  full_name: 'acme/site',
  links: { html: { href: 'https://bitbucket.org/acme/site' } },
}

/** Composed after https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/ (Push); not captured. */
const push = {
  push: {
    changes: [
      {
        old: { type: 'branch', name: 'main', target: { type: 'commit', hash: '1e65c05c1d5171631d92438a' } },
        new: { type: 'branch', name: 'main', target: { type: 'commit', hash: '709d658dc5b6d6afcd46049c' } },
        links: { html: { href: 'https://bitbucket.org/acme/site/branches/compare/709d658..1e65c05' } },
        created: false,
        forced: false,
        closed: false,
        commits: [
          { hash: '709d658dc5b6d6afcd46049c', type: 'commit', message: 'Make the page load faster\n' },
        ],
        truncated: false,
      },
    ],
  },
  repository,
  actor: { type: 'user', display_name: 'Mia Krystof', nickname: 'mia' },
}

/** Composed after https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/ (Pull request, Created); not captured. */
const pullRequest = {
  pullrequest: {
    id: 7,
    title: 'Faster pages',
    state: 'OPEN',
    source: { branch: { name: 'faster' } },
    destination: { branch: { name: 'main' } },
    links: { html: { href: 'https://bitbucket.org/acme/site/pull-requests/7' } },
  },
  repository,
  actor: push.actor,
}

const uuid = '5a4d2c1e-0000-4000-8000-000000000001'

describe('the Bitbucket adapter', () => {
  it('takes type and id from the headers, without reading the body', () => {
    const sent = request({ 'x-event-key': 'pullrequest:created', 'x-request-uuid': uuid })
    expect(bitbucket.readsBody).toBe(false)
    expect(bitbucket.type(sent)).toBe('pullrequest:created')
    expect(bitbucket.eventName('pullrequest:created', pullRequest)).toBe('pullrequest:created')
    expect(bitbucket.occurrence(sent)).toEqual({ kind: 'delivery-id', value: uuid })
  })

  it('knows an event again in a further attempt', () => {
    const attempt = (number: string) =>
      bitbucket.occurrence(request({ 'x-request-uuid': uuid, 'x-attempt-number': number }, push))
    expect(attempt('2')).toEqual(attempt('1'))
  })

  it('leaves the identity to the body where Data Center names only the request', () => {
    expect(
      bitbucket.occurrence(request({ 'x-event-key': 'repo:refs_changed', 'x-request-id': uuid })),
    ).toBeUndefined()
  })

  it('is limited with 5xx, the only status that it tries again after, and loses what an outage refuses', () => {
    expect(bitbucket.limitedStatus).toBe(503)
    expect(bitbucket.retries).toBe('never')
  })

  it('is about the pull request, whatever happened to it', () => {
    const expected = {
      key: 'acme/site/pull-requests/7',
      kind: 'pull_request',
      title: 'Faster pages',
      url: 'https://bitbucket.org/acme/site/pull-requests/7',
    }
    expect(bitbucket.subject('pullrequest:created', pullRequest)).toEqual(expected)
    expect(bitbucket.subject('pullrequest:comment_created', { ...pullRequest, comment: { id: 1 } })).toEqual(
      expected,
    )
  })

  it('is about the one ref that was pushed, also when it is gone', () => {
    expect(bitbucket.subject('repo:push', push)).toMatchObject({
      key: 'acme/site@refs/heads/main',
      kind: 'ref',
      url: 'https://bitbucket.org/acme/site/branches/compare/709d658..1e65c05',
    })
    const gone = { push: { changes: [{ old: { type: 'tag', name: 'v1' }, new: null }] }, repository }
    expect(bitbucket.subject('repo:push', gone)).toMatchObject({ key: 'acme/site@refs/tags/v1', kind: 'ref' })
  })

  it.each([
    [
      { repository, push: { changes: [{ new: { type: 'annotated_tag', name: 'v1' } }] } },
      'ref',
      'acme/site@refs/tags/v1',
    ],
    [
      { repository, push: { changes: [{ new: { name: 'a' } }, { new: { name: 'b' } }] } },
      'repository',
      'acme/site',
    ],
    [{ repository, issue: { id: 3, title: 'Slow' } }, 'issue', 'acme/site/issues/3'],
    [{ repository, commit: { hash: '709d658' }, comment: {} }, 'commit', 'acme/site@709d658'],
    [
      {
        repository,
        commit_status: {
          name: 'Unit tests',
          links: {
            commit: { href: 'https://api.bitbucket.org/2.0/repositories/acme/site/commit/9fec847784ab' },
          },
        },
      },
      'commit',
      'acme/site@9fec847784ab',
    ],
    [{ repository, fork: {} }, 'repository', 'acme/site'],
    [{ project: { key: 'WEB', name: 'Web' } }, 'project', 'projects/WEB'],
    [
      {
        repository: { slug: 'site', project: { key: 'WEB' } },
        changes: [{ ref: { id: 'refs/heads/main', displayId: 'main', type: 'BRANCH' } }],
      },
      'ref',
      'WEB/site@refs/heads/main',
    ],
    [
      {
        pullRequest: {
          id: 9,
          title: 'Faster',
          toRef: { repository: { slug: 'site', project: { key: 'WEB' } } },
        },
      },
      'pull_request',
      'WEB/site/pull-requests/9',
    ],
  ])('%j is about a %s', (payload, kind, key) => {
    expect(bitbucket.subject('', payload)).toMatchObject({ kind, key })
  })
})
