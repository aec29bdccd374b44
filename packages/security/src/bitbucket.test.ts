import { describe, expect, it } from 'vitest'
import { createBitbucketVerifier, signBitbucket } from './bitbucket.ts'
import { judge } from './verifier.test-support.ts'

describe('Bitbucket signatures', () => {
  // https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/, "Testing"; the same as in Jira's page.
  const secret = Buffer.from("It's a Secret to Everybody")
  const body = Buffer.from('Hello World!')
  const published = 'sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9'
  const verifier = createBitbucketVerifier([secret])

  it('agree with the vector that Atlassian publishes', () => {
    expect(signBitbucket(secret, body)).toBe(published)
    expect(judge(verifier, { 'x-hub-signature': published }, { body })).toEqual({ ok: true })
  })

  it('stand in their own header, not in that of GitHub', () => {
    expect(judge(verifier, { 'x-hub-signature-256': published }, { body })).toMatchObject({
      reason: 'missing',
    })
  })

  it('are SHA-256 alone', () => {
    for (const value of [`sha1=${'0'.repeat(40)}`, `sha512=${'0'.repeat(128)}`, published.slice(7)]) {
      expect(judge(verifier, { 'x-hub-signature': value }, { body })).toMatchObject({ reason: 'malformed' })
    }
  })
})
