/** What no scheme may believe, in whichever form. Vectors and grammar of each stand beside it. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FORMS, SENT, verifierOf } from './schemes.test-support.ts'
import { CREDENTIAL_HEADERS } from './schemes.ts'
import { BODY, judge, NOW_S, TOLERANCE_MS } from './verifier.test-support.ts'
import type { SignedHeaders } from './verifier.ts'

const secretBytes = fc.uint8Array({ minLength: 8, maxLength: 96 })
const bodies = fc.uint8Array({ minLength: 1, maxLength: 200 }).map((bytes) => Buffer.from(bytes))
const SECRET = Buffer.from('correct horse battery staple')

/** One bit of the bytes, changed. */
function flipped(bytes: Uint8Array, at: number): Buffer {
  const changed = Buffer.from(bytes)
  const bit = at % (changed.length * 8)
  changed[bit >> 3]! ^= 1 << (bit & 7)
  return changed
}

/** Where two spellings mean the same: hex digits in either case, and the names of HTTP's authentication schemes. */
function meaning(value: string): string {
  return value
    .replace(/=[0-9a-f]{64,}(?=,|$)/gi, (digest) => digest.toLowerCase())
    .replace(/^(bearer|basic) /i, (scheme) => scheme.toLowerCase())
}

describe.each(FORMS)('$name', (form) => {
  const secret = form.secretOf(SECRET)
  const headers = form.sign(secret, BODY)
  const verifier = verifierOf(form, secret)

  it('believes what is signed with any of its secrets, for any body', () => {
    fc.assert(
      fc.property(secretBytes, secretBytes, bodies, (bytes, others, body) => {
        const own = form.secretOf(bytes)
        const signed = form.sign(own, body)
        expect(judge(verifierOf(form, own), signed, { ...SENT, body })).toEqual({ ok: true })
        const rotating = verifierOf(form, form.secretOf(others), own)
        expect(judge(rotating, signed, { ...SENT, body })).toEqual({ ok: true })
      }),
    )
  })

  it('believes no body with one bit changed, where the body is signed', () => {
    fc.assert(
      fc.property(bodies, fc.nat(), (body, at) => {
        const signed = form.sign(secret, body)
        const verdict = judge(verifier, signed, { ...SENT, body: flipped(body, at) })
        expect(verdict).toMatchObject(form.coversBody ? { ok: false, reason: 'mismatch' } : { ok: true })
      }),
    )
  })

  it('believes no header with one bit changed: signature, time, id', () => {
    for (const [name, value] of Object.entries(headers)) {
      for (let bit = 0; bit < value.length * 8; bit++) {
        const changed = flipped(Buffer.from(value, 'latin1'), bit).toString('latin1')
        if (meaning(changed) === meaning(value)) continue
        expect(judge(verifier, { ...headers, [name]: changed }, SENT).ok, `${name}: ${changed}`).toBe(false)
      }
    }
  })

  it('believes nothing signed with a secret of which one bit is another', () => {
    fc.assert(
      fc.property(secretBytes, fc.nat(), (bytes, at) => {
        const own = form.secretOf(bytes)
        const other = form.secretOf(flipped(bytes, at))
        expect(judge(verifierOf(form, own), form.sign(other, BODY), SENT)).toMatchObject({
          ok: false,
          reason: 'mismatch',
        })
      }),
    )
  })

  it('refuses each header when it is repeated, even if all are right', () => {
    for (const [name, value] of Object.entries(headers)) {
      const twice = { ...headers, [name]: [value, value] }
      expect(judge(verifier, twice, SENT)).toMatchObject({ ok: false, reason: 'duplicated' })
      expect(judge(verifier, { ...headers, [name]: `${value}, ${value}` }, SENT).ok).toBe(false)
      expect(judge(verifier, { ...headers, [name]: [value] }, SENT)).toEqual({ ok: true })
    }
  })

  it('refuses each header when it is missing', () => {
    for (const name of Object.keys(headers)) {
      for (const none of [undefined, []]) {
        expect(judge(verifier, { ...headers, [name]: none }, SENT)).toMatchObject({
          ok: false,
          reason: 'missing',
        })
      }
    }
  })

  it('refuses each header in any other spelling', () => {
    for (const [name, value] of Object.entries(headers)) {
      const wide = (from: RegExp) =>
        value.replace(from, (character) => String.fromCharCode(character.charCodeAt(0) + 0xfee0))
      for (const other of [
        '',
        ' ',
        ` ${value}`,
        `${value} `,
        `${value}\t`,
        `${value}\r\n`,
        `${value}\0`,
        `"${value}"`,
        `${value}\u200b`,
        `\ufeff${value}`,
        value.slice(1),
        value.slice(0, -1),
        value.slice(0, value.length / 2),
        `${value}0`,
        value + value,
        wide(/[0-9]/),
        wide(/[a-z]/),
        value.replace(/[a-z]/i, (letter) => String.fromCharCode(letter.charCodeAt(0) + 0x100)),
        encodeURIComponent(value).replaceAll('-', '%2D'),
      ]) {
        if (meaning(other) === meaning(value)) continue
        expect(judge(verifier, { ...headers, [name]: other }, SENT).ok, JSON.stringify(other)).toBe(false)
      }
    }
  })

  it('neither throws for any headers, nor believes them, nor repeats them', () => {
    const values = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'grapheme' }),
      fc.string({ minLength: 1, maxLength: 1, unit: fc.constantFrom('\ud800', '\udfff', '\0', '\u0130') }),
      fc.stringMatching(/^(sha256=|v0=|v1=|v1,|v1a,|JWT |Bearer |Basic |t=1700000000,v1=)[\w+/=.,-]{0,99}$/),
      fc.array(fc.string(), { maxLength: 3 }),
      fc.constant(undefined),
      fc.constantFrom(...Object.values(headers)),
    )
    const names = [...new Set([...CREDENTIAL_HEADERS, ...Object.keys(headers)])]
    const anyHeaders = fc.record(Object.fromEntries(names.map((name) => [name, values])), {
      requiredKeys: [],
    })
    fc.assert(
      fc.property(anyHeaders, fc.webUrl(), bodies, (given, url, body) => {
        fc.pre(Object.entries(headers).some(([name, value]) => given[name] !== value))
        const verdict = judge(verifier, given as SignedHeaders, { url, body })
        expect(verdict.ok).toBe(false)
        if (verdict.ok) return
        for (const value of Object.values(given).flat()) {
          if (value !== undefined && value.length > 8) expect(verdict.detail).not.toContain(value)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('neither throws for any URL', () => {
    const urls = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom('%', '\ud800', '?', '&') }),
    )
    fc.assert(
      fc.property(urls, fc.string(), (url, method) => {
        expect(() => judge(verifier, headers, { url, method })).not.toThrow()
      }),
    )
  })

  it('lets a signed time be old and ahead only so far', () => {
    const at = (ageMs: number) => judge(verifier, headers, { ...SENT, nowMs: NOW_S * 1000 + ageMs })
    expect(at(150_000)).toEqual({ ok: true })
    expect(at(-30_000)).toEqual({ ok: true })
    expect(at(TOLERANCE_MS + 1)).toMatchObject(form.timed ? { ok: false, reason: 'stale' } : { ok: true })
    expect(at(-30_001)).toMatchObject(form.timed ? { ok: false, reason: 'future' } : { ok: true })
  })

  it('has its header among those that are never kept', () => {
    expect(CREDENTIAL_HEADERS.some((name) => Object.hasOwn(headers, name))).toBe(true)
  })
})
