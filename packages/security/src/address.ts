/**
 * IP addresses as numbers. One grammar for both families, the strict one: dotted decimal with four parts and no
 * leading zero (what `010.0.0.1` means depends on who reads it), and RFC 4291, 2.2, for IPv6. An address with a zone
 * (`fe80::1%eth0`, RFC 4007) means something on one machine only and is none here.
 *
 * An IPv4-mapped address (`::ffff:192.0.2.1`, RFC 4291, 2.5.5.2) is the IPv4 address that it maps: connecting to the
 * one connects to the other, so nothing may tell them apart.
 */

/**
 * 128 bits, four words, the most significant first; IPv4 addresses in their IPv4-mapped form. Plain numbers:
 * comparing two takes nanoseconds, and reading one into an array that is there already leaves no garbage.
 */
export type AddressWords = Uint32Array

/** The third word of an IPv4-mapped address. */
const MAPPED = 0xffff
/** The longest spelling: eight groups, the last two dotted. */
const MAX_LENGTH = 45
const GROUPS = 8

const DOT = 46
const ZERO = 48
const COLON = 58

/** Reads an address into `words`; false when the text is none, and then `words` hold nothing of meaning. */
export function readAddress(text: string, words: AddressWords): boolean {
  if (text.length > MAX_LENGTH) return false
  if (text.includes(':')) return readGroups(text, words)
  const value = readDotted(text, 0)
  if (value < 0) return false
  words[0] = 0
  words[1] = 0
  words[2] = MAPPED
  words[3] = value
  return true
}

/** The address; undefined when the text is none. */
export function parseAddress(text: string): AddressWords | undefined {
  const words = new Uint32Array(4)
  return readAddress(text, words) ? words : undefined
}

/** Is it an IPv4 address (and so also: is it IPv4-mapped)? */
export function isIPv4(words: AddressWords): boolean {
  return words[0] === 0 && words[1] === 0 && words[2] === MAPPED
}

/** The one spelling of an address: dotted decimal for IPv4, RFC 5952 for IPv6. */
export function formatAddress(words: AddressWords): string {
  if (isIPv4(words)) {
    const value = words[3]!
    return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`
  }
  const groups = Array.from({ length: GROUPS }, (_, index) => groupOf(words, index))
  const [gap, length] = longestZeros(groups)
  const hex = groups.map((group) => group.toString(16))
  if (length < 2) return hex.join(':')
  return `${hex.slice(0, gap).join(':')}::${hex.slice(gap + length).join(':')}`
}

/** The same address in its one spelling; undefined when the text is no address. */
export function canonicalAddress(text: string): string | undefined {
  const words = parseAddress(text)
  return words && formatAddress(words)
}

/** Four decimal numbers from `from` to the end of the text, as one; -1 when they are something else. */
function readDotted(text: string, from: number): number {
  let value = 0
  let at = from
  for (let octets = 1; ; octets++) {
    const first = at
    let octet = 0
    for (; at - first < 4; at++) {
      const digit = text.charCodeAt(at) - ZERO
      // Behind the end the code is NaN, which is no digit either.
      if (!(digit >= 0 && digit <= 9)) break
      octet = octet * 10 + digit
    }
    const digits = at - first
    if (digits === 0 || octet > 255 || (digits > 1 && text.charCodeAt(first) === ZERO)) return -1
    value = value * 256 + octet
    if (octets === 4) return at === text.length ? value : -1
    if (text.charCodeAt(at) !== DOT) return -1
    at++
  }
}

/** Groups of up to four hex digits, the last two perhaps dotted; `::` once, for one group or more. */
function readGroups(text: string, words: AddressWords): boolean {
  words.fill(0)
  let count = 0
  /** How many groups stand before `::`. */
  let gap = -1
  let at = 0
  if (text.charCodeAt(0) === COLON) {
    if (text.charCodeAt(1) !== COLON) return false
    gap = 0
    at = 2
  }
  while (at < text.length) {
    if (count === GROUPS) return false
    const first = at
    let group = 0
    for (; at - first < 5; at++) {
      const digit = hexDigit(text.charCodeAt(at))
      if (digit < 0) break
      group = group * 16 + digit
    }
    if (text.charCodeAt(at) === DOT) {
      const value = count > GROUPS - 2 ? -1 : readDotted(text, first)
      if (value < 0) return false
      putGroup(words, count++, value >>> 16)
      putGroup(words, count++, value & 0xffff)
      break
    }
    if (at === first || at - first > 4) return false
    putGroup(words, count++, group)
    if (at === text.length) break
    if (text.charCodeAt(at) !== COLON) return false
    at++
    if (at === text.length) return false
    if (text.charCodeAt(at) === COLON) {
      if (gap >= 0) return false
      gap = count
      at++
    }
  }
  if (gap < 0) return count === GROUPS
  if (count === GROUPS) return false
  for (let from = count - 1, to = GROUPS - 1; from >= gap; from--, to--) {
    const group = groupOf(words, from)
    putGroup(words, from, 0)
    putGroup(words, to, group)
  }
  return true
}

function groupOf(words: AddressWords, index: number): number {
  const word = words[index >> 1]!
  return index % 2 === 0 ? word >>> 16 : word & 0xffff
}

function putGroup(words: AddressWords, index: number, group: number): void {
  const word = words[index >> 1]!
  words[index >> 1] = index % 2 === 0 ? (group << 16) | (word & 0xffff) : (word & 0xffff0000) | group
}

function hexDigit(code: number): number {
  if (code >= ZERO && code <= 57) return code - ZERO
  // The bit that tells lower case from upper case in ASCII.
  const lower = code | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}

/** Where the first of the longest runs of zeros begins, and how long it is. */
function longestZeros(groups: readonly number[]): readonly [start: number, length: number] {
  let best: readonly [number, number] = [0, 0]
  let start = 0
  groups.forEach((group, index) => {
    if (group !== 0) start = index + 1
    else if (index + 1 - start > best[1]) best = [start, index + 1 - start]
  })
  return best
}
