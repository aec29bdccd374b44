import { describe, expect, it } from 'vitest'
import { request } from './fixtures.test-support.ts'
import { stripe } from './stripe.ts'

/** A snapshot event, composed after https://docs.stripe.com/api/events/object; not captured. */
const paid = {
  id: 'evt_1NG8Du2eZvKYlo2CUI79vXWy',
  object: 'event',
  api_version: '2025-09-30.clover',
  created: 1_686_089_970,
  data: {
    object: {
      id: 'in_1NG8Du2eZvKYlo2C9XMqbR0x',
      object: 'invoice',
      number: '4F5A0D2E-0001',
      amount_paid: 2000,
      currency: 'usd',
      hosted_invoice_url: 'https://invoice.stripe.com/i/acct_1/live_secret',
      status: 'paid',
    },
  },
  livemode: true,
  pending_webhooks: 1,
  request: { id: null, idempotency_key: null },
  type: 'invoice.paid',
}

/** A thin event, composed after https://docs.stripe.com/api/v2/core/events; not captured. */
const thin = {
  id: 'evt_test_65R9Ijk8dKEYZcXeRWn16R9A7j1FSQ3w3TGDPLLGSM4CW0',
  object: 'v2.core.event',
  type: 'v1.billing.meter.error_report_triggered',
  created: '2024-09-17T06:20:52.246Z',
  livemode: false,
  related_object: {
    id: 'mtr_test_61R9IeP0SgKbYROOx41PEAQhH0qO23oW',
    type: 'billing.meter',
    url: '/v1/billing/meters/mtr_test_61R9IeP0SgKbYROOx41PEAQhH0qO23oW',
  },
}

describe('the Stripe adapter', () => {
  it('reads type and id from the body: Stripe has no headers for them', () => {
    expect(stripe.readsBody).toBe(true)
    expect(stripe.type(request({}, paid))).toBe('invoice.paid')
    expect(stripe.occurrence(request({}, paid))).toEqual({ kind: 'delivery-id', value: paid.id })
    expect(stripe.type(request({}, thin))).toBe('v1.billing.meter.error_report_triggered')
    expect(stripe.occurrence(request({}, thin))).toEqual({ kind: 'delivery-id', value: thin.id })
  })

  it('knows an event again although each attempt is signed anew', () => {
    const attempt = (t: number) => request({ 'stripe-signature': `t=${t},v1=${'0'.repeat(64)}` }, paid)
    expect(stripe.occurrence(attempt(2))).toEqual(stripe.occurrence(attempt(1)))
  })

  it.each([
    [
      'v2.core.account[configuration.merchant].capability_status_updated',
      'v2.core.account.configuration.merchant.capability_status_updated',
    ],
    ['v2.core.account[requirements].updated', 'v2.core.account.requirements.updated'],
    ['<script>', 'unknown'],
    [`v1.${'x'.repeat(64)}`, 'unknown'],
    [7, 'unknown'],
  ])('of %j the type is %s', (type, expected) => {
    expect(stripe.type(request({}, { type }))).toBe(expected)
  })

  it('leaves the identity to the body of what is no event', () => {
    expect(stripe.occurrence(request({}, { id: 7 }))).toBeUndefined()
    expect(stripe.occurrence(request({}, []))).toBeUndefined()
  })

  it('is about the object, without the address that opens it', () => {
    expect(stripe.subject('invoice.paid', paid)).toEqual({
      key: 'in_1NG8Du2eZvKYlo2C9XMqbR0x',
      kind: 'invoice',
      title: '4F5A0D2E-0001',
    })
    expect(stripe.subject(thin.type, thin)).toEqual({ key: thin.related_object.id, kind: 'billing.meter' })
    expect(stripe.subject('balance.available', { data: { object: { object: 'balance' } } })).toBeUndefined()
  })
})
