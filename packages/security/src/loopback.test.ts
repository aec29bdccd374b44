import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isLoopback } from './loopback.ts'

describe('isLoopback', () => {
  it.each([
    '127.0.0.1',
    '127.255.0.9',
    '::1',
    '0:0:0:0:0:0:0:1',
    '::ffff:127.0.0.1',
    '::FFFF:127.0.0.1',
    '::ffff:7f00:1',
  ])('knows %s as this machine', (address) => {
    expect(isLoopback(address)).toBe(true)
  })

  it.each([
    ['a missing address', undefined],
    ['nothing', ''],
    ['a name', 'localhost'],
    ['a private address', '10.0.0.1'],
    ['one that only begins alike', '127.0.0.1.example.com'],
    ['the unspecified address', '0.0.0.0'],
    ['the unspecified address of IPv6', '::'],
    ['a mapped outside address', '::ffff:10.0.0.1'],
    ['a compatible address, which is not mapped', '::127.0.0.1'],
    ['a translated address', '64:ff9b::127.0.0.1'],
    ['another with the same end', '2001:db8::1'],
    ['a link-local address with a zone', 'fe80::1%lo'],
  ])('does not take %s for it', (_, address) => {
    expect(isLoopback(address)).toBe(false)
  })

  it('takes only 127/8 of all IPv4 addresses, mapped or not', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        const local = address.startsWith('127.')
        expect(isLoopback(address)).toBe(local)
        expect(isLoopback(`::ffff:${address}`)).toBe(local)
      }),
    )
  })
})
