import { describe, expect, it } from 'vitest'
import { createTenantCipher } from './tenant-cipher.ts'

const OLD = 'Zk3v0qXo9dT1uB7sYw5LmN8rHc2JfPgAeQiKtVx4'
const NEW = 'nT6yQ0wE4rU8iP2oA7sD1fG5hJ9kLzX3cVbM-mKj'

describe('the cipher of the tenants', () => {
  it('makes keys that nobody had before, and derives them again from what is kept', () => {
    const cipher = createTenantCipher([OLD])
    const { kept, key } = cipher.create('acme')
    expect(kept).toMatchObject({ id: key.id, master: cipher.masters[0] })
    const sealed = cipher.seal(key, 'a', Buffer.from('bytes'))
    const derived = createTenantCipher([OLD]).derive('acme', kept)
    if (typeof derived === 'string') throw new Error(derived)
    expect(cipher.open(derived, 'a', sealed)?.toString()).toBe('bytes')
    expect(cipher.create('acme').kept.salt).not.toBe(kept.salt)
  })

  it('makes new keys from the first master key, and derives those of all', () => {
    const before = createTenantCipher([OLD]).create('acme').kept
    const rotated = createTenantCipher([NEW, OLD])
    expect(rotated.derive('acme', before)).toMatchObject({ id: before.id })
    expect(rotated.create('acme').kept.master).toBe(createTenantCipher([NEW]).masters[0])
    expect(createTenantCipher([NEW]).derive('acme', before)).toBe('no-master')
  })

  it('does not derive a key from what was meddled with', () => {
    const cipher = createTenantCipher([OLD])
    const { kept } = cipher.create('acme')
    expect(cipher.derive('other', kept)).toBe('damaged')
    expect(cipher.derive('acme', { ...kept, id: '0'.repeat(16) })).toBe('damaged')
    expect(cipher.derive('acme', { ...kept, salt: cipher.create('acme').kept.salt })).toBe('damaged')
    expect(cipher.derive('acme', { ...kept, salt: 'short' })).toBe('damaged')
  })

  it('is not made of a weak master key, wherever that stands', () => {
    expect(() => createTenantCipher(['short'])).toThrow(RangeError)
    expect(() => createTenantCipher([OLD, '0'.repeat(40)])).toThrow(/only repeats 1 character/)
  })
})
