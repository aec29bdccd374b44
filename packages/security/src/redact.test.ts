import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRedactor, REDACTED } from './redact.ts'

const redact = createRedactor({
  secrets: ['correct horse battery', 'correct horse', 'short'],
  fields: ['national-id'],
})

describe('redaction', () => {
  it.each([
    ['a secret that is known', 'the key correct horse battery is wrong', `the key ${REDACTED} is wrong`],
    ['GitHub', 'bad credentials ghp_0123456789abcdefghijABCDEFGHIJ012345', `bad credentials ${REDACTED}`],
    ['Slack', 'xoxb-123456789012-abcdef', REDACTED],
    [
      'Stripe',
      'Invalid API Key provided: sk_live_abcdefghij0123456789',
      `Invalid API Key provided: ${REDACTED}`,
    ],
    ['Standard Webhooks', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', REDACTED],
    ['AWS', 'AKIAIOSFODNN7EXAMPLE', REDACTED],
    ['a web token', 'got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefgh', `got ${REDACTED}`],
    [
      'an address with a password',
      'cannot reach redis://me:hunter22@db:6379/0',
      `cannot reach redis://${REDACTED}@db:6379/0`,
    ],
    ['a header', 'Authorization: Bearer abcdefghijk', `Authorization: ${REDACTED} ${REDACTED}`],
    ['a scheme alone', 'sent bearer abcdefghijk', `sent bearer ${REDACTED}`],
    [
      'a member of JSON',
      '{"user":"me","password":"a\\"b c","n":1}',
      `{"user":"me","password":"${REDACTED}","n":1}`,
    ],
    ['a form', 'POST ?user=me&access_token=abc&n=1', `POST ?user=me&access_token=${REDACTED}&n=1`],
    [
      'a field of the configuration',
      'national_id=123 national-ID: "456"',
      `national_id=${REDACTED} national-ID: "${REDACTED}"`,
    ],
    [
      'a private key',
      '-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- x',
      `${REDACTED} x`,
    ],
  ])('of %s', (_, text, expected) => {
    expect(redact(text)).toBe(expected)
  })

  it.each([
    'connect ECONNREFUSED 127.0.0.1:6379',
    'handler did not finish within 30000 ms (consumer.handler_timeout)',
    'the tokenizer failed at token 7',
    'see https://example.com/a?b=c',
    'a short word',
  ])('leaves %s as it is', (text) => {
    expect(redact(text)).toBe(text)
  })

  it('of a known secret, wherever it stands, and nothing of it is left', () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 8, maxLength: 40 }),
        fc.string(),
        fc.string(),
        (secret, before, after) => {
          fc.pre(!REDACTED.includes(secret) && secret.trim() !== '')
          const told = createRedactor({ secrets: [secret], fields: [] })(`${before}${secret}${after}`)
          expect(told).not.toContain(secret)
        },
      ),
    )
  })

  it('does not hang on texts that were made for it, and cuts what is too long for a message', () => {
    const hostile = ['\\', 'a', ':', '"', ' ', 'token ', 'eyJa.', '://a:', '-----BEGIN PRIVATE KEY-----']
    for (const part of hostile) {
      for (const beginning of ['', '"password":"', 'eyJ', '://', 'Bearer ']) {
        expect(redact(beginning + part.repeat(100_000)).length).toBeLessThanOrEqual(20_100)
      }
    }
  })
})
