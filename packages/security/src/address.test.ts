import { isIP } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalAddress, formatAddress, isIPv4, parseAddress } from './address.ts'

const words = (text: string): number[] | undefined => {
  const parsed = parseAddress(text)
  return parsed && [...parsed]
}

describe('addresses', () => {
  it.each([
    ['0.0.0.0', [0, 0, 0xffff, 0]],
    ['192.0.2.1', [0, 0, 0xffff, 0xc0000201]],
    ['255.255.255.255', [0, 0, 0xffff, 0xffffffff]],
    ['::', [0, 0, 0, 0]],
    ['::1', [0, 0, 0, 1]],
    ['1::', [0x10000, 0, 0, 0]],
    ['0:0:0:0:0:0:0:1', [0, 0, 0, 1]],
    ['2001:db8::a:0:0:1', [0x20010db8, 0, 0xa0000, 1]],
    ['2001:DB8::ABCD', [0x20010db8, 0, 0, 0xabcd]],
    ['0001:0002:0003:0004:0005:0006:0007:0008', [0x10002, 0x30004, 0x50006, 0x70008]],
    ['1:2:3:4:5:6:7::', [0x10002, 0x30004, 0x50006, 0x70000]],
    ['::2:3:4:5:6:7:8', [0x2, 0x30004, 0x50006, 0x70008]],
    ['64:ff9b::192.0.2.1', [0x64ff9b, 0, 0, 0xc0000201]],
    ['1:2:3:4:5:6:192.0.2.1', [0x10002, 0x30004, 0x50006, 0xc0000201]],
    ['0000:0000:0000:0000:0000:ffff:255.255.255.255', [0, 0, 0xffff, 0xffffffff]],
  ])('%s is read', (text, expected) => {
    expect(words(text)).toEqual(expected)
  })

  it.each(['::ffff:192.0.2.1', '::FFFF:c000:201', '0:0:0:0:0:ffff:192.0.2.1', '::ffff:192.0.2.1'])(
    '%s is the IPv4 address that it maps',
    (text) => {
      expect(words(text)).toEqual(words('192.0.2.1'))
      expect(isIPv4(parseAddress(text)!)).toBe(true)
      expect(canonicalAddress(text)).toBe('192.0.2.1')
    },
  )

  it.each(['::192.0.2.1', '::ffff:0:192.0.2.1', '64:ff9b::192.0.2.1', '::1:ffff:c000:201'])(
    '%s is no IPv4 address',
    (text) => {
      expect(isIPv4(parseAddress(text)!)).toBe(false)
    },
  )

  it.each([
    ['nothing', ''],
    ['white space around', ' 192.0.2.1'],
    ['a line break behind', '192.0.2.1\n'],
    ['a NUL behind', '192.0.2.1\0'],
    ['a name', 'localhost'],
    ['one number', '2130706433'],
    ['one number, in hex', '0x7f000001'],
    ['two parts', '127.1'],
    ['three parts', '192.0.513'],
    ['five parts', '192.0.2.1.1'],
    ['an octal part', '0177.0.0.1'],
    ['a leading zero', '192.0.02.1'],
    ['two zeros', '192.0.00.1'],
    ['a hex part', '0x7f.0.0.1'],
    ['a part above 255', '192.0.2.256'],
    ['a very long part', '192.0.2.0000000001'],
    ['an empty part', '192..2.1'],
    ['a dot at the end', '192.0.2.1.'],
    ['a dot at the start', '.192.0.2.1'],
    ['a sign', '+192.0.2.1'],
    ['a negative part', '192.0.-2.1'],
    ['digits of another script', '１９２.0.2.1'],
    ['a port', '192.0.2.1:80'],
    ['a prefix', '192.0.2.0/24'],
    ['one colon', ':'],
    ['three colons', ':::'],
    ['a gap twice', '1::2::3'],
    ['three colons within', '1:::2'],
    ['a colon at the start', ':1:2:3:4:5:6:7'],
    ['a colon at the end', '1:2:3:4:5:6:7:'],
    ['a colon behind a gap', '::1:'],
    ['seven groups', '1:2:3:4:5:6:7'],
    ['nine groups', '1:2:3:4:5:6:7:8:9'],
    ['a gap that stands for nothing', '1:2:3:4::5:6:7:8'],
    ['a gap that stands for nothing, at the end', '1:2:3:4:5:6:7:8::'],
    ['five digits', '::12345'],
    ['a leading zero too much', '::00001'],
    ['no hex digit', '::g'],
    ['brackets', '[::1]'],
    ['a zone', 'fe80::1%eth0'],
    ['a numeric zone', '::1%1'],
    ['a zone at an IPv4 address', '127.0.0.1%lo'],
    ['a dotted part too early', '::192.0.2.1:1'],
    ['a dotted part at the start', '192.0.2.1::'],
    ['a dotted part too late', '1:2:3:4:5:6:7:192.0.2.1'],
    ['a dotted part with too few groups before it', '1:2:3:4:5:192.0.2.1'],
    ['a wrong dotted part', '::ffff:192.0.2'],
    ['an octal dotted part', '::ffff:0177.0.0.1'],
    ['hex in the dotted part', '::ffff:a.0.0.1'],
    ['something very long', `::${'0'.repeat(100_000)}1`],
  ])('%s makes none', (_, text) => {
    expect(parseAddress(text)).toBeUndefined()
    expect(canonicalAddress(text)).toBeUndefined()
  })

  it('are what Node takes for one, zones aside', () => {
    const noise = fc.string({ unit: fc.constantFrom(...'0123456789abfFg:.%[]/ '), maxLength: 24 })
    const address = fc.oneof(fc.ipV4(), fc.ipV6())
    const changed = fc
      .tuple(address, fc.nat(), fc.constantFrom('', '0', ':', '.', '::', 'f', '1.2.3.4'))
      .map(
        ([text, at, put]) => text.slice(0, at % (text.length + 1)) + put + text.slice(1 + (at % text.length)),
      )
    fc.assert(
      fc.property(fc.oneof(noise, address, changed), (text) => {
        expect(parseAddress(text) !== undefined).toBe(isIP(text) !== 0 && !text.includes('%'))
      }),
      { numRuns: 2_000 },
    )
  })

  it('have one spelling, that of URLs (RFC 5952)', () => {
    // Few different groups, so that there are runs of zeros to choose from.
    const group = fc.constantFrom(0, 0, 0, 1, 0xab, 0xffff)
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const address = groups.map((value) => value.toString(16).padStart(4, '0')).join(':')
        const parsed = parseAddress(address)!
        fc.pre(!isIPv4(parsed))
        expect(`[${formatAddress(parsed)}]`).toBe(new URL(`http://[${address}]`).hostname)
        expect(parseAddress(formatAddress(parsed))).toEqual(parsed)
      }),
      { numRuns: 500 },
    )
    fc.assert(fc.property(fc.ipV4(), (address) => canonicalAddress(address) === address))
  })
})
