import fc from 'fast-check'
import { Webhook } from 'standardwebhooks'
import { describe, expect, it } from 'vitest'
import { createStandardVerifier, signStandard } from './standard.ts'
import { BODY, judge, NOW_S, TOLERANCE_MS } from './verifier.test-support.ts'

// https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/python/tests/test_webhooks.py
const SECRET = Buffer.from('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')
const ID = 'msg_p5jXN8AQM9LWM0D4loKWxJek'
const TIME = 1_614_265_330
const PAYLOAD = Buffer.from('{"test": 2432232314}')
const V1 = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='

// https://github.com/svix/svix-webhooks/blob/main/server/svix-server/src/worker.rs, test_asymmetric_key_signing
const PRIVATE = Buffer.from(
  'whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==',
)
const SEED = Buffer.from('whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=')
const PUBLIC = Buffer.from('whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=')
const V1A = 'v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=='

const WRONG = `v1,${Buffer.alloc(32).toString('base64')}`
const WRONG_A = `v1a,${Buffer.alloc(64).toString('base64')}`

const signed = (signature: string | readonly string[] = V1, id = ID, timestamp = String(TIME)) => ({
  'webhook-id': id,
  'webhook-timestamp': timestamp,
  'webhook-signature': signature,
})
function judged(headers: ReturnType<typeof signed>, secrets: readonly Buffer[] = [SECRET], ageMs = 0) {
  const verifier = createStandardVerifier(secrets, TOLERANCE_MS)
  return judge(verifier, headers, { body: PAYLOAD, nowMs: TIME * 1000 + ageMs })
}

describe('signatures of Standard Webhooks', () => {
  it('agree with the vectors of the reference implementations', () => {
    expect(signStandard(SECRET, ID, TIME, PAYLOAD)).toEqual(signed(V1))
    expect(judged(signed(V1))).toEqual({ ok: true })
    expect(signStandard(PRIVATE, ID, TIME, PAYLOAD)).toEqual(signed(V1A))
    expect(signStandard(SEED, ID, TIME, PAYLOAD)).toEqual(signed(V1A))
    expect(judged(signed(V1A), [PUBLIC])).toEqual({ ok: true })
  })

  it('agree with what their library signs, for any text', () => {
    const keys = fc.uint8Array({ minLength: 24, maxLength: 64 })
    fc.assert(
      fc.property(keys, fc.uuid(), fc.string({ minLength: 1, unit: 'binary' }), (key, id, payload) => {
        const secret = `whsec_${Buffer.from(key).toString('base64')}`
        const value = new Webhook(secret).sign(id, new Date(NOW_S * 1000), payload)
        const body = Buffer.from(payload)
        const headers = signStandard(Buffer.from(secret), id, NOW_S, body)
        expect(headers['webhook-signature']).toBe(value)
        const verifier = createStandardVerifier([Buffer.from(secret)], TOLERANCE_MS)
        expect(judge(verifier, headers, { body })).toEqual({ ok: true })
      }),
    )
  })

  it('are a list, of any kinds, in which one has to be right', () => {
    expect(judged(signed(`${WRONG} ${V1}`))).toEqual({ ok: true })
    expect(judged(signed(`${V1} ${WRONG_A} v2,abc`))).toEqual({ ok: true })
    expect(judged(signed(`${WRONG_A} ${V1A}`), [PUBLIC])).toEqual({ ok: true })
    expect(judged(signed(`${WRONG} ${V1A}`), [SECRET, PUBLIC])).toEqual({ ok: true })
    expect(judged(signed(`${V1} ${WRONG_A}`), [SECRET, PUBLIC])).toEqual({ ok: true })
    expect(judged(signed(`${WRONG} ${WRONG_A}`), [SECRET, PUBLIC])).toMatchObject({ reason: 'mismatch' })
  })

  it('of a kind that our keys cannot verify are as good as none', () => {
    expect(judged(signed(V1A))).toMatchObject({ reason: 'missing' })
    expect(judged(signed(V1), [PUBLIC])).toMatchObject({ reason: 'missing' })
    expect(judged(signed('v2,abc'))).toMatchObject({ reason: 'missing' })
  })

  it('are never of one kind under the name of the other', () => {
    expect(judged(signed(V1A.replace('v1a', 'v1')), [SECRET, PUBLIC])).toMatchObject({ reason: 'malformed' })
    expect(judged(signed(V1.replace('v1', 'v1a')), [SECRET, PUBLIC])).toMatchObject({ reason: 'malformed' })
  })

  it('are malformed when a part of the list is', () => {
    for (const value of [
      '',
      ' ',
      V1.slice(3),
      `${V1} `,
      `${V1}  ${V1}`,
      `${V1},${V1}`,
      `${V1}\t${V1}`,
      V1.replace('=', ''),
      `${V1}=`,
      V1.replace('v1', 'V1'),
      V1.replaceAll('+', '-'),
      V1.replace('E=', 'F='),
      V1A.replace('g==', 'h=='),
      'v1,',
      'v1a,',
      Array(9).fill(V1).join(' '),
    ]) {
      expect(judged(signed(value), [SECRET, PUBLIC]), value).toMatchObject({ reason: 'malformed' })
    }
    expect(judged(signed([V1, V1]))).toMatchObject({ reason: 'duplicated' })
  })

  it('cover the id, which holds no full stop', () => {
    expect(judged(signed(V1, `${ID}x`))).toMatchObject({ reason: 'mismatch' })
    for (const id of ['', 'a.b', 'a b', 'ä', 'a'.repeat(257)]) {
      expect(judged(signed(V1, id))).toMatchObject({ reason: 'malformed' })
    }
    // The same signed bytes, cut in another place.
    const body = Buffer.from('1614265330.{}')
    const headers = signStandard(SECRET, 'msg', TIME, body)
    const shifted = { ...headers, 'webhook-id': `msg.${TIME}` }
    const verifier = createStandardVerifier([SECRET], TOLERANCE_MS)
    expect(judge(verifier, shifted, { body: Buffer.from('{}'), nowMs: TIME * 1000 })).toMatchObject({
      reason: 'malformed',
    })
    expect(() => signStandard(SECRET, 'a.b', TIME, BODY)).toThrow(/full stop/)
  })

  it('hold for the tolerance, and half a minute ahead of our clock', () => {
    for (const [signature, key] of [[V1, SECRET] as const, [V1A, PUBLIC] as const]) {
      expect(judged(signed(signature), [key], TOLERANCE_MS)).toEqual({ ok: true })
      expect(judged(signed(signature), [key], TOLERANCE_MS + 1)).toMatchObject({ reason: 'stale' })
      expect(judged(signed(signature), [key], -30_000)).toEqual({ ok: true })
      expect(judged(signed(signature), [key], -30_001)).toMatchObject({ reason: 'future' })
    }
  })

  it('need all three headers', () => {
    const verifier = createStandardVerifier([SECRET], TOLERANCE_MS)
    for (const name of ['webhook-id', 'webhook-timestamp', 'webhook-signature']) {
      const headers = Object.fromEntries(Object.entries(signed()).filter(([header]) => header !== name))
      expect(judge(verifier, headers, { body: PAYLOAD })).toMatchObject({
        reason: 'missing',
        detail: expect.stringContaining(name),
      })
    }
  })
})

