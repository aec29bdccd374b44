/**
 * Connections that go where the policy looked. Between a check of a name and the connection its owner can change the
 * answer (DNS rebinding); so the addresses are judged in the very answer that the connection uses, in the socket's
 * own `lookup`, and nothing resolves the name again.
 *
 * An answer with one refused address is refused whole: which of them the socket would try, nobody can say beforehand.
 */
import type { LookupAddress } from 'node:dns'
import type { RequestOptions } from 'node:https'
import type { LookupFunction } from 'node:net'
import { type AddressWords, formatAddress, isIPv4, parseAddress } from './address.ts'
import type { EgressPolicy, EgressReason, EgressRefusal, UrlVerdict } from './egress.ts'

/** All addresses of a name: `lookup` of node:dns/promises, or what a test has in its place. */
export type LookupAll = (
  hostname: string,
  options: { readonly all: true },
) => Promise<readonly { readonly address: string }[]>

export interface ConnectRefusal {
  readonly ok: false
  /** `unresolvable` may be over in a minute; the others are the policy's, and stay. */
  readonly reason: EgressReason | 'unresolvable'
  /** What the owner of the URL can do. */
  readonly detail: string
  /** The refused address that the name led to: for our logs, not for the owner of the URL. */
  readonly address?: string
  /** Why it could not be resolved. */
  readonly cause?: unknown
}

/** Where a host leads, all of it allowed; at least one address. */
export interface Resolved {
  readonly ok: true
  readonly addresses: readonly LookupAddress[]
}

export type Resolution = Resolved | ConnectRefusal

/** What a guarded `lookup` fails with; a request emits it as its error. */
export class EgressRefusedError extends Error {
  readonly code = 'EGRESS_REFUSED'
  readonly refusal: ConnectRefusal
  constructor(refusal: ConnectRefusal) {
    super(refusal.detail, refusal.cause === undefined ? {} : { cause: refusal.cause })
    this.name = 'EgressRefusedError'
    this.refusal = refusal
  }
}

/**
 * Judges a URL and every address that its host leads to. For telling the owner of a URL early; it is no permission to
 * connect later, because the answer may change: connect with `guardedRequestOptions`. Never rejects.
 */
export async function resolveTarget(url: URL, policy: EgressPolicy, lookup: LookupAll): Promise<Resolution> {
  const verdict = policy.checkUrl(url.href)
  return verdict.ok ? resolveHost(hostOf(url), policy, lookup) : verdict
}

/**
 * A function for the option `lookup` of http(s).request, net.connect and tls.connect (and undici's `connect`) that only
 * ever yields addresses that the policy allows. It is not asked for literal addresses: Node connects to those at once.
 */
export function createGuardedLookup(policy: EgressPolicy, lookup: LookupAll): LookupFunction {
  return (hostname, options, callback) => {
    const answer = (resolution: Resolution): void => {
      if (!resolution.ok) {
        callback(lookupError(resolution), '')
        return
      }
      const addresses = resolution.addresses.filter(({ family }) => suits(family, options.family))
      const [first] = addresses
      if (first === undefined) {
        const detail = `the host has no IPv${String(options.family).at(-1)} address`
        callback(new EgressRefusedError({ ok: false, reason: 'unresolvable', detail }), '')
      } else if (options.all === true) callback(null, addresses)
      else callback(null, first.address, first.family)
    }
    // Outside of the promise: what the callback throws is not ours to swallow.
    void resolveHost(hostname, policy, lookup).then((resolution) => queueMicrotask(() => answer(resolution)))
  }
}

/**
 * What http.request or https.request (as the URL's scheme says) need to send a request to this URL and nowhere else.
 * A literal address is judged here, a name when the socket connects. The certificate is checked against the URL's host,
 * as always; Node itself makes the Host header from these options.
 *
 * `agent: false` makes a connection of its own: a shared agent hands out one that somebody else opened to the same
 * host name, unguarded. To keep connections alive, set an agent that only ever gets options made here.
 */
export function guardedRequestOptions(
  url: URL,
  policy: EgressPolicy,
  lookup: LookupAll,
): { readonly ok: true; readonly options: RequestOptions } | EgressRefusal {
  const verdict = policy.checkUrl(url.href)
  if (!verdict.ok) return verdict
  const hostname = hostOf(url)
  const isLiteral = parseAddress(hostname) !== undefined
  const options: RequestOptions = {
    protocol: url.protocol,
    hostname,
    path: `${url.pathname}${url.search}`,
    agent: false,
    lookup: createGuardedLookup(policy, lookup),
  }
  if (url.port !== '') options.port = Number(url.port)
  // RFC 6066, 3: an address is no server name.
  if (url.protocol === 'https:') options.servername = isLiteral ? '' : hostname
  return { ok: true, options }
}

/**
 * Judges where a redirect leads: by all the rules for a first URL, and never from https: to http:. Whoever follows one
 * leaves out the headers that were meant for the first host, where `url.origin` differs.
 * @param location the header as it came, possibly relative (RFC 9110, 10.2.2)
 */
export function checkRedirect(from: URL, location: string, policy: EgressPolicy): UrlVerdict {
  const target = location === '' ? null : URL.parse(location, from.href)
  if (target === null)
    return { ok: false, reason: 'malformed', detail: 'the redirect leads to something that is no URL' }
  if (from.protocol === 'https:' && target.protocol === 'http:')
    return { ok: false, reason: 'scheme', detail: 'the redirect leads from https: to http:' }
  return policy.checkUrl(target.href)
}

async function resolveHost(hostname: string, policy: EgressPolicy, lookup: LookupAll): Promise<Resolution> {
  const verdict = policy.checkHost(hostname)
  if (!verdict.ok) return verdict
  const literal = parseAddress(hostname)
  if (literal !== undefined) return { ok: true, addresses: [addressOf(literal)] }
  let answer: readonly { readonly address: string }[]
  try {
    answer = await lookup(hostname, { all: true })
  } catch (cause) {
    return { ok: false, reason: 'unresolvable', detail: 'the host name could not be resolved', cause }
  }
  const addresses: LookupAddress[] = []
  for (const { address } of answer) {
    const judged = policy.checkAddress(address, hostname)
    if (!judged.ok)
      return { ...judged, detail: `the host name does not lead outside: ${judged.detail}`, address }
    const words = parseAddress(address)
    if (words !== undefined) addresses.push(addressOf(words))
  }
  if (addresses.length === 0)
    return { ok: false, reason: 'unresolvable', detail: 'the host name has no address' }
  return { ok: true, addresses }
}

/** A failed look-up stays the error that it was (ENOTFOUND, EAI_AGAIN), so that callers know it. */
function lookupError(refusal: ConnectRefusal): NodeJS.ErrnoException {
  return refusal.cause instanceof Error ? refusal.cause : new EgressRefusedError(refusal)
}

/** The host as sockets want it, an IPv6 address without its brackets. */
function hostOf(url: URL): string {
  return url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname
}

/**
 * What the policy read, not what the DNS wrote: with the family that it really has, because an IPv4 socket cannot
 * connect to `::ffff:192.0.2.1`.
 */
function addressOf(words: AddressWords): LookupAddress {
  return { address: formatAddress(words), family: isIPv4(words) ? 4 : 6 }
}

/** Does an address of this family suit what was asked for? 0 and undefined ask for any. */
function suits(family: number, asked: number | 'IPv4' | 'IPv6' | undefined): boolean {
  if (asked === undefined || asked === 0) return true
  return family === (asked === 'IPv4' ? 4 : asked === 'IPv6' ? 6 : asked)
}
