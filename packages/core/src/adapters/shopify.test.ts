import { describe, expect, it } from 'vitest'
import { request } from './fixtures.test-support.ts'
import { shopify } from './shopify.ts'

/** As https://shopify.dev/docs/apps/build/webhooks/delivery-structure#headers lists them; values are made up. */
const headers = {
  'x-shopify-topic': 'orders/create',
  'x-shopify-shop-domain': 'acme.myshopify.com',
  'x-shopify-webhook-id': 'b54557e4-bdd9-4b37-8a5f-bf7d70bcd043',
  'x-shopify-event-id': '98880550-7158-44d4-b7cd-2c97c8a091b5',
  'x-shopify-triggered-at': '2026-03-29T18:00:27.877041743Z',
  'x-shopify-api-version': '2026-01',
}

/** Composed after https://shopify.dev/docs/api/webhooks (orders/create), shortened; not captured. */
const order = {
  id: 820_982_911_946,
  admin_graphql_api_id: 'gid://shopify/Order/820982911946',
  name: '#1001',
  email: 'jordan@example.com',
  currency: 'EUR',
  total_price: '398.00',
  financial_status: 'paid',
  order_status_url: 'https://acme.myshopify.com/690933842/orders/123456abcd/authenticate?key=abcdefg',
  customer: { id: 115_310_627, email: 'jordan@example.com' },
  line_items: [{ id: 866_550_311, title: 'T-Shirt', quantity: 2, price: '199.00' }],
}

describe('the Shopify adapter', () => {
  it('takes type and id from the headers, without reading the body', () => {
    expect(shopify.readsBody).toBe(false)
    expect(shopify.type(request(headers))).toBe('orders.create')
    expect(shopify.eventName('orders.create', order)).toBe('orders.create')
    expect(shopify.occurrence(request(headers))).toEqual({
      kind: 'delivery-id',
      value: 'b54557e4-bdd9-4b37-8a5f-bf7d70bcd043',
    })
  })

  it.each([
    ['app/uninstalled', 'app.uninstalled'],
    ['fulfillment_orders/cancellation_request_accepted', 'fulfillment_orders.cancellation_request_accepted'],
    ['orders/create/more', 'unknown'],
    ['/orders', 'unknown'],
    ['', 'unknown'],
    [undefined, 'unknown'],
  ])('of the topic %j the type is %s', (topic, type) => {
    expect(shopify.type(request({ 'x-shopify-topic': topic }))).toBe(type)
  })

  it('tells apart the deliveries of one event to several subscriptions', () => {
    const paid = { ...headers, 'x-shopify-topic': 'orders/paid', 'x-shopify-webhook-id': 'another' }
    expect(shopify.occurrence(request(paid))).not.toEqual(shopify.occurrence(request(headers)))
  })

  it('leaves the identity to the body, which retries repeat, where there is no id', () => {
    expect(
      shopify.occurrence(request({ ...headers, 'x-shopify-webhook-id': undefined }, order)),
    ).toBeUndefined()
  })

  it('keeps no signature', () => {
    expect(shopify.keptHeaders).not.toContain('x-shopify-hmac-sha256')
  })

  it('is about the order, without the link that opens it', () => {
    expect(shopify.subject('orders.create', order)).toEqual({
      key: 'order/820982911946',
      kind: 'order',
      title: '#1001',
    })
  })

  it.each([
    ['refunds.create', { id: 890_088_186, order_id: 820_982_911_946 }, 'order', 'order/820982911946'],
    [
      'draft_orders.create',
      { admin_graphql_api_id: 'gid://shopify/DraftOrder/9', order_id: null },
      'draft_order',
      'draft_order/9',
    ],
    ['products.delete', { id: 788_032_119 }, 'product', 'product/788032119'],
    [
      'app.uninstalled',
      { id: 548, myshopify_domain: 'acme.myshopify.com' },
      'shop',
      'shop/acme.myshopify.com',
    ],
    [
      'shop.redact',
      { shop_id: 954_889, shop_domain: 'acme.myshopify.com' },
      'shop',
      'shop/acme.myshopify.com',
    ],
    [
      'customers.redact',
      { shop_domain: 'acme.myshopify.com', customer: { id: 191_167 } },
      'customer',
      'customer/191167',
    ],
  ])('%s with %j is about a %s', (type, payload, kind, key) => {
    expect(shopify.subject(type, payload)).toMatchObject({ kind, key })
  })

  it('believes the number that is written as text, when the other is too large to be exact', () => {
    const payload: unknown = JSON.parse(
      '{"id":820982911946154508,"admin_graphql_api_id":"gid://shopify/Order/820982911946154508"}',
    )
    expect(shopify.subject('orders.create', payload)?.key).toBe('order/820982911946154508')
  })

  it('says nothing about a cart, whose id opens it', () => {
    const id = 'eeafa272cebfd4b22385bc4b645e762c'
    expect(shopify.subject('carts.update', { id, token: id })).toBeUndefined()
  })
})
