import { describe, expect, it } from 'vitest'
import { digest, keysOf, timeOf } from './digests.test-support.ts'

type Row = readonly [type: string, payload: object, at: string | undefined, expected: object]
const AT = '2026-01-02T10:00:00.000Z'

/** Composed after https://docs.stripe.com/api/events/object. */
const stripe = (type: string, object: object) => ({
  id: 'evt_1',
  object: 'event',
  type,
  created: 1_767_348_000,
  data: { object },
})
// biome-ignore format: a table, one event a line
const STRIPE: readonly Row[] = [
  ['invoice.paid', { id: 'in_1', object: 'invoice', number: '4F5A-0001', status: 'paid', customer: 'cus_1' }, AT, { what: 'paid', state: 'paid', title: '4F5A-0001', references: [{ tool: 'stripe', key: 'cus_1' }] }],
  ['invoice.payment_failed', { id: 'in_1', object: 'invoice', status: 'open' }, AT, { what: 'payment failed', state: 'open', severity: 'error' }],
  ['payment_intent.payment_failed', { id: 'pi_1', object: 'payment_intent', status: 'requires_payment_method', last_payment_error: { message: 'Your card was declined.' } }, AT, { what: 'payment failed', severity: 'error', text: 'Your card was declined.' }],
  ['customer.subscription.deleted', { id: 'sub_1', object: 'subscription', status: 'canceled', customer: { id: 'cus_1' } }, AT, { what: 'deleted', state: 'deleted', references: [{ tool: 'stripe', key: 'cus_1' }] }],
  ['charge.dispute.created', { id: 'dp_1', object: 'dispute', status: 'needs_response', reason: 'fraudulent', charge: 'ch_1', payment_intent: 'pi_1' }, AT, { what: 'disputed', severity: 'warning', text: 'fraudulent', references: [{ tool: 'stripe', key: 'pi_1' }, { tool: 'stripe', key: 'ch_1' }] }],
  ['checkout.session.completed', { id: 'cs_1', object: 'checkout.session', status: 'complete' }, AT, { what: 'completed', state: 'complete' }],
  ['payment_intent.canceled', { id: 'pi_1', object: 'payment_intent', status: 'canceled' }, AT, { what: 'cancelled', state: 'cancelled' }],
]

/** Composed after https://shopify.dev/docs/api/webhooks. */
const order = {
  id: 1,
  admin_graphql_api_id: 'gid://shopify/Order/1',
  name: '#1001',
  financial_status: 'paid',
  created_at: '2026-01-02T11:00:00+01:00',
  updated_at: '2026-01-03T11:00:00+01:00',
  customer: { id: 5 },
  line_items: [{ title: 'T-Shirt' }],
}
// biome-ignore format: a table, one event a line
const SHOPIFY: readonly Row[] = [
  ['orders.create', order, AT, { what: 'created', state: 'paid', title: '#1001', text: 'T-Shirt' }],
  ['orders.paid', order, '2026-01-03T10:00:00.000Z', { what: 'paid', state: 'paid' }],
  ['orders.cancelled', { ...order, cancelled_at: '2026-01-02T10:00:00Z', cancel_reason: 'fraud' }, AT, { what: 'cancelled', state: 'cancelled', text: 'fraud T-Shirt' }],
  ['orders.fulfilled', { ...order, fulfillment_status: 'fulfilled' }, '2026-01-03T10:00:00.000Z', { what: 'fulfilled', state: 'fulfilled' }],
  ['refunds.create', { id: 9, order_id: 1, created_at: '2026-01-02T10:00:00Z', note: 'Too small' }, AT, { what: 'refunded', text: 'Too small' }],
  ['products.delete', { id: 7 }, undefined, { what: 'deleted', state: 'deleted' }],
  ['app.uninstalled', { id: 5, myshopify_domain: 'acme.myshopify.com', updated_at: '2026-01-02T10:00:00Z' }, AT, { what: 'uninstalled the app' }],
]

describe('digests of Stripe events', () => {
  it.each(STRIPE)('%s', (type, object, at, expected) => {
    const made = digest('stripe', stripe(type, object))
    expect(made).toMatchObject(expected)
    expect(timeOf(made)).toBe(at)
    expect(made.who).toBeUndefined()
  })

  it('of thin events, whose time is written out', () => {
    const thin = {
      object: 'v2.core.event',
      type: 'v1.billing.meter.error_report_triggered',
      created: '2026-01-02T10:00:00.000Z',
      related_object: { id: 'mtr_1', type: 'billing.meter' },
    }
    const made = digest('stripe', thin)
    expect(made.what).toBe('error report triggered')
    expect(timeOf(made)).toBe(AT)
  })
})

describe('digests of Shopify events', () => {
  it.each(SHOPIFY)('%s', (type, payload, at, expected) => {
    const made = digest('shopify', payload, type)
    expect(made).toMatchObject(expected)
    expect(timeOf(made)).toBe(at)
  })

  it('refer to the customer by number, and keep nothing else of them', () => {
    const made = digest(
      'shopify',
      { ...order, email: 'jordan@example.com', customer: { id: 5, first_name: 'Jordan' } },
      'orders.create',
    )
    expect(keysOf(made)).toEqual(['shopify customer/5'])
    expect(JSON.stringify(made)).not.toMatch(/jordan/i)
  })
})
