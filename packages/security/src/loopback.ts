import { isIPv4, parseAddress } from './address.ts'

/**
 * Is this the address of the machine itself: 127.0.0.0/8 or ::1, also IPv4-mapped (`::ffff:127.0.0.1`, which is how
 * a socket that listens on both families names an IPv4 peer)? False for anything that is not an address.
 */
export function isLoopback(address: string | undefined): boolean {
  const words = address === undefined ? undefined : parseAddress(address)
  if (words === undefined) return false
  if (isIPv4(words)) return words[3]! >>> 24 === 127
  return words[0] === 0 && words[1] === 0 && words[2] === 0 && words[3] === 1
}
