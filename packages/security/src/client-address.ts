/**
 * The address of the client behind one's own proxies. X-Forwarded-For is anybody's word: each proxy appends the peer
 * that it saw, to whatever was there. So what the nearest proxy appended stands at the right end, and it is as
 * trustworthy as that proxy; what stands left of an address that is no trusted proxy, that one's owner may have made up.
 */
import { canonicalAddress } from './address.ts'
import type { AddressList } from './cidr.ts'

/** Trusted proxies in a row that are walked past; no honest chain is as long. */
const MAX_HOPS = 64
/** An entry longer than this is no address, with white space, brackets and port. */
const MAX_ENTRY_LENGTH = 64
const MAX_PORT = 65_535
/** What may stand around an entry: RFC 9110, 5.6.3. */
const WHITE_SPACE = /^[ \t]+|[ \t]+$/g

// RFC 7239, 6, has these forms for Forwarded; proxies write them in X-Forwarded-For too. An IPv6 address has a port only
// behind brackets: without them the port would be read as its last group.
const BRACKETED = /^\[([^[\]]*:[^[\]]*)\](?::([0-9]{1,5}))?$/
const WITH_PORT = /^([0-9.]+):([0-9]{1,5})$/

/**
 * Walks X-Forwarded-For from the right, past trusted proxies, to the first address that is none of them. The walk ends
 * early, at the last address that can be believed, at an entry that is malformed, empty or a word (`unknown`), and
 * after 64 proxies.
 * @param peer of the connection, as Node's sockets have it; undefined (a connection that is gone) has no client
 * @param forwardedFor the header: as Node joins it, or one string for each time that it came (`headersDistinct`)
 * @returns the address in its one spelling (IPv4 also where it was IPv4-mapped). A peer that is no address without its
 *   zone (`fe80::1%eth0`) is never a trusted proxy and comes back as it is.
 */
export function clientAddress(
  peer: string | undefined,
  forwardedFor: string | readonly string[] | undefined,
  trusted: AddressList,
): string | undefined {
  if (peer === undefined) return undefined
  let client = canonicalAddress(peer) ?? peer
  if (forwardedFor === undefined || !trusted.has(client)) return client
  const lines = typeof forwardedFor === 'string' ? [forwardedFor] : forwardedFor
  let hops = 0
  for (const line of lines.toReversed()) {
    let end = line.length
    for (;;) {
      const comma = end === 0 ? -1 : line.lastIndexOf(',', end - 1)
      const claimed = hops++ < MAX_HOPS ? addressOf(line, comma + 1, end) : undefined
      if (claimed === undefined) return client
      client = claimed
      if (!trusted.has(client)) return client
      if (comma < 0) break
      end = comma
    }
  }
  return client
}

/** The address that an entry from `start` to `end` names; undefined when it names none. */
function addressOf(line: string, start: number, end: number): string | undefined {
  if (end - start > MAX_ENTRY_LENGTH) return undefined
  const entry = line.slice(start, end).replace(WHITE_SPACE, '')
  const match = BRACKETED.exec(entry) ?? WITH_PORT.exec(entry)
  if (match === null) return canonicalAddress(entry)
  const [, address = '', port = '0'] = match
  return Number(port) > MAX_PORT ? undefined : canonicalAddress(address)
}
