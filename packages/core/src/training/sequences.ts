/**
 * What zstd would write of texts that are packed with a dictionary: how often which literal, and of the matches the codes of
 * their offsets and lengths (RFC 8878, 3.1.1.3.2). Matches are looked for as zstd does it at its level 3, one long hash and
 * one short one; the counts need not be exact, the tables made of them are for other texts anyway.
 */

export interface SequenceCounts {
  /** By byte. */
  readonly literals: Uint32Array
  /** By code. */
  readonly literalLengths: Uint32Array
  readonly matchLengths: Uint32Array
  readonly offsets: Uint32Array
}

const HASH_BITS = 17
const LONG = 8
const SHORT = 5
const LEAST_MATCH = 4
/** One byte more is stepped over for every so many without a match. */
const STEP_LOG = 8
/** Offsets into a dictionary and 128 KB of text behind it. */
const TEXT_REACH = 128 * 1024

export function countSequences(dictionary: Buffer, texts: readonly Buffer[]): SequenceCounts {
  const counts: SequenceCounts = {
    literals: new Uint32Array(256),
    literalLengths: new Uint32Array(36),
    matchLengths: new Uint32Array(53),
    offsets: new Uint32Array(log2(dictionary.length + TEXT_REACH) + 1),
  }
  const known = { long: createIndex(dictionary, LONG), short: createIndex(dictionary, SHORT) }
  for (const text of texts) count(dictionary, known, text, counts)
  return counts
}

/** The last place where each hash occurs. */
type Index = Int32Array

function createIndex(bytes: Buffer, length: number): Index {
  const index = new Int32Array(2 ** HASH_BITS).fill(-1)
  for (let at = 0; at + LONG <= bytes.length; at++) index[hashAt(bytes, at, length)] = at
  return index
}

function hashAt(bytes: Buffer, at: number, length: number): number {
  let hash = 0x811c9dc5
  for (let i = at; i < at + length; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193)
  return (hash ^ (hash >>> 15)) >>> (32 - HASH_BITS)
}

function count(
  dictionary: Buffer,
  known: { readonly long: Index; readonly short: Index },
  text: Buffer,
  counts: SequenceCounts,
): void {
  const bytes = Buffer.concat([dictionary, text])
  const end = bytes.length
  const own = { long: new Map<number, number>(), short: new Map<number, number>() }
  /** The offsets used last: a match at one of them costs next to nothing. */
  let recent: [number, number, number] = [1, 4, 8]
  let anchor = dictionary.length
  let at = anchor

  const lengthOf = (here: number, there: number): number => {
    let length = 0
    while (here + length < end && bytes[here + length] === bytes[there + length]) length++
    return length
  }
  const find = (kind: 'long' | 'short', hash: number, here: number): { from: number; length: number } => {
    const from = own[kind].get(hash) ?? (known[kind][hash] as number)
    return { from, length: from < 0 ? 0 : lengthOf(here, from) }
  }
  const take = (here: number, length: number, offset: number): void => {
    const literals = here - anchor
    for (let i = anchor; i < here; i++) bump(counts.literals, bytes[i] as number)
    bump(counts.literalLengths, literalLengthCode(literals))
    bump(counts.matchLengths, matchLengthCode(length))
    const place = recent.indexOf(offset)
    bump(counts.offsets, log2(place < 0 || (literals === 0 && place === 0) ? offset + 3 : place + 1))
    if (place !== 0) recent = [offset, recent[0], place === 1 ? recent[2] : recent[1]]
    anchor = here + length
    at = anchor
  }

  while (at + LONG < end) {
    const [longHash, shortHash] = [hashAt(bytes, at, LONG), hashAt(bytes, at, SHORT)]
    const long = find('long', longHash, at)
    const short = find('short', shortHash, at)
    own.long.set(longHash, at)
    own.short.set(shortHash, at)
    const again = lengthOf(at + 1, at + 1 - recent[0])
    if (again >= LEAST_MATCH) {
      take(at + 1, again, recent[0])
      continue
    }
    let best = long.length >= LONG ? { here: at, ...long } : undefined
    if (best === undefined && short.length >= LEAST_MATCH) {
      const next = find('long', hashAt(bytes, at + 1, LONG), at + 1)
      best = next.length >= LONG ? { here: at + 1, ...next } : { here: at, ...short }
    }
    if (best === undefined) {
      at += 1 + ((at - anchor) >> STEP_LOG)
      continue
    }
    let { here, from, length } = best
    while (here > anchor && from > 0 && bytes[here - 1] === bytes[from - 1]) {
      here--
      from--
      length++
    }
    take(here, length, here - from)
  }
  for (let i = anchor; i < end; i++) bump(counts.literals, bytes[i] as number)
}

function bump(counts: Uint32Array, code: number): void {
  counts[code] = (counts[code] as number) + 1
}

function log2(value: number): number {
  return 31 - Math.clz32(value)
}

/** Where the codes of literal lengths from 16 on begin; from 64 on, each is twice as long as the one before. */
const LITERAL_LENGTHS = [16, 18, 20, 22, 24, 28, 32, 40, 48] as const

function literalLengthCode(length: number): number {
  if (length < 16) return length
  if (length >= 64) return log2(length) + 19
  return 15 + LITERAL_LENGTHS.filter((start) => start <= length).length
}

/** The same for match lengths less three: from 32 on, and from 128 on. */
const MATCH_LENGTHS = [32, 34, 36, 38, 40, 44, 48, 56, 64, 80, 96] as const

function matchLengthCode(length: number): number {
  const rest = length - 3
  if (rest < 32) return rest
  if (rest >= 128) return log2(rest) + 36
  return 31 + MATCH_LENGTHS.filter((start) => start <= rest).length
}
