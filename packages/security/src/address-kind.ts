/**
 * What kind of place an address is, by the registries of special addresses (RFC 6890) and a few that clouds gave a
 * meaning of their own. Only `global` is somewhere on the public internet.
 *
 * IPv6 has many ways of carrying an IPv4 address, and translators and tunnels on the way unpack it; so such an address
 * is at best what the IPv4 address within it is. Not knowable here: a translation prefix that a network made from its
 * own global addresses (RFC 6052, 2.2).
 */
import { type AddressWords, isIPv4 } from './address.ts'
import { covers, parseCidr } from './cidr.ts'

export type SpecialKind =
  | 'this-network'
  | 'private'
  | 'loopback'
  | 'link-local'
  | 'shared'
  | 'metadata'
  | 'multicast'
  | 'broadcast'
  | 'documentation'
  | 'benchmarking'
  | 'translation'
  | 'reserved'

/** What stands about the kind in a sentence: "the address is …". */
export interface Special {
  readonly kind: SpecialKind
  readonly what: string
}

type Row = readonly [range: string, kind: SpecialKind, what: string]

/** The first row that fits counts. */
const SPECIAL: readonly Row[] = [
  // Those that hand out credentials, before the ranges that hold most of them.
  ['169.254.169.254', 'metadata', 'the metadata service of most clouds'],
  ['169.254.170.2', 'metadata', 'the credentials service of Amazon ECS'],
  ['169.254.170.23', 'metadata', 'the credentials service of Amazon EKS'],
  ['168.63.129.16', 'metadata', "Azure's platform service, though a public address"],
  ['100.100.100.200', 'metadata', 'the metadata service of Alibaba Cloud'],
  ['192.0.0.192', 'metadata', 'the metadata service of Oracle Cloud'],
  ['fd00:ec2::254', 'metadata', 'the metadata service of AWS'],
  ['fd20:ce::254', 'metadata', 'the metadata service of Google Cloud'],

  ['0.0.0.0/8', 'this-network', '"this network" (RFC 791), often this very machine'],
  ['10.0.0.0/8', 'private', 'private (RFC 1918)'],
  ['100.64.0.0/10', 'shared', 'shared by carriers and clouds (RFC 6598)'],
  ['127.0.0.0/8', 'loopback', 'this machine itself (RFC 1122)'],
  ['169.254.0.0/16', 'link-local', 'link-local (RFC 3927)'],
  ['172.16.0.0/12', 'private', 'private (RFC 1918)'],
  ['192.0.0.0/24', 'reserved', 'reserved for protocols (RFC 6890)'],
  ['192.0.2.0/24', 'documentation', 'for documentation (RFC 5737)'],
  ['192.88.99.0/24', 'reserved', 'a relay of 6to4, which is no more (RFC 7526)'],
  ['192.168.0.0/16', 'private', 'private (RFC 1918)'],
  ['198.18.0.0/15', 'benchmarking', 'for benchmarks (RFC 2544)'],
  ['198.51.100.0/24', 'documentation', 'for documentation (RFC 5737)'],
  ['203.0.113.0/24', 'documentation', 'for documentation (RFC 5737)'],
  ['224.0.0.0/4', 'multicast', 'multicast (RFC 5771)'],
  ['255.255.255.255', 'broadcast', 'the broadcast address (RFC 919)'],
  ['240.0.0.0/4', 'reserved', 'reserved (RFC 1112)'],

  ['::', 'this-network', 'unspecified (RFC 4291), often this very machine'],
  ['::1', 'loopback', 'this machine itself (RFC 4291)'],
  ['64:ff9b:1::/48', 'translation', "for a network's own translation to IPv4 (RFC 8215)"],
  ['2001::/32', 'translation', 'a tunnel to IPv4, Teredo (RFC 4380)'],
  ['2001:2::/48', 'benchmarking', 'for benchmarks (RFC 5180)'],
  ['2001::/23', 'reserved', 'reserved for protocols (RFC 2928)'],
  ['2001:db8::/32', 'documentation', 'for documentation (RFC 3849)'],
  ['3fff::/20', 'documentation', 'for documentation (RFC 9637)'],
  ['fc00::/7', 'private', 'private, unique local (RFC 4193)'],
  ['fe80::/10', 'link-local', 'link-local (RFC 4291)'],
  ['fec0::/10', 'private', 'private, site-local (RFC 3879)'],
  ['ff00::/8', 'multicast', 'multicast (RFC 4291)'],
]

/** Global unicast, as far as it is handed out (RFC 4291, 2.4). */
const GLOBAL_IPV6 = parseCidr('2000::/3')
const NOT_GLOBAL: Special = { kind: 'reserved', what: 'outside of global unicast, 2000::/3 (RFC 4291)' }

/**
 * Forms of IPv6 that carry an IPv4 address from the given bit on. Those that are not in use any more are refused
 * whatever they carry; what they carry still says why. (64:ff9b:1::/48 is not here: its network may have the IPv4
 * address begin at any of four bits, so none of its addresses can be shown to lead to a public one.)
 */
const CARRIERS = [
  { range: '64:ff9b::/96', bit: 96, inUse: true, name: 'NAT64 (RFC 6052)' },
  { range: '2002::/16', bit: 16, inUse: true, name: '6to4 (RFC 3056)' },
  { range: '::/96', bit: 96, inUse: false, name: 'the IPv4-compatible form (RFC 4291)' },
  { range: '::ffff:0:0:0/96', bit: 96, inUse: false, name: 'the IPv4-translated form (RFC 2765)' },
].map((carrier) => ({ ...carrier, cidr: parseCidr(carrier.range) }))

/** The third word of an interface that is an end of an ISATAP tunnel; the fourth is its IPv4 address (RFC 5214, 6.1). */
const ISATAP = [0x0000_5efe, 0x0200_5efe]

const RANGES = SPECIAL.map(([range, kind, what]) => ({ cidr: parseCidr(range), special: { kind, what } }))

/** Why an address is no place on the public internet; undefined when it is one. */
export function specialKind(words: AddressWords): Special | undefined {
  const row = RANGES.find(({ cidr }) => covers(cidr, words))
  if (row !== undefined) return row.special
  if (isIPv4(words)) return undefined
  const carrier = CARRIERS.find(({ cidr }) => covers(cidr, words))
  if (carrier !== undefined) {
    const within = kindWithin(words, carrier.bit, carrier.name)
    if (within !== undefined || carrier.inUse) return within
    return { kind: 'reserved', what: `${carrier.name}, which is not in use any more` }
  }
  if (!covers(GLOBAL_IPV6, words)) return NOT_GLOBAL
  return ISATAP.includes(words[2]!) ? kindWithin(words, 96, 'ISATAP (RFC 5214)') : undefined
}

function kindWithin(words: AddressWords, bit: number, form: string): Special | undefined {
  const [index, shift] = [bit >>> 5, bit & 31]
  const value = shift === 0 ? words[index]! : (words[index]! << shift) | (words[index + 1]! >>> (32 - shift))
  const special = specialKind(Uint32Array.of(0, 0, 0xffff, value))
  return special && { kind: special.kind, what: `${form} for an IPv4 address that is ${special.what}` }
}
