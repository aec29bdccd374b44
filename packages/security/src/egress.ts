/**
 * Where requests to the outside may go. URLs that customers enter lead anywhere, also to the database next door, to
 * this machine and to the cloud's service that hands out credentials (server-side request forgery).
 *
 * A policy judges what a URL parsed to, never its text: WHATWG's parser makes `0x7f.1`, `017700000001`, `2130706433`
 * and `１２７.0.0.1` one address. So use the URL that `checkUrl` returns, and throw the text away. A name says nothing
 * about where it leads; egress-connect.ts judges the addresses that it resolves to, at the moment of connecting.
 */
import { parseAddress } from './address.ts'
import { type SpecialKind, specialKind } from './address-kind.ts'
import { createAddressList } from './cidr.ts'

export interface EgressOptions {
  /** Also http: URLs. Default: https: only. */
  readonly http?: boolean
  /** Ports. Default: 443, and 80 with `http`. */
  readonly ports?: readonly number[]
  /**
   * Internal targets, the only way around the rules on names and addresses (not on schemes and ports). Addresses and
   * ranges (`10.1.2.0/24`), and exact host names (`hooks.corp.internal`): such a name may lead to any address, so
   * whoever answers for it in the DNS is trusted.
   */
  readonly allow?: readonly string[]
}

export type EgressReason = 'malformed' | 'scheme' | 'credentials' | 'port' | 'hostname' | SpecialKind

/**
 * Why a target is refused. `detail` says what the owner of the URL can do. It does not repeat an address: what a name
 * resolves to within our network is not for its owner.
 */
export interface EgressRefusal {
  readonly ok: false
  readonly reason: EgressReason
  readonly detail: string
}

export type UrlVerdict = { readonly ok: true; readonly url: URL } | EgressRefusal
export type HostVerdict = { readonly ok: true } | EgressRefusal

export interface EgressPolicy {
  /** Everything that can be known before names are resolved; literal addresses are judged. Never throws. */
  checkUrl(url: string): UrlVerdict
  /** A name (which may still lead anywhere) or a literal address, with or without brackets. */
  checkHost(hostname: string): HostVerdict
  /** @param hostname that was resolved to the address: one that is allowed by name may have any */
  checkAddress(address: string, hostname?: string): HostVerdict
}

/** RFC 9110, 4.1, asks for 8,000 octets at least; no receiver of webhooks needs a quarter of it. */
const MAX_URL_LENGTH = 2_048
/** RFC 1035, 2.3.4: 255 octets on the wire are 253 characters. */
const MAX_NAME_LENGTH = 253
const HTTPS_PORT = 443
const HTTP_PORT = 80
const MAX_PORT = 65_535

/** RFC 1123, 2.1; with underscores, which names of real servers have. */
const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/
/** WHATWG URL, "ends in a number": parsers take such a host for an IPv4 address. */
const NUMERIC_LABEL = /^(?:[0-9]+|0x[0-9a-f]*)$/

/**
 * Names that lead into a network, not out of it: RFC 6761 and 6762 (also its appendix G), RFC 8375, `internal` as
 * reserved by ICANN in 2024.
 */
const INTERNAL_NAMES = [
  'localhost',
  'localdomain',
  'local',
  'internal',
  'intranet',
  'private',
  'corp',
  'home',
  'lan',
  'home.arpa',
]

const OK = { ok: true } as const

