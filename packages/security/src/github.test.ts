import { createHmac } from 'node:crypto'
import { sign } from '@octokit/webhooks-methods'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createGithubVerifier, signGithub } from './github.ts'
import { judge as judgeBy } from './verifier.test-support.ts'
import type { SignedHeaders, Verdict } from './verifier.ts'

const SECRET = Buffer.from("It's a Secret to Everybody")
const BODY = Buffer.from('Hello, World!')
/** Published by GitHub with this secret and payload (validating-webhook-deliveries, "Testing"). */
const PUBLISHED = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17'

function judge(headers: SignedHeaders, body = BODY, secrets: readonly Buffer[] = [SECRET]): Verdict {
  return judgeBy(createGithubVerifier(secrets), headers, { body })
}

const signed = (value: string | readonly string[]): SignedHeaders => ({ 'x-hub-signature-256': value })

describe('GitHub signatures', () => {
  it('agree with the vector that GitHub publishes', () => {
    expect(signGithub(SECRET, BODY)).toBe(PUBLISHED)
    expect(judge(signed(PUBLISHED))).toEqual({ ok: true })
  })

  it('agree with what octokit signs, for any text', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ minLength: 1, unit: 'binary' }),
        fc.string({ minLength: 1, unit: 'binary' }),
        async (secret, body) => {
          const value = await sign(secret, body)
          expect(judge(signed(value), Buffer.from(body), [Buffer.from(secret)])).toEqual({ ok: true })
        },
      ),
    )
  })

  it('cover every byte of the body, also bytes that are no text', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (bytes, at, flip) => {
          const body = Buffer.from(bytes)
          const header = signed(signGithub(SECRET, body))
          expect(judge(header, body)).toEqual({ ok: true })
          const changed = Buffer.from(body)
          changed[at % body.length]! ^= flip
          expect(judge(header, changed)).toMatchObject({ ok: false, reason: 'mismatch' })
        },
      ),
    )
  })

  it('are accepted with upper-case digits, as some proxies rewrite them', () => {
    expect(judge(signed(`sha256=${PUBLISHED.slice(7).toUpperCase()}`))).toEqual({ ok: true })
  })

  it('are accepted in the form of headersDistinct, a list of one', () => {
    expect(judge(signed([PUBLISHED]))).toEqual({ ok: true })
  })

  it('are checked against every secret while one is being rotated', () => {
    const next = Buffer.from('the next secret')
    expect(judge(signed(signGithub(next, BODY)), BODY, [SECRET, next])).toEqual({ ok: true })
    expect(judge(signed(signGithub(SECRET, BODY)), BODY, [SECRET, next])).toEqual({ ok: true })
    expect(judge(signed(signGithub(Buffer.from('another'), BODY)), BODY, [SECRET, next])).toMatchObject({
      reason: 'mismatch',
    })
  })

  it('are missed before the body is read', () => {
    const missing = { ok: false, reason: 'missing' }
    expect(judge({})).toMatchObject(missing)
    expect(judge(signed([]))).toMatchObject(missing)
  })

  it('with SHA-1 do not count, even beside nothing else', () => {
    const sha1 = `sha1=${createHmac('sha1', SECRET).update(BODY).digest('hex')}`
    expect(judge({ 'x-hub-signature': sha1 })).toMatchObject({ ok: false, reason: 'missing' })
    expect(judge(signed(sha1))).toMatchObject({ ok: false, reason: 'malformed' })
  })

  it('sent twice are refused, even if both are right', () => {
    expect(judge(signed([PUBLISHED, PUBLISHED]))).toMatchObject({ ok: false, reason: 'duplicated' })
    // As Node joins them in `headers`:
    expect(judge(signed(`${PUBLISHED}, ${PUBLISHED}`))).toMatchObject({ ok: false, reason: 'malformed' })
  })

  it.each([
    ['nothing', ''],
    ['the prefix alone', 'sha256='],
    ['no prefix', PUBLISHED.slice(7)],
    ['an upper-case prefix', PUBLISHED.replace('sha256', 'SHA256')],
    ['a digit too few', PUBLISHED.slice(0, -1)],
    ['a digit too many', `${PUBLISHED}0`],
    ['letters that are no digits', `sha256=${'z'.repeat(64)}`],
    ['white space before it', ` ${PUBLISHED}`],
    ['a line break behind it', `${PUBLISHED}\n`],
    ['digits that are wide', `sha256=${'７'.repeat(64)}`],
    ['any word', 'trust-me'],
  ])('that are %s are malformed', (_, value) => {
    expect(judge(signed(value))).toMatchObject({ ok: false, reason: 'malformed' })
  })

  it('that are any other text are refused without throwing', () => {
    fc.assert(
      fc.property(fc.string(), (value) => {
        expect(judge(signed(value)).ok).toBe(false)
      }),
    )
  })

  it('never repeat what was sent in the reason', () => {
    const verdict = judge(signed('sha256=<script>'))
    expect(verdict.ok === false && verdict.detail).not.toContain('script')
  })

  it('cannot be checked without a secret, or with an empty one', () => {
    expect(() => createGithubVerifier([])).toThrow(TypeError)
    expect(() => createGithubVerifier([Buffer.alloc(0)])).toThrow(TypeError)
    expect(() => createGithubVerifier([SECRET, Buffer.alloc(0)])).toThrow(TypeError)
  })
})
