import { describe, expect, it } from 'vitest'
import { request } from './fixtures.test-support.ts'
import { gitlab, gitlabType } from './gitlab.ts'

const project = { path_with_namespace: 'acme/site', web_url: 'https://gitlab.example.com/acme/site' }

describe('the GitLab adapter', () => {
  it.each([
    ['Push Hook', 'push'],
    ['Tag Push Hook', 'tag_push'],
    ['Merge Request Hook', 'merge_request'],
    ['Confidential Issue Hook', 'confidential_issue'],
    ['Wiki Page Hook', 'wiki_page'],
    ['System Hook', 'system'],
    ['Brand New Hook', 'brand_new'],
    ['', 'unknown'],
    ['<script>', 'unknown'],
    [undefined, 'unknown'],
    [['Push Hook', 'Issue Hook'], 'unknown'],
  ])('%j is the type %s', (header, type) => {
    expect(gitlabType(header)).toBe(type)
  })

  it('knows an event by its Idempotency-Key', () => {
    const sent = request({
      'idempotency-key': 'f5e5f430-f57b-4e6e-9fac-d9128cd7232f',
      'x-gitlab-event-uuid': 'other',
    })
    expect(gitlab.occurrence(sent)).toEqual({
      kind: 'delivery-id',
      value: 'f5e5f430-f57b-4e6e-9fac-d9128cd7232f',
    })
  })

  it('believes the webhook-id of a signing token first: it is signed, and has the same value', () => {
    const sent = (key: string) =>
      gitlab.occurrence(request({ 'webhook-id': 'f5e5f430', 'idempotency-key': key }))
    expect(sent('another')).toEqual({ kind: 'delivery-id', value: 'f5e5f430' })
    expect(gitlab.occurrence(request({ 'idempotency-key': 'f5e5f430' }))).toEqual(sent('another'))
  })

  describe('on releases without Idempotency-Key', () => {
    const sent = (uuid: string, json: unknown) =>
      gitlab.occurrence(request({ 'x-gitlab-event-uuid': uuid }, json))

    it('takes the same event UUID with the same body for the same event', () => {
      expect(sent('u1', { a: 1 })).toEqual(sent('u1', { a: 1 }))
      expect(sent('u1', { a: 1 })?.kind).toBe('hash')
    })

    it('tells apart the events of one chain of hooks, which share a UUID', () => {
      expect(sent('u1', { a: 1 })).not.toEqual(sent('u1', { a: 2 }))
    })

    it('tells apart two events that happen to say the same', () => {
      expect(sent('u1', { a: 1 })).not.toEqual(sent('u2', { a: 1 }))
    })

    it('leaves the identity to the body when there is no UUID either', () => {
      expect(gitlab.occurrence(request({}))).toBeUndefined()
    })
  })

  it.each([
    ['merge_request', { object_attributes: { action: 'open' } }, 'merge_request.open'],
    ['pipeline', { object_attributes: { status: 'success' } }, 'pipeline.success'],
    ['job', { build_status: 'failed' }, 'job.failed'],
    ['deployment', { status: 'running' }, 'deployment.running'],
    ['release', { action: 'create' }, 'release.create'],
    ['push', { object_kind: 'push' }, 'push'],
    ['system', { event_name: 'project_create' }, 'system.project_create'],
    ['system', { object_kind: 'merge_request' }, 'system.merge_request'],
    ['push', null, 'push'],
  ])('names %s with %j %s', (type, json, name) => {
    expect(gitlab.eventName(type, json)).toBe(name)
  })

  it.each([
    [
      { object_kind: 'merge_request', project, object_attributes: { iid: 7 } },
      'merge_request',
      'acme/site!7',
    ],
    [{ object_kind: 'issue', project, object_attributes: { iid: 7 } }, 'issue', 'acme/site#7'],
    [{ object_kind: 'note', project, merge_request: { iid: 7 } }, 'merge_request', 'acme/site!7'],
    [{ object_kind: 'note', project, commit: { id: 'abc' } }, 'commit', 'acme/site@abc'],
    [{ object_kind: 'push', project, ref: 'refs/heads/main' }, 'ref', 'acme/site@refs/heads/main'],
    [
      { object_kind: 'pipeline', project, object_attributes: { id: 31 } },
      'pipeline',
      'acme/site/pipelines/31',
    ],
    [{ object_kind: 'build', project_id: 5, pipeline_id: 31 }, 'pipeline', 'projects/5/pipelines/31'],
    [{ object_kind: 'release', project, tag: 'v1' }, 'release', 'acme/site/releases/v1'],
    [{ event_name: 'project_create', path_with_namespace: 'acme/site' }, 'project', 'acme/site'],
    [{ event_name: 'group_create', path: 'acme' }, 'group', 'acme'],
    [{ event_name: 'user_create', username: 'js' }, 'user', 'user/js'],
  ])('%j is about a %s', (payload, kind, key) => {
    expect(gitlab.subject('', payload)).toMatchObject({ kind, key })
  })

  it('never keeps the token header, which is the secret', () => {
    expect(gitlab.keptHeaders).not.toContain('x-gitlab-token')
  })
})
