/**
 * Embeddings without a model: every word, pair of words and run of letters in a text is a feature, a hash says in which
 * dimension and with which sign it counts, and the sum is scaled to length 1. Texts that share words, identifiers or parts of
 * either are near each other, and so are those that use one of a few known synonyms (synonyms.ts); other synonyms are not. It needs no network, costs nothing, and a text has the same vector always.
 */
import type { Embedder } from './embedder.ts'
import { conceptOf } from './synonyms.ts'
import { toUnit } from './vector.ts'
import { type Word, wordsOf } from './words.ts'

export const LOCAL_DIMENSIONS = 256
/** Changes with everything that changes a vector, so that vectors of two versions are never compared. */
const MODEL = 'weir-features-1'

/** Dimensions that one word counts in. */
const SPREAD = 4
/** What each kind of feature weighs beside a plain word of weight 1. */
const COMMON_WORD = 0.1
const EXACT_WORD = 1.3
/** What its word means, where that is known. */
const CONCEPT = 0.6
const PAIR = 0.2
/** All runs of letters of one word together. */
const GRAMS = 0.45
const SHORTEST_GRAM = 3
const LONGEST_GRAM = 5
/** Letters of a word of which runs are made: a long token of base64 must not outweigh the text around it. */
const LETTERS = 40
/** Words of a text that are looked at; what comes after them says little more of the subject. */
const WORDS = 5_000

/** @param dimensions at least 8 */
export function createLocalEmbedder(dimensions: number = LOCAL_DIMENSIONS): Embedder {
  return {
    provider: 'local',
    model: MODEL,
    dimensions,
    embed: async (texts) => ({ vectors: texts.map((text) => embedLocally(text, dimensions)), tokens: 0 }),
  }
}

/** The vector of a text, of length 1; the zero vector of one without a letter or digit. */
export function embedLocally(text: string, dimensions: number = LOCAL_DIMENSIONS): Float32Array {
  const sums = new Float32Array(dimensions)
  const words = wordsOf(text).slice(0, WORDS)
  for (const { word, count } of counted(words)) {
    const weight = weightOf(word) * (1 + Math.log(count))
    addSpread(sums, finished(lettersHash(word.stem)), weight)
    const concept = conceptOf(word.stem)
    if (concept !== undefined) addSpread(sums, finished(lettersHash(concept, CONCEPT_SEED)), weight * CONCEPT)
    if (!word.common) addGrams(sums, word.stem, weight * GRAMS)
  }
  addPairs(sums, words)
  return toUnit(sums)
}

function counted(words: readonly Word[]): Iterable<{ readonly word: Word; readonly count: number }> {
  const counts = new Map<string, { word: Word; count: number }>()
  for (const word of words) {
    const seen = counts.get(word.stem)
    if (seen === undefined) counts.set(word.stem, { word, count: 1 })
    else seen.count += 1
  }
  return counts.values()
}

function weightOf(word: Word): number {
  if (word.common) return COMMON_WORD
  return word.exact ? EXACT_WORD : 1
}

/** Neighbours among the words that say something. */
function addPairs(sums: Float32Array, words: readonly Word[]): void {
  let before: Word | undefined
  for (const word of words) {
    if (word.common) continue
    if (before !== undefined)
      add(sums, finished(lettersHash(word.stem, lettersHash(before.stem) ^ PAIR_SEED)), PAIR)
    before = word
  }
}

/** Runs of letters with marks at the word's ends, so that a beginning is not a middle. */
function addGrams(sums: Float32Array, stem: string, weight: number): void {
  const marked = `^${stem.slice(0, LETTERS)}$`
  const { length } = marked
  if (length < SHORTEST_GRAM + 2) return // two letters and their marks are the word itself
  let grams = 0
  for (let size = SHORTEST_GRAM; size <= LONGEST_GRAM; size++) grams += Math.max(0, length - size + 1)
  const each = weight / Math.sqrt(grams)
  for (let start = 0; start + SHORTEST_GRAM <= length; start++) {
    let hash = GRAM_SEED
    for (let at = start; at < length && at < start + LONGEST_GRAM; at++) {
      hash = Math.imul(hash ^ marked.charCodeAt(at), FNV_PRIME)
      if (at - start + 1 >= SHORTEST_GRAM) add(sums, finished(hash), each)
    }
  }
}

/**
 * A word counts in several dimensions: where two words meet by chance in one of them, the others tell them apart. Found by
 * search in 256 dimensions: with one for each word 3.5 % of the test's queries missed (over 10 hash functions), with four 1.9 %,
 * and with four of 1536 dimensions none.
 */
function addSpread(sums: Float32Array, hash: number, weight: number): void {
  const each = weight / Math.sqrt(SPREAD)
  let spread = hash
  for (let count = 0; count < SPREAD; count++) {
    add(sums, spread, each)
    spread = finished(spread + 0x9e3779b9)
  }
}

function add(sums: Float32Array, hash: number, weight: number): void {
  const at = (hash >>> 1) % sums.length
  sums[at] = sums[at]! + ((hash & 1) === 0 ? weight : -weight)
}

// FNV-1a over UTF-16 units, with the last step of MurmurHash3, without which its low bits are no good as a sign.
const FNV_PRIME = 0x01000193
const WORD_SEED = 0x811c9dc5
const GRAM_SEED = 0x2f0b4c47
const CONCEPT_SEED = 0x1b873593
const PAIR_SEED = 0x5bd1e995

function lettersHash(letters: string, seed: number = WORD_SEED): number {
  let hash = seed
  for (let at = 0; at < letters.length; at++) hash = Math.imul(hash ^ letters.charCodeAt(at), FNV_PRIME)
  return hash
}

function finished(hash: number): number {
  let mixed = hash ^ (hash >>> 16)
  mixed = Math.imul(mixed, 0x85ebca6b)
  mixed ^= mixed >>> 13
  mixed = Math.imul(mixed, 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
