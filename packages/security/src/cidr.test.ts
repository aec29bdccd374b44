import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { aggregateRanges, createAddressList } from './cidr.ts'

/** A range or address in the plainest way: its family, all of its bits as one number, and its prefix. */
interface Plain {
  readonly family: 4 | 6
  readonly value: bigint
  readonly prefix: number
}

const bitsOf = (family: 4 | 6): number => (family === 4 ? 32 : 128)

function spell({ family, value }: Plain): string {
  const [parts, bits] = family === 4 ? [4, 8n] : [8, 16n]
  const numbers = Array.from({ length: parts }, (_, index) => value >> (BigInt(parts - 1 - index) * bits))
  return numbers
    .map((number) => BigInt.asUintN(Number(bits), number).toString(family === 4 ? 10 : 16))
    .join(family === 4 ? '.' : ':')
}

const spellRange = (range: Plain): string => `${spell(range)}/${range.prefix}`

/** What a list is to say, one range after the other. */
function naivelyHas(ranges: readonly Plain[], address: Plain): boolean {
  return ranges.some(({ family, value, prefix }) => {
    const shift = BigInt(bitsOf(family) - prefix)
    return family === address.family && value >> shift === address.value >> shift
  })
}

/** Ranges close together, so that they overlap, touch and nest. */
const range: fc.Arbitrary<Plain> = fc
  .record({
    family: fc.constantFrom(4 as const, 6 as const),
    high: fc.constantFrom(0n, 1n, 0x20010db8n, 0xc0000200n, 0xffffffffn),
    low: fc.bigInt({ min: 0n, max: 0xffffn }),
    host: fc.integer({ min: 0, max: 32 }),
  })
  .map(({ family, high, low, host }) => {
    const bits = bitsOf(family)
    const value = BigInt.asUintN(bits, (family === 6 ? high << 96n : high) + low)
    return { family, value: (value >> BigInt(host)) << BigInt(host), prefix: bits - host }
  })

/** Addresses at and around the ends of the ranges. */
function addressesAround(ranges: readonly Plain[]): Plain[] {
  return ranges.flatMap(({ family, value, prefix }) => {
    const bits = bitsOf(family)
    const size = 1n << BigInt(bits - prefix)
    return [value - 1n, value, value + size / 2n, value + size - 1n, value + size].map((at) => ({
      family,
      value: BigInt.asUintN(bits, at),
      prefix: bits,
    }))
  })
}

