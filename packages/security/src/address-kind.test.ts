import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseAddress } from './address.ts'
import { type SpecialKind, specialKind } from './address-kind.ts'
import { createEgressPolicy } from './egress.ts'

function kindOf(address: string): SpecialKind | 'global' {
  return specialKind(parseAddress(address)!)?.kind ?? 'global'
}

describe('special addresses', () => {
  /** First and last of each range, and their neighbours outside, where those are global. */
  it.each<[SpecialKind, string, string, ...string[]]>([
    ['this-network', '0.0.0.0', '0.255.255.255', '1.0.0.0'],
    ['private', '10.0.0.0', '10.255.255.255', '9.255.255.255', '11.0.0.0'],
    ['shared', '100.64.0.0', '100.127.255.255', '100.63.255.255', '100.128.0.0'],
    ['loopback', '127.0.0.0', '127.255.255.255', '126.255.255.255', '128.0.0.0'],
    ['link-local', '169.254.0.0', '169.254.255.255', '169.253.255.255', '169.255.0.0'],
    ['private', '172.16.0.0', '172.31.255.255', '172.15.255.255', '172.32.0.0'],
    ['reserved', '192.0.0.0', '192.0.0.255', '191.255.255.255', '192.0.1.0'],
    ['documentation', '192.0.2.0', '192.0.2.255', '192.0.1.255', '192.0.3.0'],
    ['reserved', '192.88.99.0', '192.88.99.255', '192.88.98.255', '192.88.100.0'],
    ['private', '192.168.0.0', '192.168.255.255', '192.167.255.255', '192.169.0.0'],
    ['benchmarking', '198.18.0.0', '198.19.255.255', '198.17.255.255', '198.20.0.0'],
    ['documentation', '198.51.100.0', '198.51.100.255', '198.51.99.255', '198.51.101.0'],
    ['documentation', '203.0.113.0', '203.0.113.255', '203.0.112.255', '203.0.114.0'],
    ['multicast', '224.0.0.0', '239.255.255.255', '223.255.255.255'],
    ['reserved', '240.0.0.0', '255.255.255.254'],
    ['broadcast', '255.255.255.255', '255.255.255.255'],
    ['metadata', '168.63.129.16', '168.63.129.16', '168.63.129.15', '168.63.129.17'],
    ['metadata', '169.254.169.254', '169.254.170.2'],
    ['metadata', '100.100.100.200', '192.0.0.192'],
    ['metadata', 'fd00:ec2::254', 'fd20:ce::254'],
    ['reserved', '::2:0:0:0', '1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '2000::'],
    ['reserved', '4000::', 'fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '3ffe:ffff::'],
    ['reserved', '100::', '100::ffff:ffff:ffff:ffff'],
    ['reserved', '5f00::', '5f00:ffff::'],
    ['reserved', '2001:1::', '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff', '2001:200::', '2000:ffff::'],
    ['translation', '2001::', '2001:0:ffff:ffff:ffff:ffff:ffff:ffff'],
    ['benchmarking', '2001:2::', '2001:2:0:ffff:ffff:ffff:ffff:ffff'],
    ['documentation', '2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', '2001:db7::', '2001:db9::'],
    ['documentation', '3fff::', '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff', '3fff:1000::'],
    ['translation', '64:ff9b:1::', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff'],
    ['reserved', '64:ff9b:0:0:0:1::', '64:ff9b:2::'],
    ['private', 'fc00::', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    ['link-local', 'fe80::', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    ['private', 'fec0::', 'feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    ['multicast', 'ff00::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    ['reserved', '::8.8.8.8', '::ffff:0:8.8.8.8'],
  ])('%s: %s and %s, not those around', (reason, first, last, ...around) => {
    expect([kindOf(first), kindOf(last)]).toEqual([reason, reason])
    expect(around.filter((address) => kindOf(address) !== 'global')).toEqual([])
  })

  it('of IPv4 are global where no part says otherwise', () => {
    const global = (a: number, b: number, c: number): boolean =>
      !(a === 0 || a === 10 || a === 127 || a >= 224) &&
      !(a === 100 && b >= 64 && b < 128) &&
      !(a === 169 && b === 254) &&
      !(a === 172 && b >= 16 && b < 32) &&
      !(a === 192 && (b === 168 || (b === 0 && (c === 0 || c === 2)) || (b === 88 && c === 99))) &&
      !(a === 198 && (b === 18 || b === 19 || (b === 51 && c === 100))) &&
      !(a === 203 && b === 0 && c === 113)
    const part = fc.oneof(
      fc.nat(255),
      fc.constantFrom(0, 2, 10, 16, 51, 64, 88, 99, 100, 113, 168, 172, 192, 198, 254),
    )
    fc.assert(
      fc.property(part, part, part, fc.nat(255), (a, b, c, d) => {
        fc.pre(`${a}.${b}.${c}.${d}` !== '168.63.129.16')
        expect(kindOf(`${a}.${b}.${c}.${d}`) === 'global').toBe(global(a, b, c))
      }),
      { numRuns: 2_000 },
    )
  })

  it('of IPv6 never pass with a private IPv4 address inside, in any form and spelling', () => {
    const inside = fc
      .tuple(
        fc.constantFrom(
          [0x0a000000, 8],
          [0x7f000000, 8],
          [0xac100000, 12],
          [0xc0a80000, 16],
          [0xa9fea9fe, 32],
          [0xa83f8110, 32],
          [0x64400000, 10],
          [0, 8],
          [0xe0000000, 4],
        ),
        fc.nat(0xffff_ffff),
      )
      .map(([[base, prefix], host]) => BigInt(base!) | BigInt.asUintN(32 - prefix!, BigInt(host)))
    const random = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n })
    const low = (bits: number, value: bigint): bigint => BigInt.asUintN(bits, value)
    /** Each puts the IPv4 address where its form has it, with anything where the form does not care. */
    const forms: Readonly<Record<string, (ipv4: bigint, any: bigint) => bigint>> = {
      mapped: (ipv4) => (0xffffn << 32n) | ipv4,
      compatible: (ipv4) => ipv4,
      translated: (ipv4) => (0xffffn << 48n) | ipv4,
      nat64: (ipv4) => (0x64ff9bn << 96n) | ipv4,
      'local nat64, /96': (ipv4, any) => (0x64ff9b0001n << 80n) | (low(48, any) << 32n) | ipv4,
      'local nat64, /48': (ipv4, any) =>
        (0x64ff9b0001n << 80n) | ((ipv4 >> 16n) << 64n) | ((ipv4 & 0xffffn) << 40n) | low(40, any),
      '6to4': (ipv4, any) => (0x2002n << 112n) | (ipv4 << 80n) | low(80, any),
      teredo: (ipv4, any) => (0x20010000n << 96n) | (low(64, any) << 32n) | (ipv4 ^ 0xffffffffn),
      isatap: (ipv4, any) => (1n << 125n) | (low(61, any) << 64n) | (0x5efen << 32n) | ipv4,
      'isatap, global': (ipv4, any) => (1n << 125n) | (low(61, any) << 64n) | (0x2005efen << 32n) | ipv4,
    }
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.values(forms)),
        inside,
        random,
        fc.nat(7),
        (form, ipv4, any, style) => {
          const address = spell(form(ipv4, any), style)
          expect([address, kindOf(address)]).not.toEqual([address, 'global'])
          expect([address, createEgressPolicy().checkUrl(`https://[${address}]/`).ok]).toEqual([
            address,
            false,
          ])
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('of IPv6 in 6to4 and ISATAP pass with a public one inside', () => {
    expect(kindOf('2002:808:808::1')).toBe('global')
    expect(kindOf('2606:4700::5efe:808:808')).toBe('global')
    expect(kindOf('2606:4700::5efe:10.0.0.1')).toBe('private')
    expect(kindOf('2606:4700::200:5efe:10.0.0.1')).toBe('private')
  })
})

/** An IPv6 address in one of its spellings; the bits of `style`: capitals, leading zeros or `::`, dotted end. */
function spell(value: bigint, style: number): string {
  const padded = (style & 2) !== 0
  const groups = Array.from({ length: 8 }, (_, index) => (value >> BigInt(112 - 16 * index)) & 0xffffn)
  let hex = groups.map((group) => group.toString(16).padStart(padded ? 4 : 1, '0'))
  if ((style & 4) !== 0) {
    const bytes = groups.slice(6).flatMap((group) => [group >> 8n, group & 255n])
    hex = [...hex.slice(0, 6), bytes.join('.')]
  }
  const text = hex.join(':')
  const short = padded ? text : text.replace(/(?:^|:)0(?::0)+(?::|$)/, '::')
  return (style & 1) !== 0 ? short.toUpperCase() : short
}
