/**
 * Prometheus Alertmanager: a notification tells of a whole group. When it was sent stands nowhere in it; its time is when
 * the group last changed, so a reminder (`repeat_interval`) has the time of what it reminds of.
 * https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
 */
import { peek, text } from '@weir/core/adapters/peek'
import { type Find, list } from './finding.ts'
import { severityOf, worst } from './severity.ts'
import { latestAmong } from './time.ts'

/** Labels that are everywhere and tell nothing that the title does not. */
const KNOWN_LABELS: ReadonlySet<string> = new Set(['alertname', 'severity', 'prometheus'])

function pairs(value: unknown): readonly (readonly [name: string, value: string])[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return []
  return Object.entries(value).filter((pair): pair is [string, string] => typeof pair[1] === 'string')
}

/** Each once: the alerts of a group mostly say the same. */
const unique = (values: readonly (string | undefined)[]): readonly string[] => [
  ...new Set(values.filter((value) => value !== undefined)),
]

const isFiring = (alert: unknown): boolean => peek(alert, 'status') === 'firing'

export const alertmanager: Find = ({ payload: json, receivedAt }) => {
  const alerts = list(json, 'alerts')
  const firing = alerts.filter(isFiring)
  const told = firing.length > 0 ? firing : alerts
  const status = text(json, 'status')
  const names = unique([
    ...told.map((alert) => text(alert, 'labels', 'alertname')),
    text(json, 'commonLabels', 'alertname') ?? text(json, 'groupLabels', 'alertname'),
  ])
  const part =
    firing.length < alerts.length && firing.length > 0 ? ` (${firing.length} of ${alerts.length})` : ''
  return {
    // `endsAt` of a firing alert is only expected, or year 1.
    at: [
      latestAmong(
        alerts.map((alert) => peek(alert, isFiring(alert) ? 'startsAt' : 'endsAt')),
        receivedAt,
      ),
      latestAmong(
        alerts.map((alert) => peek(alert, 'startsAt')),
        receivedAt,
      ),
    ],
    what: status === 'firing' ? `firing: ${names.join(', ') || 'unnamed'}${part}` : status,
    state: status,
    texts: unique(
      [json, ...told].flatMap((one) =>
        pairs(peek(one, one === json ? 'commonAnnotations' : 'annotations')).map(([, value]) => value),
      ),
    ),
    unread: unique(
      [peek(json, 'commonLabels'), ...told.map((alert) => peek(alert, 'labels'))].flatMap((labels) =>
        pairs(labels)
          .filter(([name]) => !KNOWN_LABELS.has(name))
          .map(([name, value]) => `${name}=${value}`),
      ),
    ),
    severity: worst([
      ...told.map((alert) => severityOf(text(alert, 'labels', 'severity'))),
      severityOf(text(json, 'commonLabels', 'severity')),
    ]),
  }
}
