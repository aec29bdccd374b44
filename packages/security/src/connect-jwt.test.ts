import { createHmac } from 'node:crypto'
import { createQueryStringHash, encodeSymmetric, fromMethodAndUrl, SymmetricAlgorithm } from 'atlassian-jwt'
import { describe, expect, it } from 'vitest'
import { signConnect } from './connect-jwt.ts'
import { createJiraVerifier } from './jira.ts'
import { judge, NOW_S, TOLERANCE_MS } from './verifier.test-support.ts'

const SECRET = 'a-s3cr3t-k3y'
const URL_OF_HOOK = '/webhooks/jira?user_id=admin&user_key=a+b'
const create = (options: { issuers?: string[]; basePath?: string } = {}) =>
  createJiraVerifier({ secrets: [Buffer.from(SECRET)], toleranceMs: TOLERANCE_MS, ...options })

const CLAIMS = {
  iss: 'jira:15489595',
  iat: NOW_S,
  exp: NOW_S + 180,
  qsh: createQueryStringHash(fromMethodAndUrl('POST', URL_OF_HOOK)),
}
const tokenOf = (claims: object, algorithm = SymmetricAlgorithm.HS256, secret = SECRET) =>
  `JWT ${encodeSymmetric(claims, secret, algorithm)}`
/** With any header, correctly signed. */
function crafted(header: object, claims: object | string = CLAIMS): string {
  const text = typeof claims === 'string' ? claims : JSON.stringify(claims)
  const signed = [JSON.stringify(header), text]
    .map((part) => Buffer.from(part).toString('base64url'))
    .join('.')
  return `JWT ${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`
}

