import { describe, expect, it } from 'vitest'
import { digest, keysOf, timeOf } from './digests.test-support.ts'

/** Composed after PagerDuty/developer-docs, docs/webhooks/01-Overview.md, shortened. */
const event = (event_type: string, data: object, more: object = {}) => ({
  event: {
    id: '5ac64822',
    event_type,
    resource_type: 'incident',
    occurred_at: '2026-01-02T18:45:22.169Z',
    agent: { id: 'PLH1HKV', summary: 'Tenex Engineer', type: 'user_reference' },
    data,
    ...more,
  },
})
const incident = (more: object = {}) => ({
  id: 'PGR0VU2',
  type: 'incident',
  title: 'A little bump in the road (OPS-4)',
  status: 'triggered',
  urgency: 'high',
  html_url: 'https://acme.pagerduty.com/incidents/PGR0VU2',
  service: { id: 'PF9KMXH', summary: 'API Service' },
  assignees: [{ summary: 'Alice Doe' }],
  ...more,
})
const ref = {
  id: 'PGR0VU2',
  summary: 'A little bump',
  html_url: 'https://acme.pagerduty.com/incidents/PGR0VU2',
}

// biome-ignore format: a table, one event a line
const ROWS: readonly (readonly [string, object, object])[] = [
  ['incident.triggered', incident(), { who: 'Tenex Engineer', what: 'triggered', state: 'triggered', severity: 'critical', people: ['alice doe'] }],
  ['incident.acknowledged', incident({ status: 'acknowledged', urgency: 'low' }), { what: 'acknowledged', state: 'acknowledged', severity: 'warning' }],
  ['incident.resolved', incident({ status: 'resolved' }), { what: 'resolved', state: 'resolved' }],
  ['incident.reassigned', incident(), { what: 'reassigned to Alice Doe', state: 'triggered' }],
  ['incident.priority_updated', incident({ priority: { summary: 'P1' } }), { what: 'set the priority to P1' }],
  ['incident.annotated', { id: 'N1', type: 'incident_note', content: 'On it. https://github.com/acme/site/pull/9', incident: ref }, { what: 'added a note', text: 'On it. https://github.com/acme/site/pull/9', title: 'A little bump', references: [{ tool: 'github', key: 'acme/site#9' }] }],
  ['incident.status_update_published', { id: 'S1', type: 'incident_status_update', message: 'Half is back.', incident: ref }, { what: 'published a status update', text: 'Half is back.' }],
  ['incident.responder.added', { type: 'incident_responder', incident: ref, user: { summary: 'Bob Roe' }, state: 'pending' }, { what: 'asked to respond: Bob Roe', people: ['bob roe'] }],
  ['service.updated', { id: 'PF9KMXH', type: 'service', summary: 'API Service' }, { what: 'updated', title: 'API Service' }],
]

describe('digests of PagerDuty events', () => {
  it.each(ROWS)('%s', (type, data, expected) => {
    const more = type.startsWith('service.') ? { resource_type: 'service' } : {}
    const made = digest('pagerduty', event(type, data, more))
    expect(made).toMatchObject(expected)
    expect(timeOf(made)).toBe('2026-01-02T18:45:22.169Z')
  })

  it('refer to the service and to what the title names', () => {
    expect(keysOf(digest('pagerduty', event('incident.triggered', incident())))).toEqual([
      'pagerduty service/PF9KMXH',
      'jira OPS-4',
    ])
  })
})
