/**
 * Standard Webhooks: any sender that keeps to the specification.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 *
 * - `webhook-id` is signed, and "remains the same no matter how many times a webhook that has failed is retried"
 *   ("Webhook metadata").
 * - The type is the body's `type`, "a full-stop delimited type", recommended there ("Payload structure"); so the gateway
 *   reads the body. CloudEvents name theirs in the same place.
 * - Retries are recommended, "spanning multiple days", but no sender has to ("Deliverability and reliability"): nothing is
 *   risked, an outage spools its events. 429 is the status for "limited" ("Delivery success and failure").
 */
import type { Adapter } from './adapter.ts'
import { deliveryId, label, peek, typeName, UNKNOWN_TYPE } from './peek.ts'
import { subject } from './subject.ts'

export const standard: Adapter = {
  tool: 'standard',
  signature: 'standard',
  keptHeaders: ['user-agent', 'webhook-id'],
  readsBody: true,
  stableIds: true,
  retries: 'never',
  limitedStatus: 429,
  mediaTypes: ['application/json', 'application/cloudevents+json'],
  type: ({ json }) => typeName(peek(json, 'type')) ?? UNKNOWN_TYPE,
  occurrence: ({ headers }) => {
    const id = deliveryId(headers['webhook-id'])
    return id === undefined ? undefined : { kind: 'delivery-id', value: id }
  },
  /** The type, which says what was done in its last part: `contact.created`. */
  eventName: (type) => type,
  nameMembers: [],
  /** As in the specification's examples: `contact.created` with `data.id` is about that contact. */
  subject: (type, json) => {
    const kind = type.replace(/\.[^.]*$/, '')
    return subject(kind, [`${kind}/`, label(json, 'data', 'id')])
  },
}