describe('tokens of a Connect app for Jira', () => {
  const judged = (
    authorization: string,
    verifier = create(),
    ageMs = 0,
    url = URL_OF_HOOK,
    method = 'POST',
  ) => judge(verifier, { authorization }, { method, url, nowMs: NOW_S * 1000 + ageMs })

  it("agree with what Atlassian's own library signs", () => {
    expect(judged(tokenOf(CLAIMS))).toEqual({ ok: true })
    const ours = signConnect(Buffer.from(SECRET), {
      issuer: CLAIMS.iss,
      method: 'POST',
      url: URL_OF_HOOK,
      issuedAt: NOW_S,
    })
    expect(ours).toBe(tokenOf(CLAIMS))
  })

  it('have the signature of the standard', () => {
    // RFC 7515, A.1: signed with HS256, but its claims are not those of Connect.
    const key = Buffer.from(
      'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
      'base64url',
    )
    const token =
      'JWT eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
    const verifier = createJiraVerifier({ secrets: [key], toleranceMs: TOLERANCE_MS })
    expect(judged(token, verifier)).toMatchObject({
      detail: expect.stringContaining('iss, iat, exp and qsh'),
    })
    expect(judged(token)).toMatchObject({ reason: 'mismatch' })
  })

  it('are signed with HS256 and nothing else', () => {
    const [head, body] = tokenOf(CLAIMS).slice(4).split('.')
    const none = Buffer.from('{"typ":"JWT","alg":"none"}').toString('base64url')
    for (const authorization of [
      tokenOf(CLAIMS, SymmetricAlgorithm.HS384),
      tokenOf(CLAIMS, SymmetricAlgorithm.HS512),
      `JWT ${none}.${body}.`,
      `JWT ${head}.${body}.`,
      `JWT ${head}.${body}`,
      crafted({ alg: 'none' }),
      crafted({ alg: 'RS256' }),
      crafted({ alg: 'hs256' }),
      crafted({ alg: ['HS256'] }),
      crafted({}),
      crafted({ alg: 'HS256', crit: ['exp'] }),
    ]) {
      expect(judged(authorization), authorization).toMatchObject({ reason: 'malformed' })
    }
  })

  it.each([
    ['another method', { method: 'PUT' }],
    ['another path', { url: '/webhooks/jira2?user_id=admin&user_key=a+b' }],
    ['another query', { url: '/webhooks/jira?user_id=root&user_key=a+b' }],
    ['one parameter more', { url: `${URL_OF_HOOK}&x=1` }],
    ['no query', { url: '/webhooks/jira' }],
    ['a query that is no query', { url: '/webhooks/jira?%' }],
  ])(
    'do not count for %s',
    (_, { method = 'POST', url = URL_OF_HOOK }: { method?: string; url?: string }) => {
      expect(judged(tokenOf(CLAIMS), create(), 0, url, method)).toMatchObject({
        reason: 'mismatch',
        detail: expect.stringContaining('qsh'),
      })
    },
  )

  it('count for the same query in another order, and below the base path of the app', () => {
    expect(judged(tokenOf(CLAIMS), create(), 0, '/webhooks/jira/?user_key=a%20b&user_id=admin')).toEqual({
      ok: true,
    })
    for (const basePath of ['/weir', '/weir/']) {
      expect(judged(tokenOf(CLAIMS), create({ basePath }), 0, `/weir${URL_OF_HOOK}`)).toEqual({ ok: true })
    }
  })

  it('come from a known site, where sites are named', () => {
    expect(judged(tokenOf(CLAIMS), create({ issuers: ['other', CLAIMS.iss] }))).toEqual({ ok: true })
    expect(judged(tokenOf(CLAIMS), create({ issuers: ['other'] }))).toMatchObject({
      reason: 'mismatch',
      detail: expect.stringContaining('iss'),
    })
  })

  it('expire, by themselves and after the tolerance, with half a minute of leeway', () => {
    const token = tokenOf(CLAIMS)
    expect(judged(token, create(), 210_000)).toEqual({ ok: true })
    expect(judged(token, create(), 210_001)).toMatchObject({ reason: 'stale' })
    const longLived = tokenOf({ ...CLAIMS, exp: NOW_S + 86_400 })
    expect(judged(longLived, create(), TOLERANCE_MS)).toEqual({ ok: true })
    expect(judged(longLived, create(), TOLERANCE_MS + 1)).toMatchObject({ reason: 'stale' })
    expect(judged(token, create(), -30_000)).toEqual({ ok: true })
    expect(judged(token, create(), -30_001)).toMatchObject({ reason: 'future' })
    const later = tokenOf({ ...CLAIMS, nbf: NOW_S + 60 })
    expect(judged(later, create(), 30_000)).toEqual({ ok: true })
    expect(judged(later, create(), 29_999)).toMatchObject({ reason: 'future' })
  })

  it('have all claims, each of its kind', () => {
    for (const claims of [
      ...Object.keys(CLAIMS).map((name) => ({ ...CLAIMS, [name]: undefined })),
      ...Object.keys(CLAIMS).map((name) => ({ ...CLAIMS, [name]: [] })),
      { ...CLAIMS, exp: String(CLAIMS.exp) },
      { ...CLAIMS, nbf: 'soon' },
      'null',
      '[]',
      '{}',
      '"text"',
      'no JSON',
      JSON.stringify(CLAIMS).replace(String(CLAIMS.exp), '1e999'),
    ]) {
      const authorization = crafted({ typ: 'JWT', alg: 'HS256' }, claims)
      expect(judged(authorization), JSON.stringify(claims)).toMatchObject({ reason: 'malformed' })
    }
  })

  it('are malformed in any other form', () => {
    const token = tokenOf(CLAIMS)
    for (const value of [
      `${token} `,
      `${token}=`,
      `${token}.`,
      'JWT ',
      'JWT ..',
      token.replace('JWT ', 'JWT  '),
    ]) {
      expect(judged(value), value).toMatchObject({ reason: 'malformed' })
    }
    for (const value of ['', token.slice(4), token.replace('JWT', 'Bearer'), 'Basic eA==']) {
      expect(judged(value), value).toMatchObject({ reason: 'missing' })
    }
  })
})