describe('lists of addresses', () => {
  it.each([
    ['192.0.2.0/24', '192.0.2.0', true],
    ['192.0.2.0/24', '192.0.2.255', true],
    ['192.0.2.0/24', '192.0.3.0', false],
    ['192.0.2.0/24', '192.0.1.255', false],
    ['192.0.2.7', '192.0.2.7', true],
    ['192.0.2.7', '192.0.2.8', false],
    ['192.0.2.7/32', '::ffff:192.0.2.7', true],
    ['::ffff:192.0.2.0/120', '192.0.2.9', true],
    ['::ffff:192.0.2.7', '192.0.2.7', true],
    ['0.0.0.0/0', '255.255.255.255', true],
    ['0.0.0.0/0', '::1', false],
    ['::/0', '2001:db8::1', true],
    // An IPv6 range holds no IPv4 address, in no spelling.
    ['::/0', '192.0.2.1', false],
    ['::/0', '::ffff:192.0.2.1', false],
    ['2001:db8::/32', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', true],
    ['2001:db8::/32', '2001:db9::', false],
    ['2001:db8::/33', '2001:db8:8000::', false],
    ['2001:DB8::1', '2001:db8:0:0:0:0:0:1', true],
    ['fe80::/10', 'fe80::1%eth0', false],
    ['127.0.0.0/8', '127.1', false],
    ['127.0.0.0/8', '0177.0.0.1', false],
  ])('with %s: %s is in it: %s', (text, address, expected) => {
    expect(createAddressList([text]).has(address)).toBe(expected)
  })

  it('have nobody in them who has no address', () => {
    const all = createAddressList(['0.0.0.0/0', '::/0'])
    expect([all.has(undefined), all.has(''), all.has('localhost'), all.has('unix:')]).toEqual(
      new Array(4).fill(false),
    )
  })

  it('may be empty', () => {
    expect(createAddressList([]).has('192.0.2.1')).toBe(false)
  })

  it('agree with looking at one range after the other', () => {
    fc.assert(
      fc.property(
        fc.array(range, { maxLength: 30 }),
        fc.array(range, { maxLength: 10 }),
        (ranges, others) => {
          const list = createAddressList(ranges.map(spellRange))
          for (const address of addressesAround([...ranges, ...others]))
            expect([spell(address), list.has(spell(address))]).toEqual([
              spell(address),
              naivelyHas(ranges, address),
            ])
        },
      ),
      { numRuns: 300 },
    )
  })

  it.each([
    ['nothing', '', /^the address range '' is none; allowed are .*192\.0\.2\.0\/24/],
    ['a name', 'localhost', /'localhost' is none/],
    ['a name with a prefix', 'example.com/24', /is none/],
    ['a list', '192.0.2.1,198.51.100.1', /is none/],
    ['a wildcard', '192.0.2.*', /is none/],
    ['from and to', '192.0.2.1-192.0.2.9', /is none/],
    ['a short form', '10/8', /is none/],
    ['an octal part', '010.0.0.0/8', /is none/],
    ['white space', ' 192.0.2.0/24', /is none/],
    ['brackets', '[2001:db8::]/32', /is none/],
    ['an address with a port', '192.0.2.1:80', /is none/],
    ['a net mask', '192.0.2.0/255.255.255.0', /needs a whole number from 0 to 32 behind the slash/],
    ['no prefix', '192.0.2.0/', /from 0 to 32/],
    ['a prefix too long', '192.0.2.0/33', /from 0 to 32/],
    ['a prefix too long for IPv6', '2001:db8::/129', /from 0 to 128/],
    ['a leading zero in the prefix', '192.0.2.0/024', /from 0 to 32/],
    ['a sign in the prefix', '192.0.2.0/+24', /from 0 to 32/],
    ['a negative prefix', '192.0.2.0/-1', /from 0 to 32/],
    ['a fraction', '192.0.2.0/24.0', /from 0 to 32/],
    ['two prefixes', '192.0.2.0/24/24', /from 0 to 32/],
    ['a zone', 'fe80::%eth0/10', /has a zone/],
    ['bits behind the prefix', '192.0.2.77/24', /probably 192\.0\.2\.0\/24 is meant, or 192\.0\.2\.77 alone/],
    [
      'bits behind the prefix of IPv6',
      '2001:db8::1/32',
      /probably 2001:db8::\/32 is meant, or 2001:db8::1 alone/,
    ],
    ['bits behind a mapped prefix', '::ffff:192.0.2.77/120', /probably 192\.0\.2\.0\/24 is meant/],
    [
      'a mapped address with its IPv4 prefix',
      '::ffff:192.0.2.77/24',
      /write it as IPv4, probably 192\.0\.2\.0\/24/,
    ],
    ['a mapped address with another prefix', '::ffff:192.0.2.77/64', /write it as IPv4$/],
  ])('refuse %s', (_, text, message) => {
    expect(() => createAddressList(['198.51.100.0/24', text])).toThrow(
      expect.objectContaining({ name: 'TypeError', message: expect.stringMatching(message) }),
    )
  })

  it('repeat at most 60 characters of what is wrong', () => {
    expect(() => createAddressList(['x'.repeat(100_000)])).toThrow(/'x{60}…'/)
  })
})

describe('aggregated ranges', () => {
  it('are sorted, without overlap, and as few as possible', () => {
    expect(
      aggregateRanges([
        '2001:db8:8000::/33',
        '198.51.100.7',
        '192.0.2.128/25',
        '192.0.2.0/26',
        '192.0.2.64/26',
        '2001:db8::/33',
        '192.0.2.13/32',
        '192.0.3.0/24',
        '::ffff:198.51.100.7',
        '10.0.0.0/8',
      ]),
    ).toEqual(['10.0.0.0/8', '192.0.2.0/23', '198.51.100.7/32', '2001:db8::/32'])
  })

  it('join neighbours only where a prefix says both', () => {
    expect(aggregateRanges(['192.0.3.0/24', '192.0.4.0/24'])).toEqual(['192.0.3.0/24', '192.0.4.0/24'])
    expect(aggregateRanges(['128.0.0.0/1', '0.0.0.0/1'])).toEqual(['0.0.0.0/0'])
    expect(aggregateRanges(['::/1', '8000::/1', '0.0.0.0/0'])).toEqual(['0.0.0.0/0', '::/0'])
  })

  it('hold the same addresses, and nothing is left to join', () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 30 }), (ranges) => {
        const aggregated = aggregateRanges(ranges.map(spellRange))
        expect(aggregateRanges(aggregated.toReversed())).toEqual(aggregated)
        const list = createAddressList(aggregated)
        for (const address of addressesAround(ranges))
          expect(list.has(spell(address))).toBe(naivelyHas(ranges, address))
      }),
      { numRuns: 300 },
    )
  })
})
