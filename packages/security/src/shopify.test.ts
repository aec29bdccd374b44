import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createShopifyVerifier, signShopify } from './shopify.ts'
import { BODY, judge } from './verifier.test-support.ts'

const SECRET = Buffer.from('hush')
const verifier = createShopifyVerifier([SECRET])
const judged = (value: string) => judge(verifier, { 'x-shopify-hmac-sha256': value })

describe('Shopify signatures', () => {
  it('are the digest in base64', () => {
    const value = createHmac('sha256', SECRET).update(BODY).digest('base64')
    expect(signShopify(SECRET, BODY)).toBe(value)
    expect(judged(value)).toEqual({ ok: true })
  })

  it('have one spelling: unused bits, other alphabets, padding and white space are malformed', () => {
    const value = signShopify(SECRET, BODY)
    const last = value.charAt(42)
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
    const sloppy = alphabet.charAt(alphabet.indexOf(last) + 1)
    // Node decodes all of these to the same 32 bytes.
    for (const other of [
      `${value.slice(0, 42)}${sloppy}=`,
      Buffer.from(value, 'base64').toString('base64url'),
      value.slice(0, 43),
      `${value}=`,
      `${value} `,
      `${value.slice(0, 20)}\n${value.slice(20)}`,
    ]) {
      expect(Buffer.from(other, 'base64')).toEqual(Buffer.from(value, 'base64'))
      expect(judged(other)).toMatchObject({ reason: 'malformed' })
    }
    for (const other of [
      '',
      '=',
      'AAAA',
      Buffer.alloc(31).toString('base64'),
      Buffer.alloc(33).toString('base64'),
    ]) {
      expect(judged(other)).toMatchObject({ reason: 'malformed' })
    }
  })
})
