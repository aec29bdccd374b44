/**
 * Prometheus Alertmanager's webhook receiver, payload version 4.
 * https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
 *
 * - A notification has no id. What it says is its identity: the group, its state, and which alerts are in it
 *   since when and in which state. The state of each alert counts: when one of two alerts of a firing group is
 *   resolved, everything else in the notification stays as it was. Times of evaluation (`endsAt`) and texts do
 *   not count, so both members of a highly available pair send the same notification.
 * - The same notification sent again after the window (`repeat_interval`, 4 h) is a reminder, a new event.
 * - Alertmanager tries again after 5xx and broken connections, and gives up on anything else
 *   (https://github.com/prometheus/alertmanager/blob/main/notify/webhook/webhook.go), so "limited" is a 503.
 */
import { createHash } from 'node:crypto'
import type { Adapter } from './adapter.ts'
import { link, peek, text, UNKNOWN_TYPE } from './peek.ts'
import { subject } from './subject.ts'

type AlertState = readonly [fingerprint: string, status: string, startsAt: string]

/** What one alert contributes; releases before 0.16 have no fingerprint, then its labels stand for it. */
function alertState(alert: unknown): AlertState {
  return [
    text(alert, 'fingerprint') ?? labelsOf(alert),
    text(alert, 'status') ?? '',
    text(alert, 'startsAt') ?? '',
  ]
}

function labelsOf(alert: unknown): string {
  const labels = peek(alert, 'labels')
  if (typeof labels !== 'object' || labels === null) return ''
  const pairs = Object.entries(labels).filter((pair): pair is [string, string] => typeof pair[1] === 'string')
  return JSON.stringify(pairs.sort(([a], [b]) => (a < b ? -1 : 1)))
}

function compareStates(a: AlertState, b: AlertState): number {
  for (const i of [0, 1, 2] as const) {
    if (a[i] !== b[i]) return a[i] < b[i] ? -1 : 1
  }
  return 0
}

export const alertmanager: Adapter = {
  tool: 'alertmanager',
  signature: 'alertmanager',
  keptHeaders: ['user-agent'],
  readsBody: true,
  stableIds: false,
  retries: 'by-itself',
  limitedStatus: 503,
  mediaTypes: ['application/json'],
  /** `alert.firing` while any alert of the group fires, else `alert.resolved`. */
  type: ({ json }) => {
    const status = peek(json, 'status')
    return status === 'firing' || status === 'resolved' ? `alert.${status}` : UNKNOWN_TYPE
  },
  occurrence: ({ json }) => {
    const groupKey = text(json, 'groupKey')
    const alerts = peek(json, 'alerts')
    if (groupKey === undefined || !Array.isArray(alerts)) return undefined
    const states = alerts.map(alertState).sort(compareStates)
    // JSON keeps the parts apart, whatever characters they hold.
    const said = JSON.stringify([groupKey, text(json, 'status') ?? '', states])
    return { kind: 'hash', value: createHash('sha256').update(said).digest('hex') }
  },
  eventName: (type) => type,
  nameMembers: [],
  subject: (_type, json) =>
    subject('alert_group', [text(json, 'groupKey')], {
      title:
        text(json, 'commonAnnotations', 'summary') ??
        text(json, 'commonLabels', 'alertname') ??
        text(json, 'groupLabels', 'alertname'),
      url: link(json, 'externalURL'),
    }),
}
