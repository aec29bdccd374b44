import { describe, expect, it } from 'vitest'
import { request } from './fixtures.test-support.ts'
import { pagerduty } from './pagerduty.ts'

/** Composed after PagerDuty/developer-docs, docs/webhooks/01-Overview.md ("Webhook Payload"), shortened; not captured. */
const event = (data: object | null, more: object = {}) => ({
  event: {
    id: '5ac64822-4adc-4fda-ade0-410becf0de4f',
    event_type: 'incident.priority_updated',
    resource_type: 'incident',
    occurred_at: '2026-01-02T18:45:22.169Z',
    agent: { html_url: 'https://acme.pagerduty.com/users/PLH1HKV', id: 'PLH1HKV', type: 'user_reference' },
    client: { name: 'PagerDuty' },
    data,
    ...more,
  },
})
const incident = {
  id: 'PGR0VU2',
  type: 'incident',
  html_url: 'https://acme.pagerduty.com/incidents/PGR0VU2',
  number: 2,
  status: 'triggered',
  incident_key: 'd3640fbd41094207a1c11e58e46b1662',
  title: 'A little bump in the road',
  urgency: 'high',
}

describe('the PagerDuty adapter', () => {
  it('reads type and id from the body', () => {
    expect(pagerduty.readsBody).toBe(true)
    expect(pagerduty.type(request({}, event(incident)))).toBe('incident.priority_updated')
    expect(pagerduty.occurrence(request({}, event(incident)))).toEqual({
      kind: 'delivery-id',
      value: '5ac64822-4adc-4fda-ade0-410becf0de4f',
    })
  })

  it('knows an event again, in another attempt and from another subscription', () => {
    const sent = (id: string, subscription: string) =>
      request({ 'x-webhook-id': id, 'x-webhook-subscription': subscription }, event(incident))
    expect(pagerduty.occurrence(sent('b', 'PSUB2'))).toEqual(pagerduty.occurrence(sent('a', 'PSUB1')))
  })

  it('leaves type and identity of older versions unknown', () => {
    const v2 = { messages: [{ event: 'incident.trigger', id: 'b61c4c60' }] }
    expect(pagerduty.type(request({}, v2))).toBe('unknown')
    expect(pagerduty.occurrence(request({}, v2))).toBeUndefined()
  })

  it('is about the incident, whatever happened to it', () => {
    const expected = {
      key: 'incident/PGR0VU2',
      kind: 'incident',
      title: 'A little bump in the road',
      url: 'https://acme.pagerduty.com/incidents/PGR0VU2',
    }
    expect(pagerduty.subject('incident.priority_updated', event(incident))).toEqual(expected)
    const reference = { id: incident.id, summary: incident.title, html_url: incident.html_url }
    const note = { incident: reference, id: 'P2LA89X', content: 'On it.', type: 'incident_note' }
    expect(pagerduty.subject('incident.annotated', event(note))).toEqual(expected)
  })

  it('is about a service where that changed, and about nothing where it is tried out', () => {
    const service = { id: 'PF9KMXH', summary: 'API Service', type: 'service' }
    const updated = event(service, { event_type: 'service.updated', resource_type: 'service' })
    expect(pagerduty.subject('service.updated', updated)).toMatchObject({
      key: 'service/PF9KMXH',
      kind: 'service',
      title: 'API Service',
    })
    const ping = event(
      { message: 'Hello', type: 'ping' },
      { event_type: 'pagey.ping', resource_type: 'pagey' },
    )
    expect(pagerduty.type(request({}, ping))).toBe('pagey.ping')
    expect(pagerduty.subject('pagey.ping', ping)).toBeUndefined()
  })
})
