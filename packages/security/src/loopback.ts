import { isIPv4, isIPv6 } from 'node:net'

const MAPPED = '[::ffff:'

/**
 * Is this the address of the machine itself: 127.0.0.0/8 or ::1, also IPv4-mapped (`::ffff:127.0.0.1`, which is how
 * a socket that listens on both families names an IPv4 peer)? False for anything that is not an address.
 */
export function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false
  if (isIPv4(address)) return address.startsWith('127.')
  if (!isIPv6(address) || address.includes('%')) return false
  // A URL's host has one spelling for each address: [::1], and mapped ones as [::ffff:7f00:1].
  const canonical = new URL(`http://[${address}]`).hostname
  if (canonical === '[::1]') return true
  if (!canonical.startsWith(MAPPED)) return false
  const [high, low] = canonical.slice(MAPPED.length, -1).split(':')
  return low !== undefined && Number.parseInt(high as string, 16) >> 8 === 127
}
