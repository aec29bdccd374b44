import { describe, expect, it } from 'vitest'
import { request } from './fixtures.test-support.ts'
import { standard } from './standard.ts'

/** Composed after the specification's example of a full payload; not captured. */
const created = {
  type: 'contact.created',
  timestamp: '2022-11-03T20:26:10.344522Z',
  data: { id: '1f81eb52-5198-4599-803e-771906343485', type: 'contact', fullName: 'Jordan Example' },
}

describe('the adapter of Standard Webhooks', () => {
  it('knows an event by its webhook-id, the same over retries, which are signed anew', () => {
    const attempt = (timestamp: string) =>
      standard.occurrence(
        request({ 'webhook-id': 'msg_2KWPBgLlAfxdpx2AI54pPJ85f4W', 'webhook-timestamp': timestamp }, created),
      )
    expect(attempt('1674087231')).toEqual({ kind: 'delivery-id', value: 'msg_2KWPBgLlAfxdpx2AI54pPJ85f4W' })
    expect(attempt('1674087536')).toEqual(attempt('1674087231'))
  })

  it('reads the type from the body', () => {
    expect(standard.readsBody).toBe(true)
    expect(standard.type(request({}, created))).toBe('contact.created')
    expect(standard.type(request({}, { type: 'contact created' }))).toBe('unknown')
    expect(standard.type(request({}, { data: {} }))).toBe('unknown')
  })

  it('spools what an outage would refuse: that senders try again is advice to them, no more', () => {
    expect(standard.retries).toBe('never')
    expect(standard.limitedStatus).toBe(429)
  })

  it.each([
    ['contact.created', created, 'contact', 'contact/1f81eb52-5198-4599-803e-771906343485'],
    ['billing.invoice.paid', { data: { id: 7 } }, 'billing.invoice', 'billing.invoice/7'],
    ['ping', { data: { id: 'x' } }, 'ping', 'ping/x'],
  ])('%s is about what data.id names', (type, payload, kind, key) => {
    expect(standard.subject(type, payload)).toEqual({ kind, key })
  })

  it('says nothing about a payload that says nothing', () => {
    expect(
      standard.subject('contact.created', { type: 'contact.created', fullName: 'Jordan' }),
    ).toBeUndefined()
  })
})
