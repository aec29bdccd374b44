import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { signConnect } from './connect-jwt.ts'
import { createJiraVerifier } from './jira.ts'
import { BODY, judge, NOW_S, TOLERANCE_MS } from './verifier.test-support.ts'

const SECRET = 'a-s3cr3t-k3y'
const create = (...secrets: string[]) =>
  createJiraVerifier({
    secrets: [SECRET, ...secrets].map((secret) => Buffer.from(secret)),
    toleranceMs: TOLERANCE_MS,
  })
const digest = (algorithm: string) => createHmac(algorithm, SECRET).update(BODY).digest('hex')

describe("signatures of an administrator's webhook in Jira", () => {
  const judged = (value: string) => judge(create(), { 'x-hub-signature': value })

  it('agree with the vector that Atlassian publishes', () => {
    // https://developer.atlassian.com/cloud/jira/platform/webhooks/#secure-admin-webhooks
    const verifier = create("It's a Secret to Everybody")
    const value = 'sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9'
    expect(judge(verifier, { 'x-hub-signature': value }, { body: Buffer.from('Hello World!') })).toEqual({
      ok: true,
    })
  })

  it('may come to use a longer hash, but not SHA-1', () => {
    for (const method of ['sha256', 'sha384', 'sha512']) {
      expect(judged(`${method}=${digest(method)}`)).toEqual({ ok: true })
      expect(judged(`${method}=${digest(method).toUpperCase()}`)).toEqual({ ok: true })
      expect(judged(`${method}=${digest(method).replace(/^./, 'g')}`)).toMatchObject({ reason: 'malformed' })
      expect(judged(`${method}=${'0'.repeat(digest(method).length)}`)).toMatchObject({ reason: 'mismatch' })
    }
    expect(judged(`sha1=${digest('sha1')}`)).toMatchObject({ reason: 'malformed' })
  })

  it('are malformed in any other form', () => {
    const sha256 = digest('sha256')
    for (const value of [
      '',
      '=',
      sha256,
      `=${sha256}`,
      `sha256=${sha256.slice(1)}`,
      `sha256=${sha256}0`,
      `sha384=${sha256}`,
      `sha256=${digest('sha384')}`,
      `SHA256=${sha256}`,
      `sha-256=${sha256}`,
      `md5=${digest('md5')}`,
      `constructor=${sha256}`,
      `__proto__=${sha256}`,
      `sha256==${sha256}`,
      `sha256=${sha256}\n`,
    ]) {
      expect(judged(value), value).toMatchObject({ reason: 'malformed' })
    }
  })

  it('come before a Connect token, and must be right even beside one', () => {
    const token = signConnect(Buffer.from(SECRET), {
      issuer: 'jira:1',
      method: 'POST',
      url: '/',
      issuedAt: NOW_S,
    })
    const headers = { authorization: token, 'x-hub-signature': `sha256=${digest('sha256')}` }
    expect(judge(create(), headers)).toEqual({ ok: true })
    expect(judge(create(), headers, { body: Buffer.from('{}') })).toMatchObject({
      reason: 'mismatch',
    })
    expect(judge(create(), { ...headers, 'x-hub-signature': '' })).toMatchObject({
      reason: 'malformed',
    })
    expect(judge(create(), {})).toMatchObject({ reason: 'missing' })
  })
})
