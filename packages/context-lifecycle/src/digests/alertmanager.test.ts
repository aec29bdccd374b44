import { describe, expect, it } from 'vitest'
import { digest, keysOf, sample, timeOf } from './digests.test-support.ts'

const alert = (more: object = {}, labels: object = {}) => ({
  status: 'firing',
  labels: { alertname: 'DiskFull', severity: 'warning', ...labels },
  annotations: {},
  startsAt: '2026-01-02T10:00:00Z',
  endsAt: '0001-01-01T00:00:00Z',
  ...more,
})
const group = (alerts: object[], more: object = {}) => ({
  groupKey: '{}:{}',
  status: 'firing',
  alerts,
  ...more,
})

/** The first five were sent by a real Alertmanager (examples/events). */
// biome-ignore format: a table, one event a line
const ROWS: readonly (readonly [string, unknown, string | undefined, object])[] = [
  ['firing', sample('alertmanager/firing'), '2026-01-12T08:30:00.000Z', { what: 'firing: WebhookHighErrorRate', state: 'firing', severity: 'warning', title: 'More than 5 % of webhooks fail' }],
  ['critical', sample('alertmanager/firing-critical'), '2026-01-12T08:40:00.000Z', { what: 'firing: WebhookConsumerLag', severity: 'critical', text: 'Consumer lag above 1000 instance=consumer-0:8082 job=weir' }],
  ['two alerts', sample('alertmanager/firing-two-alerts'), '2026-01-12T08:31:30.000Z', { what: 'firing: WebhookHighErrorRate', state: 'firing' }],
  ['one of them resolved', sample('alertmanager/firing-one-resolved'), '2026-01-12T08:50:00.000Z', { what: 'firing: WebhookHighErrorRate (1 of 2)', state: 'firing' }],
  ['resolved', sample('alertmanager/resolved'), '2026-01-12T08:52:00.000Z', { what: 'resolved', state: 'resolved', severity: 'warning' }],
  ['a page', group([alert({}, { severity: 'page' }), alert({}, { severity: 'info', alertname: 'Other' })]), '2026-01-02T10:00:00.000Z', { what: 'firing: DiskFull, Other', severity: 'critical' }],
  ['an end that is only expected', group([alert({ endsAt: '2099-01-01T00:00:00Z' })]), '2026-01-02T10:00:00.000Z', { severity: 'warning' }],
  ['no alerts', group([]), undefined, { what: 'firing: unnamed' }],
]

describe('digests of Alertmanager notifications', () => {
  it.each(ROWS)('%s', (_what, payload, at, expected) => {
    const made = digest('alertmanager', payload)
    expect(made).toMatchObject(expected)
    expect(timeOf(made)).toBe(at)
    expect(made.who).toBeUndefined()
  })

  it('refer to what annotations name, but read no labels: hosts are called WEB-1', () => {
    const annotations = {
      description: 'Since OPS-12, see https://github.com/acme/site/issues/4',
      ticket: 'https://acme.atlassian.net/browse/OPS-13',
    }
    const made = digest('alertmanager', group([alert({ annotations }, { instance: 'WEB-1' })]))
    expect(keysOf(made)).toEqual(['jira OPS-12', 'github acme/site#4', 'jira OPS-13'])
    expect(made.text).toContain('instance=WEB-1')
  })
})
