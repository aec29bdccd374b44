import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { entryOf, keyNote } from './entries.test-support.ts'
import { readTenantKeys, type TenantKeys, tenantKeysText } from './key-store.ts'

const count = fc.maxSafeNat()
const id = fc.stringMatching(/^[0-9a-f]{16}$/)
const key = fc.record({
  id,
  salt: fc
    .uint8Array({ minLength: 32, maxLength: 32 })
    .map((salt) => Buffer.from(salt).toString('base64url')),
  master: fc.stringMatching(/^[0-9a-f]{8}$/),
  at: count,
})
const entry: fc.Arbitrary<TenantKeys> = fc.record({
  tenant: fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,62}$/),
  revision: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  keys: fc.array(key, { maxLength: 5 }),
  destroyed: fc.array(fc.record({ id, at: count }), { maxLength: 5 }),
})

const sample: TenantKeys = {
  tenant: 'acme',
  revision: 2,
  keys: [keyNote()],
  destroyed: [{ id: '0123456789abcdef', at: 7 }],
}

/** The sample with one field changed, or left out (undefined). */
const changed = (field: string, value?: unknown) =>
  JSON.stringify({ ...JSON.parse(tenantKeysText(sample)), [field]: value })
const withKey = (change: Record<string, unknown>) => changed('keys', [{ ...sample.keys[0], ...change }])

describe('an entry', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(entry, (given) => {
        expect(readTenantKeys(tenantKeysText(given), given.tenant, 'here')).toEqual(given)
      }),
    )
  })

  it('is written without what does not belong to it', () => {
    const more = {
      ...sample,
      secret: 'never',
      keys: sample.keys.map((each) => ({ ...each, derived: 'never' })),
      destroyed: sample.destroyed.map((each) => ({ ...each, salt: 'never' })),
    }
    expect(tenantKeysText(more)).toBe(tenantKeysText(sample))
  })

  it('cut off anywhere is damaged, never another entry', () => {
    const text = tenantKeysText(entryOf('acme', 1))
    for (let length = 0; length < text.length; length++) {
      expect(() => readTenantKeys(text.slice(0, length), 'acme', 'here')).toThrow('here is not JSON')
    }
  })

  it.each<[string, string, string]>([
    ['no JSON', '{', 'is not JSON'],
    ['null', 'null', 'is no object'],
    ['a string', '"text"', 'is no object'],
    ['a list', '[]', 'has version undefined; this program reads 1'],
    ['of a later version', changed('v', 2), 'has version 2; this program reads 1'],
    ['without a version', changed('v'), 'has version undefined'],
    ['of another tenant', changed('tenant', 'other'), 'is not that of acme'],
    ['without a tenant', changed('tenant'), 'is not that of acme'],
    ['without a revision', changed('revision'), 'has no revision'],
    ['of revision 0', changed('revision', 0), 'has no revision'],
    ['of a negative revision', changed('revision', -1), 'has no revision'],
    ['of half a revision', changed('revision', 1.5), 'has no revision'],
    ['of a revision in text', changed('revision', '2'), 'has no revision'],
    ['without keys', changed('keys'), 'lacks a list of keys'],
    ['with keys that are no list', changed('keys', {}), 'lacks a list of keys'],
    ['without destroyed keys', changed('destroyed'), 'lacks a list of keys'],
    ['with null as a key', changed('keys', [null]), 'has a key that is none'],
    ['with a text as a key', changed('keys', ['x']), 'has a key that is none'],
    ['with a short id', withKey({ id: '0123' }), 'has a key that is none'],
    ['with an id in capitals', withKey({ id: '0123456789ABCDEF' }), 'has a key that is none'],
    ['with an id that is a number', withKey({ id: 1234567890123456 }), 'has a key that is none'],
    ['with a short salt', withKey({ salt: 'AAAA' }), 'has a key that is none'],
    ['with a salt of 33 bytes', withKey({ salt: 'A'.repeat(44) }), 'has a key that is none'],
    [
      'with a salt that ends in stray bits',
      withKey({ salt: `${'A'.repeat(42)}B` }),
      'has a key that is none',
    ],
    ['without a master', withKey({ master: undefined }), 'has a key that is none'],
    ['with a long master', withKey({ master: '0123abcd0' }), 'has a key that is none'],
    ['with a time that is none', withKey({ at: -1 }), 'has a key that is none'],
    ['with half a millisecond', withKey({ at: 0.5 }), 'has a key that is none'],
    ['with a destroyed key without id', changed('destroyed', [{ at: 1 }]), 'has a key that is none'],
    ['with a destroyed key without time', changed('destroyed', [{ id: sample.keys[0]!.id }]), 'is none'],
  ])('that is %s is damaged, and says what and where', (_, text, what) => {
    let fault: unknown
    try {
      readTenantKeys(text, 'acme', '/keys/acme.2.json')
    } catch (error) {
      fault = error
    }
    expect(fault).toMatchObject({
      code: 'KEYRING_CORRUPT',
      message: expect.stringMatching(/^keyring: \/keys\/acme\.2\.json .*; bring that entry back from a copy/),
    })
    expect(String(fault)).toContain(what)
    expect(String(fault)).not.toContain(sample.keys[0]!.salt)
  })

  it('of a tenant whose name cannot be one is damaged', () => {
    const text = tenantKeysText({ ...sample, tenant: '../x' })
    expect(() => readTenantKeys(text, '../x', 'here')).toThrow('is not that of')
  })
})
