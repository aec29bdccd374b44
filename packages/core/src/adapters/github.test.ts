import { describe, expect, it } from 'vitest'
import { githubExamples, request } from './fixtures.test-support.ts'
import { github } from './github.ts'

const examples = githubExamples()

const find = (name: string): unknown => {
  const found = examples.find((event) => event.name === name)?.examples[0]
  if (found === undefined) throw new Error(`no example of ${name}`)
  return found
}

describe('the GitHub adapter', () => {
  it('takes type and delivery id from the headers, without reading the body', () => {
    const id = '72d3162e-cc78-11e3-81ab-4c9367dc0958'
    const sent = request({ 'x-github-event': 'pull_request', 'x-github-delivery': id })
    expect(github.readsBody).toBe(false)
    expect(github.type(sent)).toBe('pull_request')
    expect(github.occurrence(sent)).toEqual({ kind: 'delivery-id', value: id })
  })

  it.each([
    ['missing', {}],
    ['empty', { 'x-github-delivery': '' }],
    ['longer than 256 characters', { 'x-github-delivery': 'a'.repeat(257) }],
  ])('falls back to the body when the delivery id is %s', (_what, headers) => {
    expect(github.occurrence(request(headers))).toBeUndefined()
  })

  it('believes ids with any characters: they are hashed, never pasted', () => {
    const value = '../{webhook-events}:\u0001%00'
    expect(github.occurrence(request({ 'x-github-delivery': value }))).toEqual({ kind: 'delivery-id', value })
  })

  it.each([['with space'], ['a\nb'], ['{x}'], [''], ['a'.repeat(65)]])(
    'does not take %j for a type',
    (type) => {
      expect(github.type(request({ 'x-github-event': type }))).toBe('unknown')
    },
  )

  it('adds the action to the name, where there is one', () => {
    expect(github.eventName('pull_request', { action: 'opened' })).toBe('pull_request.opened')
    expect(github.eventName('push', { ref: 'refs/heads/main' })).toBe('push')
    expect(github.eventName('issues', { action: 7 })).toBe('issues')
    expect(github.eventName('issues', { action: 'x y' })).toBe('issues')
  })

  it('keeps no signature', () => {
    expect(github.keptHeaders.filter((name) => name.includes('signature'))).toEqual([])
  })

  it.each([
    ['pull_request', 'pull_request', 'Codertocat/Hello-World#2'],
    ['pull_request_review_comment', 'pull_request', 'Codertocat/Hello-World#2'],
    ['issues', 'issue', 'Codertocat/Hello-World#1'],
    ['push', 'ref', 'Codertocat/Hello-World@refs/tags/simple-tag'],
    ['create', 'ref', 'Codertocat/Hello-World@refs/tags/simple-tag'],
    ['check_run', 'commit', 'Codertocat/Hello-World@ec26c3e57ca3a959ca5aad62de7213c562f8c821'],
    ['status', 'commit', 'Codertocat/Hello-World@6113728f27ae82c7b1a177c8d03f9e96e0adf246'],
    ['release', 'release', 'Codertocat/Hello-World/releases/0.0.1'],
    ['star', 'repository', 'Codertocat/Hello-World'],
    ['organization', 'organization', 'Octocoders'],
    ['team', 'team', 'Octocoders/github'],
    ['security_advisory', 'security_advisory', 'GHSA-rf4j-j272-fj86'],
    ['installation', 'installation', 'installation/2'],
    ['marketplace_purchase', 'account', 'username'],
  ])('%s is about a %s: %s', (type, kind, key) => {
    expect(github.subject(type, find(type))).toMatchObject({ kind, key })
  })

  it('sees a comment on a pull request as being about the pull request', () => {
    const onIssue = find('issue_comment') as { issue: object }
    const onPull = {
      ...onIssue,
      issue: { ...onIssue.issue, pull_request: { url: 'https://api.github.com/x' } },
    }
    expect(github.subject('issue_comment', onPull)?.kind).toBe('pull_request')
    expect(github.subject('issue_comment', onIssue)?.kind).toBe('issue')
    expect(github.subject('issue_comment', onPull)?.key).toBe(github.subject('issue_comment', onIssue)?.key)
  })

  it('joins a workflow job to its run', () => {
    const repository = { full_name: 'acme/site' }
    expect(
      github.subject('workflow_job', { repository, workflow_job: { run_id: 7, workflow_name: 'CI' } }),
    ).toEqual({
      key: 'acme/site/runs/7',
      kind: 'workflow_run',
      title: 'CI',
    })
    expect(github.subject('workflow_run', { repository, workflow_run: { id: 7 } })?.key).toBe(
      'acme/site/runs/7',
    )
  })

  it('names push and branch creation by the same ref', () => {
    const repository = { full_name: 'acme/site' }
    expect(github.subject('push', { repository, ref: 'refs/heads/next' })?.key).toBe(
      'acme/site@refs/heads/next',
    )
    expect(github.subject('create', { repository, ref: 'next', ref_type: 'branch' })?.key).toBe(
      'acme/site@refs/heads/next',
    )
  })

  it('finds a subject and a name in every published example', () => {
    for (const { name, examples: payloads } of examples) {
      for (const payload of payloads) {
        const found = github.subject(name, payload)
        expect(found?.key, name).toBeTruthy()
        if (found?.url !== undefined) expect(found.url).toMatch(/^https?:\/\//)
        const action = (payload as { action?: string }).action
        expect(github.eventName(name, payload)).toBe(action === undefined ? name : `${name}.${action}`)
      }
    }
  })

  it('shortens a key that is too long, keeping different ones apart', () => {
    const about = (end: string) =>
      github.subject('push', {
        repository: { full_name: 'acme/site' },
        ref: `refs/heads/${'x'.repeat(300)}${end}`,
      })
    expect(about('a')?.key).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(about('a')?.key).not.toBe(about('b')?.key)
  })

  it('offers no link that is not http', () => {
    const payload = { repository: { full_name: 'acme/site', html_url: 'javascript:alert(1)' } }
    expect(github.subject('star', payload)).toEqual({
      key: 'acme/site',
      kind: 'repository',
      title: 'acme/site',
    })
  })
})
