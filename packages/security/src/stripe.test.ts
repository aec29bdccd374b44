import fc from 'fast-check'
import Stripe from 'stripe'
import { describe, expect, it } from 'vitest'
import { createStripeVerifier, signStripe } from './stripe.ts'
import { BODY, judge, NOW_S, TOLERANCE_MS } from './verifier.test-support.ts'

const SECRET = 'whsec_test_secret'
const RIGHT = signStripe(Buffer.from(SECRET), NOW_S, BODY)
const WRONG = `v1=${'0'.repeat(64)}`
const verifier = createStripeVerifier([Buffer.from(SECRET)], TOLERANCE_MS)
const judged = (value: string, nowMs = NOW_S * 1000) =>
  judge(verifier, { 'stripe-signature': value }, { nowMs })

describe('Stripe signatures', () => {
  it("agree with what Stripe's own library signs, for any text", () => {
    const secrets = fc.string({ minLength: 1, unit: 'binary' })
    fc.assert(
      fc.property(secrets, fc.string({ unit: 'binary' }), (secret, payload) => {
        const value = Stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp: NOW_S })
        const body = Buffer.from(payload)
        expect(signStripe(Buffer.from(secret), NOW_S, body)).toBe(value)
        const own = createStripeVerifier([Buffer.from(secret)], TOLERANCE_MS)
        expect(judge(own, { 'stripe-signature': value }, { body })).toEqual({ ok: true })
      }),
    )
  })

  it("are believed by Stripe's own library", () => {
    const event = '{"id":"evt_test_webhook","object":"event"}'
    const value = signStripe(Buffer.from(SECRET), NOW_S, Buffer.from(event))
    expect(Stripe.webhooks.constructEvent(event, value, SECRET, 300, undefined, NOW_S * 1000).id).toBe(
      'evt_test_webhook',
    )
  })

  it('have the form that the documentation shows', () => {
    // https://docs.stripe.com/webhooks/signature: the secret of this one is not published.
    const shown =
      't=1492774577,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd,v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39'
    expect(judged(shown)).toMatchObject({ reason: 'mismatch' })
  })

  it('are several while a secret is rolled, of which one v1 has to be right', () => {
    const [time, v1] = RIGHT.split(',') as [string, string]
    expect(judged(`${time},${WRONG},${v1}`)).toEqual({ ok: true })
    expect(judged(`${v1},${time}`)).toEqual({ ok: true })
    expect(judged(`${time},v0=abc,${v1}`)).toEqual({ ok: true })
    expect(judged(`${time},${WRONG}`)).toMatchObject({ reason: 'mismatch' })
  })

  it('of other schemes prove nothing', () => {
    for (const scheme of ['v0', 'v2', 'v11', 'v1a']) {
      expect(judged(RIGHT.replace('v1', scheme))).toMatchObject({ reason: 'malformed' })
    }
  })

  it('are malformed when a part is missing, repeated or in another form', () => {
    const [time, v1] = RIGHT.split(',') as [string, string]
    for (const value of [
      '',
      time,
      v1,
      `${time},${time},${v1}`,
      `${time}, ${v1}`,
      `${time},${v1},`,
      `${time},${v1}0`,
      `t=,${v1}`,
      `t=${NOW_S}000,${v1}`,
      `t=+${NOW_S},${v1}`,
      `t= ${NOW_S},${v1}`,
      `T=${NOW_S},${v1}`,
      `${time},${Array(9).fill(v1).join()}`,
    ]) {
      expect(judged(value), value).toMatchObject({ reason: 'malformed' })
    }
  })

  it('hold for the tolerance, and half a minute ahead of our clock', () => {
    const now = NOW_S * 1000
    expect(judged(RIGHT, now + TOLERANCE_MS)).toEqual({ ok: true })
    expect(judged(RIGHT, now + TOLERANCE_MS + 1)).toMatchObject({ reason: 'stale' })
    expect(judged(RIGHT, now - 30_000)).toEqual({ ok: true })
    expect(judged(RIGHT, now - 30_001)).toMatchObject({ reason: 'future' })
  })
})