/** Throws a TypeError for a port or an allowed target that cannot be meant. */
export function createEgressPolicy(options: EgressOptions = {}): EgressPolicy {
  const { http = false, allow = [] } = options
  const ports = new Set(options.ports ?? (http ? [HTTPS_PORT, HTTP_PORT] : [HTTPS_PORT]))
  for (const port of ports) {
    if (!Number.isInteger(port) || port < 1 || port > MAX_PORT)
      throw new TypeError(`the port ${port} is none; allowed are whole numbers from 1 to ${MAX_PORT}`)
  }
  const allowedAddresses = createAddressList(allow.filter(isRange))
  const allowedNames = new Set(allow.filter((target) => !isRange(target)).map(parseName))

  const checkAddress = (address: string, hostname?: string): HostVerdict => {
    const words = parseAddress(address)
    if (words === undefined)
      return refused('malformed', 'the address is no IPv4 or IPv6 address, or it has a zone')
    if (allowedAddresses.has(address)) return OK
    if (hostname !== undefined && allowedNames.has(hostname.toLowerCase())) return OK
    const special = specialKind(words)
    if (special === undefined) return OK
    return refused(special.kind, `the address is ${special.what}; use one on the public internet`)
  }

  const checkHost = (hostname: string): HostVerdict => {
    const literal = hostname.startsWith('[') && hostname.endsWith(']') ? hostname.slice(1, -1) : hostname
    if (literal.includes(':') || parseAddress(literal) !== undefined) return checkAddress(literal)
    const name = hostname.toLowerCase()
    return allowedNames.has(name) ? OK : checkName(name)
  }

  return {
    checkAddress,
    checkHost,
    checkUrl(text) {
      if (text.length > MAX_URL_LENGTH)
        return refused('malformed', `the URL is longer than ${MAX_URL_LENGTH} characters`)
      const url = URL.parse(text)
      if (url === null) return refused('malformed', 'the URL cannot be parsed; write it as https://host/path')
      const secure = url.protocol === 'https:'
      if (!secure && !(http && url.protocol === 'http:'))
        return refused('scheme', `the URL must begin with https://${http ? ' or http://' : ''}`)
      if (url.username !== '' || url.password !== '') {
        return refused(
          'credentials',
          'the URL must not hold a user name or password; they would end up in logs',
        )
      }
      const port = url.port === '' ? (secure ? HTTPS_PORT : HTTP_PORT) : Number(url.port)
      if (!ports.has(port))
        return refused('port', `the port ${port} is not allowed; allowed: ${[...ports].join(', ')}`)
      const host = checkHost(url.hostname)
      return host.ok ? { ok: true, url } : host
    },
  }
}

/** A name in lower case that nobody allowed. */
function checkName(name: string): HostVerdict {
  const labels = name.split('.')
  if (name.length > MAX_NAME_LENGTH || !labels.every((label) => LABEL.test(label))) {
    return refused(
      'hostname',
      'the host name must be labels of up to 63 letters, digits and hyphens with single dots between them, none at the end',
    )
  }
  if (NUMERIC_LABEL.test(labels.at(-1)!))
    return refused('hostname', 'the host name must not end in a number; write an address with all its parts')
  if (INTERNAL_NAMES.some((internal) => name === internal || name.endsWith(`.${internal}`)))
    return refused('hostname', 'the host name is one of an internal network; use a public one')
  // Resolvers complete such a name with the machine's search domains: `redis` is the database next door.
  if (labels.length === 1)
    return refused('hostname', 'the host name has no dot; write the full name of a public host')
  return OK
}

/** Is an allowed target meant as addresses? What is almost an address or a range is, so that its message fits. */
function isRange(target: string): boolean {
  return /^[0-9a-f.:%]*[:/][0-9a-f.:%/]*$/i.test(target) || parseAddress(target) !== undefined
}

/** An allowed name in the spelling that URLs bring it to. Throws a TypeError for what is not exactly a name. */
function parseName(target: string): string {
  const name = URL.parse(`https://${target}/`)?.hostname ?? ''
  const labels = name.split('.')
  const valid =
    /^[^\s/:?#@\\%[\]]+$/.test(target) &&
    name.length <= MAX_NAME_LENGTH &&
    labels.every((label) => LABEL.test(label)) &&
    !NUMERIC_LABEL.test(labels.at(-1)!)
  if (valid) return name
  throw new TypeError(
    `the allowed target '${target}' is none; write an exact host name (no wildcard, port, or dot at the end), an address or a range, as in hooks.corp.internal, 10.1.2.3 or 10.1.2.0/24`,
  )
}

function refused(reason: EgressReason, detail: string): EgressRefusal {
  return { ok: false, reason, detail }
}
