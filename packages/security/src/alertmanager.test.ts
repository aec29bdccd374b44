import { describe, expect, it } from 'vitest'
import { alertmanagerAuthorization, createAlertmanagerVerifier } from './alertmanager.ts'
import { GENERIC_SIGNATURE_HEADER, GENERIC_TIMESTAMP_HEADER, signGeneric } from './generic.ts'
import { BODY, judge, NOW_S, TOLERANCE_MS } from './verifier.test-support.ts'

const TOKEN = Buffer.from('opaque-token')
const ACCOUNT = Buffer.from('Aladdin:open sesame')

const create = (...secrets: Buffer[]) =>
  createAlertmanagerVerifier({
    secrets,
    signatureHeader: GENERIC_SIGNATURE_HEADER,
    timestampHeader: GENERIC_TIMESTAMP_HEADER,
    toleranceMs: TOLERANCE_MS,
  })
const both = create(TOKEN, ACCOUNT)
const judged = (authorization: string | readonly string[], verifier = both) =>
  judge(verifier, { authorization })

describe('credentials of Alertmanager', () => {
  it('are a bearer token', () => {
    expect(alertmanagerAuthorization(TOKEN)).toBe('Bearer opaque-token')
    expect(judged('Bearer opaque-token')).toEqual({ ok: true })
    expect(judged('bearer  opaque-token')).toEqual({ ok: true })
    expect(judged('Bearer opaque-tokem')).toMatchObject({ reason: 'mismatch' })
  })

  it('are user and password where the secret has a colon', () => {
    // https://www.rfc-editor.org/rfc/rfc7617#section-2
    expect(alertmanagerAuthorization(ACCOUNT)).toBe('Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==')
    expect(judged('Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==')).toEqual({ ok: true })
    expect(judged(`Basic ${Buffer.from('Aladdin:').toString('base64')}`)).toMatchObject({
      reason: 'mismatch',
    })
  })

  it('count only as what they are', () => {
    expect(judged('Bearer Aladdin:opensesame', create(Buffer.from('Aladdin:opensesame')))).toMatchObject({
      reason: 'mismatch',
    })
    expect(judged(`Basic ${TOKEN.toString('base64')}`)).toMatchObject({ reason: 'malformed' })
    expect(judged('Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==')).toMatchObject({ reason: 'mismatch' })
  })

  it('are malformed in any other form', () => {
    for (const value of [
      '',
      'opaque-token',
      'Bearer',
      'Bearer ',
      'Bearer opaque-token ',
      'Bearer opaque token',
      'Bearer\topaque-token',
      'Beare opaque-token',
      'JWT opaque-token',
      'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ',
      'Basic QWxhZGRpbjpvcGVuIHNlc2FtZR==',
      'Basic Aladdin:opensesame',
      'Bearer ｏpaque-token',
      'Bearer opaque-token, Bearer opaque-token',
    ]) {
      expect(judged(value), value).toMatchObject({ reason: 'malformed' })
    }
  })

  it('are needed, and once', () => {
    expect(judge(both, {})).toMatchObject({
      reason: 'missing',
      detail: expect.stringContaining('http_config'),
    })
    expect(judged(['Bearer opaque-token', 'Bearer opaque-token'])).toMatchObject({ reason: 'duplicated' })
  })

  it('give way to a signature, which then must be right', () => {
    const headers = {
      authorization: 'Bearer opaque-token',
      [GENERIC_TIMESTAMP_HEADER]: String(NOW_S),
      [GENERIC_SIGNATURE_HEADER]: signGeneric(TOKEN, NOW_S, BODY),
    }
    const { authorization: _, ...signed } = headers
    expect(judge(both, signed)).toEqual({ ok: true })
    expect(judge(both, headers)).toEqual({ ok: true })
    expect(judge(both, headers, { body: Buffer.from('{}') })).toMatchObject({ reason: 'mismatch' })
    expect(judge(both, { ...headers, [GENERIC_SIGNATURE_HEADER]: '' })).toMatchObject({ reason: 'malformed' })
  })
})
