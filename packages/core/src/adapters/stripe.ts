/**
 * Stripe: webhook endpoints with snapshot events, and event destinations with thin events.
 *
 * - Type and id stand in the body only (`type`, `id`), so the gateway reads it.
 *   https://docs.stripe.com/api/events/object, https://docs.stripe.com/api/v2/core/events
 * - "Webhook endpoints might occasionally receive the same event more than once. You can guard against duplicated event
 *   receipts by logging the event IDs you've processed": the id is the event's, and an event cannot be changed after
 *   its creation. Automatic and manual retries send the same event.
 *   https://docs.stripe.com/webhooks#handle-duplicate-events
 * - Stripe tries again after everything but 2xx, "for up to three days with an exponential back off in live mode", three
 *   times over a few hours in a sandbox; by hand for 15 days, by its CLI for 30.
 *   https://docs.stripe.com/webhooks#automatic-retries
 * - Each attempt is signed anew, with a time of its own.
 *   https://docs.stripe.com/webhooks#preventing-replay-attacks
 */
import type { Adapter } from './adapter.ts'
import { deliveryId, peek, text, typeName, UNKNOWN_TYPE } from './peek.ts'
import { subject } from './subject.ts'

/** `v2.core.account[configuration.merchant].updated` → `v2.core.account.configuration.merchant.updated`. */
function stripeType(found: unknown): string {
  const plain = typeof found === 'string' ? found.replaceAll('[', '.').replaceAll(']', '') : undefined
  return typeName(plain) ?? UNKNOWN_TYPE
}

export const stripe: Adapter = {
  tool: 'stripe',
  signature: 'stripe',
  keptHeaders: ['user-agent'],
  readsBody: true,
  stableIds: true,
  retries: 'by-itself',
  limitedStatus: 429,
  mediaTypes: ['application/json'],
  type: ({ json }) => stripeType(peek(json, 'type')),
  occurrence: ({ json }) => {
    const id = deliveryId(peek(json, 'id'))
    return id === undefined ? undefined : { kind: 'delivery-id', value: id }
  },
  /** Stripe's own name, e.g. `invoice.paid`: it already says what was done. */
  eventName: (type) => type,
  nameMembers: [],
  /** The object, which a snapshot holds and a thin event names. Addresses of objects are left out: they open them. */
  subject: (_type, json) => {
    const object = peek(json, 'data', 'object')
    return (
      subject(typeName(peek(object, 'object')) ?? 'object', [text(object, 'id')], {
        title: text(object, 'number') ?? text(object, 'description'),
      }) ??
      subject(typeName(peek(json, 'related_object', 'type')) ?? 'object', [
        text(json, 'related_object', 'id'),
      ])
    )
  },
}