describe('secrets of Standard Webhooks', () => {
  const create = (...secrets: string[]) =>
    createStandardVerifier(
      secrets.map((secret) => Buffer.from(secret)),
      TOLERANCE_MS,
    )

  it.each([
    ['none', [], /at least one secret/],
    ['an empty one', [''], /must not be empty/],
    ['the base64 alone', ['MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'], /write whsec_ before it/],
    ['nothing behind the prefix', ['whsec_'], /behind whsec_ must stand base64/],
    ['no base64', ['whsec_not base64!'], /behind whsec_ must stand base64/],
    ['a line break at the end', ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n'], /line breaks/],
    ['a public key that is cut off', ['whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbO'], /32 bytes/],
    ['the private key', [SEED.toString()], /the public one, whpk_/],
    ['a good one and a bad one', [SECRET.toString(), 'whsec_%'], /behind whsec_/],
  ])('cannot be %s', (_, secrets, message) => {
    expect(() => create(...secrets)).toThrow(TypeError)
    expect(() => create(...secrets)).toThrow(message)
  })

  it('may leave out the padding', () => {
    const padded = Buffer.from(`whsec_${Buffer.from('thirty-two bytes of a good key!!').toString('base64')}`)
    const headers = signStandard(padded, ID, NOW_S, BODY)
    expect(judge(create(padded.toString().replace('=', '')), headers)).toEqual({ ok: true })
  })

  it('that only verify sign nothing', () => {
    expect(() => signStandard(PUBLIC, ID, TIME, BODY)).toThrow(/whsec_/)
    expect(() => signStandard(Buffer.from('whsk_AAAA'), ID, TIME, BODY)).toThrow(/32 or 64 bytes/)
  })

  it('are not repeated by what is said of them', () => {
    expect(() => create('whsec_topsecret!')).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('topsecret') }),
    )
  })
})
