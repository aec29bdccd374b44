/**
 * Shopify: the topic says what was done (`orders.paid`). Buyers' names and addresses are in most payloads and stay there;
 * a digest has the number of the customer only.
 * https://shopify.dev/docs/api/webhooks
 */
import { label, peek, text } from '@weir/core/adapters/peek'
import { type Find, list, reference } from './finding.ts'
import { members } from './time.ts'

/** Where the time of what was done stands, before `updated_at`, which any later change moves. */
const TIMES: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    cancelled: ['cancelled_at'],
    create: ['created_at'],
    // What is deleted comes with its id alone, or as it was before.
    delete: [],
  }),
)

const WHAT: ReadonlyMap<string, string> = new Map(
  Object.entries({
    'app.uninstalled': 'uninstalled the app',
    'customers.data_request': 'asked for the data of the customer',
    'customers.redact': 'asked to erase the customer',
    'fulfillments.create': 'created a fulfillment',
    'fulfillments.update': 'updated a fulfillment',
    'order_transactions.create': 'recorded a transaction',
    'orders.partially_fulfilled': 'partially fulfilled',
    'refunds.create': 'refunded',
    'shop.redact': 'asked to erase the shop',
  }),
)

/** The furthest that an order has come. */
function stateOf(type: string, json: unknown): string | undefined {
  if (type.endsWith('.delete')) return 'deleted'
  // The state of a fulfillment or transaction is not that of its order.
  if (peek(json, 'order_id') !== undefined) return undefined
  if (text(json, 'cancelled_at') !== undefined) return 'cancelled'
  if (text(json, 'closed_at') !== undefined) return 'closed'
  return (
    text(json, 'fulfillment_status')?.replace(/^partial$/, 'partially fulfilled') ??
    text(json, 'financial_status') ??
    text(json, 'status')
  )
}

export const shopify: Find = ({ type, payload: json }) => {
  const action = type.slice(type.lastIndexOf('.') + 1)
  return {
    at: members(json, ...(TIMES.get(action) ?? ['updated_at', 'processed_at', 'created_at'])),
    what: WHAT.get(type),
    state: stateOf(type, json),
    texts: [
      text(json, 'note'),
      text(json, 'cancel_reason'),
      ...list(json, 'line_items').map((item) => text(item, 'title')),
      text(json, 'product_type'),
    ],
    severity: /failure|failed/.test(text(json, 'status') ?? '') ? 'error' : undefined,
    references: [
      reference('shopify', 'customer/', label(json, 'customer', 'id')),
      reference('shopify', 'order/', label(json, 'order_id')),
      reference('shopify', 'product/', label(json, 'product_id')),
    ],
  }
}
