import { describe, expect, it } from 'vitest'
import { digest, keysOf, timeOf } from './digests.test-support.ts'

type Row = readonly [type: string, payload: object, at: string | undefined, expected: object]
const AT = '2026-01-02T10:00:00.000Z'

// biome-ignore format: a table, one event a line
const STANDARD: readonly Row[] = [
  ['contact.created', { type: 'contact.created', timestamp: '2026-01-02T10:00:00.344522Z', data: { id: '1', fullName: 'Jordan', status: 'Active' } }, '2026-01-02T10:00:00.344Z', { what: 'created', state: 'active' }],
  ['billing.invoice.paid', { type: 'billing.invoice.paid', timestamp: 1_767_348_000, data: { id: 7, title: 'Invoice 7', url: 'https://pay.example/7' } }, AT, { what: 'paid', title: 'Invoice 7', link: 'https://pay.example/7' }],
  ['com.example.deploy.failed', { specversion: '1.0', type: 'com.example.deploy.failed', time: '2026-01-02T10:00:00Z', data: { id: 'd1', severity: 'critical', message: 'No disk. See OPS-3.' } }, AT, { what: 'failed', severity: 'critical', text: 'No disk. See OPS-3.', references: [{ tool: 'jira', key: 'OPS-3' }] }],
  ['user.deleted', { type: 'user.deleted', timestamp: '2026-01-02T10:00:00Z', data: { id: 'u1', username: 'mia' } }, AT, { what: 'deleted', state: 'deleted', who: 'mia' }],
  ['ping', { type: 'ping', data: {} }, undefined, { what: 'ping' }],
  ['ticket.comment_added', { type: 'ticket.comment_added', timestamp: '2026-01-02T10:00:00Z', data: { id: 1, author: { name: 'Mia' }, comment: 'Ask @bob' } }, AT, { what: 'comment added', who: 'Mia', text: 'Ask @bob', people: ['bob'] }],
]

// biome-ignore format: a table, one event a line
const GENERIC: readonly Row[] = [
  ['order.paid', { created_at: '2026-01-02T10:00:00Z', user: 'mia', status: 'paid' }, AT, { what: 'paid', who: 'mia', state: 'paid' }],
  ['build', { timestamp: 1_767_348_000_000, level: 'error', message: 'Red', url: 'https://ci.example/1' }, AT, { what: 'build', severity: 'error', text: 'Red', link: 'https://ci.example/1' }],
  ['unknown', { event: 'deploy_finished', data: { title: 'Deploy 4' } }, undefined, { name: 'unknown', what: 'deploy finished', title: 'Deploy 4' }],
  ['unknown', {}, undefined, { what: 'sent an event' }],
  ['alert.open', { time: '2026-01-02 10:00:00', severity: 'P1', summary: 'Down: https://github.com/acme/site/issues/3' }, AT, { what: 'opened', severity: 'critical', title: 'Down: https://github.com/acme/site/issues/3', references: [{ tool: 'github', key: 'acme/site#3' }] }],
  ['job.done', { status: { code: 5 }, url: 'javascript:alert(1)', user: 7, time: 'yesterday' }, undefined, { what: 'done' }],
]

describe('digests of Standard Webhooks', () => {
  it.each(STANDARD)('%s', (_type, payload, at, expected) => {
    const made = digest('standard', payload)
    expect(made).toMatchObject(expected)
    expect(timeOf(made)).toBe(at)
  })
})

describe('digests of any other sender', () => {
  it.each(GENERIC)('%s %#', (type, payload, at, expected) => {
    const made = digest('generic', payload, type)
    expect(made).toMatchObject(expected)
    expect(timeOf(made)).toBe(at)
    expect(
      Object.keys(made).filter((name) => !['name', 'at', 'what', ...Object.keys(expected)].includes(name)),
    ).toEqual([])
  })

  it('finds no numbers without a path: nobody says whose they are', () => {
    expect(keysOf(digest('generic', { message: 'Order #1001, !3, acme/site#4' }, 'order'))).toEqual([
      'github acme/site#4',
    ])
  })
})
