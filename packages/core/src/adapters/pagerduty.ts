/**
 * PagerDuty's webhook subscriptions (V3).
 *
 * - The body's `event.event_type` is the type and `event.id` "the unique id of the event", so the gateway reads it.
 *   https://github.com/PagerDuty/developer-docs/blob/main/docs/webhooks/01-Overview.md
 *   `X-Webhook-Id` too "is repeated for each delivery attempt", but it names the delivery of one subscription and is not
 *   signed; `event.id` is, and an event that two subscriptions send is one event.
 * - PagerDuty tries again for up to 48 hours after 5xx, 429, silence and broken connections. Any other 4xx drops the
 *   webhook, and after three in a row the subscription is switched off for 24 hours.
 *   https://github.com/PagerDuty/developer-docs/blob/main/docs/webhooks/02-Behavior.md
 */
import type { Adapter } from './adapter.ts'
import { deliveryId, link, peek, text, typeName, UNKNOWN_TYPE } from './peek.ts'
import { subject } from './subject.ts'

export const pagerduty: Adapter = {
  tool: 'pagerduty',
  signature: 'pagerduty',
  keptHeaders: ['user-agent', 'x-webhook-id', 'x-webhook-subscription'],
  readsBody: true,
  stableIds: true,
  retries: 'by-itself',
  limitedStatus: 429,
  mediaTypes: ['application/json'],
  type: ({ json }) => typeName(peek(json, 'event', 'event_type')) ?? UNKNOWN_TYPE,
  occurrence: ({ json }) => {
    const id = deliveryId(peek(json, 'event', 'id'))
    return id === undefined ? undefined : { kind: 'delivery-id', value: id }
  },
  /** PagerDuty's own name, e.g. `incident.priority_updated`: it already says what was done. */
  eventName: (type) => type,
  nameMembers: [],
  /** Notes, responders and status updates are about their incident; the others about what changed. */
  subject: (_type, json) => {
    const data = peek(json, 'event', 'data')
    const kind = typeName(peek(json, 'event', 'resource_type')) ?? 'resource'
    return (
      subject('incident', ['incident/', text(data, 'incident', 'id')], {
        title: text(data, 'incident', 'summary'),
        url: link(data, 'incident', 'html_url'),
      }) ??
      subject(kind, [`${kind}/`, text(data, 'id')], {
        title: text(data, 'title') ?? text(data, 'summary'),
        url: link(data, 'html_url'),
      })
    )
  },
}
