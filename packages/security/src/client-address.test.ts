import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalAddress } from './address.ts'
import { createAddressList } from './cidr.ts'
import { clientAddress } from './client-address.ts'

/** Proxies of one's own; everybody else has another address. */
const TRUSTED = createAddressList(['10.0.0.0/8', '2001:db8:aaaa::/48'])
const PROXY = '10.0.0.1'

describe('the address of a client', () => {
  it.each([
    ['is the peer, without a header', PROXY, undefined, PROXY],
    ['is the peer, when that is no proxy of ours', '198.51.100.1', '203.0.113.7', '198.51.100.1'],
    ['is what our proxy says', PROXY, '203.0.113.7', '203.0.113.7'],
    ['is never what the client itself says', PROXY, '127.0.0.1, 203.0.113.7', '203.0.113.7'],
    ['is found past two proxies of ours', PROXY, '127.0.0.1, 203.0.113.7, 10.9.9.9', '203.0.113.7'],
    ['is the first in the chain when all are ours', PROXY, '10.1.1.1, 10.2.2.2', '10.1.1.1'],
    ['is an IPv6 address', PROXY, '2001:db8::7', '2001:db8::7'],
    ['is in its one spelling', PROXY, '2001:DB8:0:0:0:0:0:7', '2001:db8::7'],
    ['is found where the proxy is an IPv6 one', '2001:db8:aaaa::1', '203.0.113.7', '203.0.113.7'],
    ['is found where the socket maps IPv4', '::ffff:10.0.0.1', '203.0.113.7', '203.0.113.7'],
    ['is IPv4 where the header maps it', PROXY, '::ffff:203.0.113.7', '203.0.113.7'],
    ['is IPv4 where the socket maps it', '::ffff:198.51.100.1', undefined, '198.51.100.1'],
    ['is found past mapped proxies', PROXY, '203.0.113.7, ::ffff:10.3.3.3', '203.0.113.7'],
    ['may have a port', PROXY, '203.0.113.7:51334', '203.0.113.7'],
    ['may have brackets', PROXY, '[2001:db8::7]', '2001:db8::7'],
    ['may have brackets and a port', PROXY, '[2001:db8::7]:443, 10.3.3.3:80', '2001:db8::7'],
    ['may have white space around', PROXY, ' \t203.0.113.7\t ,10.3.3.3 ', '203.0.113.7'],
    ['is found in a header that came twice', PROXY, ['127.0.0.1', '203.0.113.7'], '203.0.113.7'],
    ['is found across headers', PROXY, ['127.0.0.1, 203.0.113.7', '10.3.3.3, 10.2.2.2'], '203.0.113.7'],
    ['is the peer, where the header came not once', PROXY, [], PROXY],
    ['is a peer with a zone as it is', 'fe80::1%eth0', '203.0.113.7', 'fe80::1%eth0'],
  ])('%s', (_, peer, header, expected) => {
    expect(clientAddress(peer, header, TRUSTED)).toBe(expected)
  })

  it('is not known of a connection that is gone', () => {
    expect(clientAddress(undefined, '203.0.113.7', TRUSTED)).toBeUndefined()
  })

  it.each([
    'unknown',
    'localhost',
    '_hidden',
    'unix:',
    '',
    ' ',
    '127.1',
    '0177.0.0.1',
    '2130706433',
    '203.0.113.256',
    '203.0.113.7/32',
    '203.0.113.7:',
    '203.0.113.7:port',
    '203.0.113.7:123456',
    '203.0.113.7:65536',
    '203.0.113.7:1:2',
    '203.0.113.7 10.0.0.1',
    '203.0.113.7;10.0.0.1',
    '[203.0.113.7]',
    '[203.0.113.7]:80',
    '[2001:db8::7',
    '2001:db8::7]',
    '[2001:db8::7]80',
    '[2001:db8::7]:',
    '[[2001:db8::7]]',
    '[]',
    '[fe80::1%eth0]',
    'fe80::1%eth0',
    '"203.0.113.7"',
    'for=203.0.113.7',
    '\u00a0203.0.113.7',
    '203.0.113.7\0',
    `${' '.repeat(70)}203.0.113.7`,
  ])('is the last one that can be believed, before %j', (malformed) => {
    expect(clientAddress(PROXY, malformed, TRUSTED)).toBe(PROXY)
    expect(clientAddress(PROXY, `198.51.100.1, ${malformed}, 10.3.3.3`, TRUSTED)).toBe('10.3.3.3')
    expect(clientAddress(PROXY, ['198.51.100.1', malformed], TRUSTED)).toBe(PROXY)
  })

  it('is nothing from the left of an untrusted hop, whatever the header says', () => {
    const hop = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.constantFrom(
        '10.0.0.2',
        '10.255.0.1:80',
        '[2001:db8:aaaa::2]',
        '::ffff:10.0.0.3',
        'unknown',
        '',
        '1,2',
      ),
      fc.string({ maxLength: 12 }),
    )
    fc.assert(
      fc.property(
        fc.array(hop, { maxLength: 6 }),
        fc.ipV4().filter((address) => !TRUSTED.has(address)),
        fc.array(fc.constantFrom('10.0.0.2', '2001:db8:aaaa::2', '10.7.0.1'), { maxLength: 6 }),
        fc.nat(),
        (forged, client, proxies, cut) => {
          const hops = [...forged, client, ...proxies]
          const at = cut % hops.length
          const lines = [hops.slice(0, at).join(','), hops.slice(at).join(', ')]
          expect(clientAddress(PROXY, hops.join(', '), TRUSTED)).toBe(client)
          expect(clientAddress(PROXY, at === 0 ? lines.slice(1) : lines, TRUSTED)).toBe(client)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('is always an address, from any peer and header', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.string(), (peer, header) => {
        for (const trusted of [TRUSTED, createAddressList(['0.0.0.0/0', '::/0'])]) {
          const client = clientAddress(peer, header, trusted)!
          expect(canonicalAddress(client)).toBe(client)
        }
      }),
    )
  })

  it('is looked for past 64 proxies, not more', () => {
    const behind = (proxies: number): string =>
      `203.0.113.7, ${new Array<string>(proxies).fill('10.3.3.3').join(', ')}`
    expect(clientAddress(PROXY, behind(63), TRUSTED)).toBe('203.0.113.7')
    expect(clientAddress(PROXY, behind(64), TRUSTED)).toBe('10.3.3.3')
  })

  it.each([
    ['commas', ','.repeat(16_384)],
    ['proxies', `${'10.3.3.3,'.repeat(1_820)}10.3.3.3`],
    ['digits', '1'.repeat(16_384)],
    ['brackets', '['.repeat(16_384)],
    ['white space', ' '.repeat(16_384)],
    ['colons', `${':'.repeat(16_300)},10.3.3.3`],
  ])('costs few steps to find in 16 KB of %s', (_, header) => {
    let looked = 0
    const counting = {
      has(address: string | undefined) {
        looked++
        return TRUSTED.has(address)
      },
    }
    expect(TRUSTED.has(clientAddress(PROXY, header, counting))).toBe(true)
    expect(looked).toBeLessThanOrEqual(65)
  })
})
