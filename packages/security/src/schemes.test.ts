import { describe, expect, it } from 'vitest'
import { GENERIC_SIGNATURE_HEADER, GENERIC_TIMESTAMP_HEADER } from './generic.ts'
import { FORMS, sharedKey } from './schemes.test-support.ts'
import { createVerifier, type SchemeName, sign } from './schemes.ts'
import { BODY, judge, NOW_S, requestWith, TOLERANCE_MS } from './verifier.test-support.ts'

const SECRET = Buffer.from('correct horse battery staple')

describe('a scheme', () => {
  const names: SchemeName[] = [...new Set(FORMS.map(({ scheme }) => scheme))]

  it('says what to do about a secret that it cannot use', () => {
    const create = (scheme: SchemeName, secret: string) => () =>
      createVerifier(scheme, [Buffer.from(secret)], { toleranceMs: TOLERANCE_MS })
    for (const scheme of names) {
      expect(() => createVerifier(scheme, [], { toleranceMs: TOLERANCE_MS })).toThrow(/at least one secret/)
      expect(create(scheme, '')).toThrow(/must not be empty/)
    }
    expect(create('standard', 'no prefix')).toThrow(/whsec_/)
    expect(create('gitlab', 'line break\n')).toThrow(/line breaks/)
  })

  it('that nobody can say the age of a time in is none', () => {
    for (const scheme of ['stripe', 'slack', 'standard', 'generic', 'jira', 'alertmanager'] as const) {
      const secret = scheme === 'standard' ? sharedKey(SECRET) : SECRET
      expect(() => createVerifier(scheme, [secret], { toleranceMs: Number.NaN })).toThrow(/milliseconds/)
    }
  })

  it('takes the names of its headers from the configuration, where it is ours', () => {
    const options = { signatureHeader: 'x-acme-signature', timestampHeader: 'x-acme-time' }
    const signed = sign('generic', SECRET, BODY, { ...options, timestampSeconds: NOW_S, deliveryId: 'd' })
    expect(Object.keys(signed).sort()).toEqual(['x-acme-signature', 'x-acme-time'])
    for (const scheme of ['generic', 'alertmanager'] as const) {
      const own = createVerifier(scheme, [SECRET], { ...options, toleranceMs: TOLERANCE_MS })
      expect(judge(own, signed)).toEqual({ ok: true })
      const other = createVerifier(scheme, [SECRET], { toleranceMs: TOLERANCE_MS })
      expect(other.examine(requestWith(signed))).toMatchObject({ reason: 'missing' })
    }
    const plain = sign('generic', SECRET, BODY, { timestampSeconds: NOW_S, deliveryId: 'd' })
    expect(Object.keys(plain).sort()).toEqual([GENERIC_SIGNATURE_HEADER, GENERIC_TIMESTAMP_HEADER])
  })
})
