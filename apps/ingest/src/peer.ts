/**
 * Who sends, as far as can be known without believing anybody: the peer of the connection, or, where that is a proxy of our
 * own, the client that it names (@weir/security/client-address). What others claim in X-Forwarded-For is anybody's word.
 */
import type { IncomingMessage } from 'node:http'
import { createAddressList } from '@weir/security/cidr'
import { clientAddress } from '@weir/security/client-address'

/** @param trusted networks of our own proxies */
export function createAddressOf(
  trusted: readonly string[],
): (request: IncomingMessage) => string | undefined {
  if (trusted.length === 0) return ({ socket }) => socket.remoteAddress
  const proxies = createAddressList(trusted)
  return ({ socket, headersDistinct }) =>
    clientAddress(socket.remoteAddress, headersDistinct['x-forwarded-for'], proxies)
}

/** Groups of an IPv6 address that name a network; the rest of them its owner hands out as it likes. */
const NETWORK_GROUPS = 4

/**
 * The network that counts as one sender: an IPv4 address, also where it is written as an IPv6 one (::ffff:192.0.2.1,
 * RFC 4291, 2.5.5.2); of an IPv6 address its /64, because whoever has one of them has all 2⁶⁴.
 * @param address as Node's sockets have it; undefined (a connection that is gone, a Unix socket) is nobody: ''
 */
export function networkOf(address: string | undefined): string {
  if (address === undefined) return ''
  if (!address.includes(':')) return address
  // A link-local address names its interface after a %.
  const zone = address.indexOf('%')
  const groups = groupsOf(zone < 0 ? address : address.slice(0, zone))
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return [groups[6]! >> 8, groups[6]! & 0xff, groups[7]! >> 8, groups[7]! & 0xff].join('.')
  }
  const network = groups.slice(0, NETWORK_GROUPS).map((group) => group.toString(16))
  return `${network.join(':')}::/64`
}

/** The eight groups; the abbreviation `::` written out. */
function groupsOf(address: string): number[] {
  const [before = '', after] = address.split('::')
  const head = numbersOf(before)
  if (after === undefined) return head
  const tail = numbersOf(after)
  return [...head, ...new Array<number>(Math.max(0, 8 - head.length - tail.length)).fill(0), ...tail]
}

function numbersOf(part: string): number[] {
  if (part === '') return []
  return part.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)]
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number)
    return [(a << 8) | b, (c << 8) | d]
  })
}
