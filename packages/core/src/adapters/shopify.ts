/**
 * Shopify's webhooks over HTTPS. (Events, in developer preview in 2026, have other headers and are not known here.)
 *
 * - `X-Shopify-Webhook-Id` names the delivery, the same in every attempt at it: "detect duplicates", "ignore duplicate
 *   deliveries using X-Shopify-Webhook-Id". https://shopify.dev/docs/apps/build/webhooks/verify-deliveries
 *   `X-Shopify-Event-Id` names what happened in the shop; an event of several topics or subscriptions comes in several
 *   deliveries with the same one, so it must not be the identity, although an older page
 *   (https://shopify.dev/docs/apps/build/webhooks/ignore-duplicates) advises it.
 * - Where the id is missing the body will do: a retry has "the original payload from the time they were triggered".
 * - Shopify tries again 8 times over 4 hours after everything but 2xx.
 *   https://shopify.dev/changelog/updates-to-webhook-retry-mechanism
 * - `X-Shopify-Topic` names the type. https://shopify.dev/docs/apps/build/webhooks/delivery-structure#headers
 */
import type { Adapter } from './adapter.ts'
import { deliveryId, label, peek, text, typeName, UNKNOWN_TYPE } from './peek.ts'
import { subject } from './subject.ts'

/** `orders/create` → `orders.create`: a type has no slash. */
function shopifyType(topic: unknown): string {
  return typeName(typeof topic === 'string' ? topic.replace('/', '.') : undefined) ?? UNKNOWN_TYPE
}

/**
 * Kind and number of the resource: of `gid://shopify/DraftOrder/1`, which is exact where the number beside it is too large
 * for JavaScript (https://shopify.dev/docs/api/usage/gids), else of the topic and that number. Ids that are words, such as
 * a cart's, open what they name; they are left out.
 */
function resourceOf(type: string, json: unknown): readonly [kind: string, id: string | undefined] {
  const gid = /^gid:\/\/shopify\/([A-Za-z]{1,64})\/(\d+)/.exec(text(json, 'admin_graphql_api_id') ?? '')
  if (gid?.[1] !== undefined) return [gid[1].replace(/(?<=[a-z])(?=[A-Z])/g, '_').toLowerCase(), gid[2]]
  const topic = type.replace(/\..*$/, '').replace(/s$/, '')
  return [topic, typeof peek(json, 'id') === 'number' ? label(json, 'id') : undefined]
}

export const shopify: Adapter = {
  tool: 'shopify',
  signature: 'shopify',
  keptHeaders: [
    'user-agent',
    'x-shopify-topic',
    'x-shopify-sub-topic',
    'x-shopify-name',
    'x-shopify-shop-domain',
    'x-shopify-webhook-id',
    'x-shopify-event-id',
    'x-shopify-triggered-at',
    'x-shopify-api-version',
  ],
  readsBody: false,
  stableIds: true,
  retries: 'by-itself',
  limitedStatus: 429,
  mediaTypes: ['application/json'],
  type: ({ headers }) => shopifyType(headers['x-shopify-topic']),
  occurrence: ({ headers }) => {
    const id = deliveryId(headers['x-shopify-webhook-id'])
    return id === undefined ? undefined : { kind: 'delivery-id', value: id }
  },
  /** The topic: it already says what was done. */
  eventName: (type) => type,
  nameMembers: [],
  /**
   * Refunds, fulfillments and transactions are about their order, what happens to shop and app is about the shop, the others
   * are about their resource. Links are left out: those of orders open them.
   */
  subject: (type, json) => {
    const [kind, id] = resourceOf(type, json)
    return (
      subject('order', ['order/', label(json, 'order_id')]) ??
      subject('shop', ['shop/', text(json, 'myshopify_domain')]) ??
      subject(kind, [`${kind}/`, id], { title: text(json, 'title') ?? text(json, 'name') }) ??
      subject('customer', ['customer/', label(json, 'customer', 'id')]) ??
      subject('shop', ['shop/', text(json, 'shop_domain')])
    )
  },
}
