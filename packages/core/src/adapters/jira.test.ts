import { describe, expect, it } from 'vitest'
import { request } from './fixtures.test-support.ts'
import { jira } from './jira.ts'

const issue = {
  id: '10021',
  self: 'https://acme.atlassian.net/rest/api/2/10021',
  key: 'SITE-21',
  fields: { summary: 'Login page is slow' },
}

describe('the Jira adapter', () => {
  it('reads the type from the body: Jira has no header for it', () => {
    expect(jira.readsBody).toBe(true)
    expect(jira.type(request({}, { webhookEvent: 'jira:issue_updated' }))).toBe('jira:issue_updated')
    expect(jira.type(request({}, { webhookEvent: ['jira:issue_updated'] }))).toBe('unknown')
    expect(jira.type(request({}, undefined))).toBe('unknown')
  })

  it('knows an event by its identifier, the same over retries', () => {
    const first = request({ 'x-atlassian-webhook-identifier': '69312270414585119' })
    const retry = request({
      'x-atlassian-webhook-identifier': '69312270414585119',
      'x-atlassian-webhook-retry': '2',
    })
    expect(jira.occurrence(first)).toEqual({ kind: 'delivery-id', value: '69312270414585119' })
    expect(jira.occurrence(retry)).toEqual(jira.occurrence(first))
  })

  it('leaves the identity to the body where Data Center sends no identifier', () => {
    expect(jira.occurrence(request({}, { webhookEvent: 'jira:issue_created' }))).toBeUndefined()
  })

  it('is about the issue, whatever happened to it', () => {
    const expected = {
      key: 'SITE-21',
      kind: 'issue',
      title: 'Login page is slow',
      url: 'https://acme.atlassian.net/browse/SITE-21',
    }
    expect(jira.subject('jira:issue_updated', { issue, changelog: {} })).toEqual(expected)
    expect(jira.subject('comment_created', { issue, comment: { id: '1' } })).toEqual(expected)
  })

  it('keeps the path that a Data Center lives below', () => {
    const self = 'https://tools.example.com/jira/rest/api/2/issue/1'
    expect(jira.subject('jira:issue_created', { issue: { ...issue, self } })?.url).toBe(
      'https://tools.example.com/jira/browse/SITE-21',
    )
  })

  it.each([
    [{ worklog: { issueId: '10021' } }, 'issue', 'issue/10021'],
    [{ sprint: { id: 4, name: 'Sprint 4' } }, 'sprint', 'sprint/4'],
    [{ version: { id: '10000', name: '1.0' } }, 'version', 'version/10000'],
    [{ project: { key: 'SITE', name: 'Site' } }, 'project', 'SITE'],
    [{ user: { accountId: 'abc' } }, 'user', 'user/abc'],
  ])('without an issue, %j is about a %s', (payload, kind, key) => {
    expect(jira.subject('', payload)).toMatchObject({ kind, key })
  })

  it('says nothing about a payload that says nothing', () => {
    expect(jira.subject('x', { timestamp: 1 })).toBeUndefined()
  })
})
