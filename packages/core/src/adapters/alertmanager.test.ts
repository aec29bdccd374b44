import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { alertmanager } from './alertmanager.ts'
import { request } from './fixtures.test-support.ts'

const alert = (fingerprint: string, status = 'firing', startsAt = '2026-01-01T00:00:00.000Z') => ({
  status,
  labels: { alertname: 'HighErrorRate' },
  annotations: {},
  startsAt,
  endsAt: '0001-01-01T00:00:00Z',
  fingerprint,
})
const notification = (alerts: unknown[], more: object = {}) => ({
  version: '4',
  groupKey: '{}:{alertname="HighErrorRate"}',
  status: 'firing',
  receiver: 'weir',
  alerts,
  ...more,
})
const identity = (payload: unknown) => alertmanager.occurrence(request({}, payload))

describe('the Alertmanager adapter', () => {
  it('takes the type from the state of the group', () => {
    expect(alertmanager.type(request({}, notification([])))).toBe('alert.firing')
    expect(alertmanager.type(request({}, notification([], { status: 'resolved' })))).toBe('alert.resolved')
    expect(alertmanager.type(request({}, { status: 'DROP TABLE' }))).toBe('unknown')
  })

  it('takes what is said for the identity, in whatever order the alerts come', () => {
    const same = fc.shuffledSubarray(['a1', 'b2', 'c3', 'd4'], { minLength: 4, maxLength: 4 })
    const expected = identity(notification(['a1', 'b2', 'c3', 'd4'].map((f) => alert(f))))
    fc.assert(
      fc.property(same, (order) => {
        expect(identity(notification(order.map((f) => alert(f))))).toEqual(expected)
      }),
    )
  })

  it('is not confused by evaluation times and texts: both members of a pair say the same', () => {
    const one = notification([{ ...alert('a1'), endsAt: '2026-01-01T00:10:00Z' }], {
      externalURL: 'http://am-0:9093',
    })
    const two = notification([{ ...alert('a1'), endsAt: '2026-01-01T00:11:00Z' }], {
      externalURL: 'http://am-1:9093',
    })
    expect(identity(one)).toEqual(identity(two))
  })

  it.each([
    ['one alert of the group is resolved', notification([alert('a1'), alert('b2', 'resolved')])],
    ['the group is resolved', notification([alert('a1'), alert('b2')], { status: 'resolved' })],
    ['it fires again', notification([alert('a1'), alert('b2', 'firing', '2026-01-02T00:00:00.000Z')])],
    ['another alert joins', notification([alert('a1'), alert('b2'), alert('c3')])],
    ['it is another group', notification([alert('a1'), alert('b2')], { groupKey: '{}:{alertname="Other"}' })],
  ])('is another event when %s', (_what, payload) => {
    expect(identity(payload)).not.toEqual(identity(notification([alert('a1'), alert('b2')])))
  })

  it('uses the labels where an old release sends no fingerprint', () => {
    const bare = (labels: object) => ({ status: 'firing', startsAt: 'x', labels })
    expect(identity(notification([bare({ a: '1', b: '2' })]))).toEqual(
      identity(notification([bare({ b: '2', a: '1' })])),
    )
    expect(identity(notification([bare({ a: '1' })]))).not.toEqual(identity(notification([bare({ a: '2' })])))
  })

  it('leaves the identity to the body of anything that is no notification', () => {
    expect(identity({ alerts: [] })).toBeUndefined()
    expect(identity({ groupKey: 'x', alerts: { length: 1 } })).toBeUndefined()
    expect(identity([])).toBeUndefined()
  })

  it('asks for a retry with 503, the only kind it heeds', () => {
    expect(alertmanager.limitedStatus).toBe(503)
    expect(alertmanager.retries).toBe('by-itself')
    expect(alertmanager.stableIds).toBe(false)
  })

  it('is about the group', () => {
    const payload = notification([], {
      commonLabels: { alertname: 'HighErrorRate' },
      externalURL: 'http://am:9093',
    })
    expect(alertmanager.subject('alert.firing', payload)).toEqual({
      key: '{}:{alertname="HighErrorRate"}',
      kind: 'alert_group',
      title: 'HighErrorRate',
      url: 'http://am:9093',
    })
  })
})
