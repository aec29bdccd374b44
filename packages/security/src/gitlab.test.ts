import { Webhook } from 'standardwebhooks'
import { describe, expect, it } from 'vitest'
import { createGitlabVerifier, signGitlab } from './gitlab.ts'
import { BODY, judge, NOW_S, TOLERANCE_MS } from './verifier.test-support.ts'

const TOKEN = Buffer.from('a secret token')
const SIGNING = Buffer.from(`whsec_${Buffer.alloc(32, 7).toString('base64')}`)
const ID = '6d5a1c1e-2c4e-4f7c-9b0f-5b8a7b8f3f10'

const create = (...secrets: Buffer[]) => createGitlabVerifier(secrets, TOLERANCE_MS)
const signed = (secret = SIGNING) => signGitlab(secret, ID, NOW_S, BODY)
const withToken = (value: string | readonly string[]) => ({ 'x-gitlab-token': value })

describe('the secret token of GitLab', () => {
  it('is sent as it is', () => {
    expect(signed(TOKEN)).toEqual(withToken('a secret token'))
    expect(judge(create(TOKEN), withToken('a secret token'))).toEqual({ ok: true })
    expect(judge(create(Buffer.from('the next one'), TOKEN), signed(TOKEN))).toEqual({ ok: true })
  })

  it('is compared whole and exactly', () => {
    for (const value of [
      'a secret toke',
      'a secret token ',
      ' a secret token',
      'A secret token',
      'a secret tokens',
    ]) {
      expect(judge(create(TOKEN), withToken(value))).toMatchObject({ reason: 'mismatch' })
    }
    expect(judge(create(TOKEN), withToken(''))).toMatchObject({ reason: 'malformed' })
    expect(judge(create(TOKEN), {})).toMatchObject({ reason: 'missing' })
    expect(judge(create(TOKEN), withToken(['a secret token', 'a secret token']))).toMatchObject({
      reason: 'duplicated',
    })
  })

  it('may hold any character: Node hands its bytes out one by one', () => {
    const secret = Buffer.from('gürteltier')
    expect(judge(create(secret), withToken(secret.toString('latin1')))).toEqual({ ok: true })
    expect(judge(create(secret), withToken('gürteltier'))).toMatchObject({ reason: 'mismatch' })
  })

  it('does not pass for letters that would become it if they were cut to bytes', () => {
    const lookalike = [...'a secret token']
      .map((letter) => String.fromCharCode(letter.charCodeAt(0) + 0x100))
      .join('')
    expect(Buffer.from(lookalike, 'latin1')).toEqual(TOKEN)
    expect(judge(create(TOKEN), withToken(lookalike))).toMatchObject({ reason: 'malformed' })
  })

  it('cannot be one that no header carries', () => {
    for (const secret of ['token\n', ' token', 'token ', 'to\nken']) {
      expect(() => create(Buffer.from(secret))).toThrow(/line breaks/)
    }
    expect(() => create()).toThrow(TypeError)
    expect(() => create(TOKEN, Buffer.alloc(0))).toThrow(TypeError)
  })
})

describe('the signing token of GitLab', () => {
  it('signs as Standard Webhooks does', () => {
    const value = new Webhook(SIGNING.toString()).sign(ID, new Date(NOW_S * 1000), BODY.toString())
    expect(signed()).toEqual({
      'webhook-id': ID,
      'webhook-timestamp': String(NOW_S),
      'webhook-signature': value,
    })
    expect(judge(create(SIGNING), signed())).toEqual({ ok: true })
    expect(judge(create(SIGNING), signed(), { nowMs: NOW_S * 1000 + TOLERANCE_MS + 1 })).toMatchObject({
      reason: 'stale',
    })
  })

  it('is never sent as a token', () => {
    expect(judge(create(SIGNING), withToken(SIGNING.toString()))).toMatchObject({ reason: 'missing' })
    expect(judge(create(SIGNING, TOKEN), withToken(SIGNING.toString()))).toMatchObject({ reason: 'mismatch' })
  })

  it('that is damaged is refused at once, and not taken for a secret token', () => {
    expect(() => create(Buffer.from('whsec_%'))).toThrow(/behind whsec_ must stand base64/)
  })
})

describe('both tokens of GitLab', () => {
  it('let each way pass', () => {
    const both = create(TOKEN, SIGNING)
    expect(judge(both, withToken('a secret token'))).toEqual({ ok: true })
    expect(judge(both, signed())).toEqual({ ok: true })
    expect(judge(both, { ...signed(), ...withToken('another') })).toEqual({ ok: true })
  })

  it('do not let a right token excuse a wrong signature', () => {
    const wrong = { ...signed(), 'webhook-id': 'another' }
    expect(judge(create(TOKEN, SIGNING), { ...wrong, ...withToken('a secret token') })).toMatchObject({
      reason: 'mismatch',
    })
  })

  it('need not be both known: without the signing token the other decides', () => {
    expect(judge(create(TOKEN), { ...signed(), ...withToken('a secret token') })).toEqual({ ok: true })
    expect(judge(create(TOKEN), signed())).toMatchObject({ reason: 'missing' })
  })
})
