/**
 * Summaries without a model: of the timeline's sentences those that say most are taken, as they are and in their order.
 *
 * A sentence says much when many others are about the same (their vectors are near its own), when it tells of an end or a
 * turn (merged, failed, resolved), and when it is the first or the newest. Of two that say the same the second is left out.
 * The sentences of the summary so far stand at the beginning and compete with the new ones, so that it rolls on.
 */
import { cut } from '@weir/core/cut'
import { embedLocally, LOCAL_DIMENSIONS } from './local-embedder.ts'
import { SUMMARY_MAX, type Summariser, type SummaryRequest } from './summariser.ts'
import { toUnit } from './vector.ts'
import { stemOf } from './words.ts'

const MODEL = 'weir-extract-1'
/** Longest sentence, characters: four and more fit into a summary. */
const SENTENCE_MAX = 140
/** Sentences that are compared with each other, of which the newest count; each with each is 40,000 comparisons. */
const SENTENCES = 200

const TURNS = new Set(
  `merged closed reopened opened created resolved fixed failed succeeded broke broken reverted deployed released approved
  rejected requested blocked assigned firing critical escalated acknowledged cancelled completed done rolled disputed
  refunded decided caused because root`
    .split(/\s+/)
    .map(stemOf),
)

/** What each reason to be taken weighs beside likeness to all others, which is 0 to 1. */
const TURN = 0.35
const FIRST = 0.3
const NEWEST = 0.6
/** How much likeness to a sentence that was taken counts against one. */
const REPEATED = 0.8
/** Above this likeness two sentences say the same. */
const SAME = 0.9

export function createLocalSummariser(): Summariser {
  return {
    provider: 'local',
    model: MODEL,
    overheadTokens: 0,
    summarise: async (request) => ({ text: summariseLocally(request), tokens: 0, outputTokens: 0 }),
  }
}

interface Sentence {
  readonly text: string
  readonly at: number
  readonly vector: Float32Array
  readonly weight: number
  /** Likeness to the nearest sentence that was taken. */
  repeats: number
}

/** At most {@link SUMMARY_MAX} characters, a sentence a line; '' when nothing has happened. */
export function summariseLocally({ previous, entries }: SummaryRequest): string {
  const known = sentencesOf(previous ?? '')
  const told = entries.flatMap((entry) => sentencesOf(entry).slice(0, 2))
  const texts = [...new Set([...known, ...told])].slice(-SENTENCES)
  const candidates = new Set(weighed(texts))
  const taken: Sentence[] = []
  let left = SUMMARY_MAX
  while (candidates.size > 0) {
    const best = bestOf(candidates)
    candidates.delete(best)
    if (best.text.length + 1 > left) continue
    taken.push(best)
    left -= best.text.length + 1
    for (const other of candidates) {
      other.repeats = Math.max(other.repeats, likeness(other.vector, best.vector))
      if (other.repeats >= SAME) candidates.delete(other)
    }
  }
  return taken
    .sort((a, b) => a.at - b.at)
    .map(({ text }) => text)
    .join('\n')
}

function weighed(texts: readonly string[]): Sentence[] {
  const vectors = texts.map((text) => embedLocally(text))
  const middle = new Float32Array(LOCAL_DIMENSIONS)
  for (const vector of vectors) {
    for (let at = 0; at < vector.length; at++) middle[at] = middle[at]! + vector[at]!
  }
  toUnit(middle)
  return texts.map((text, at) => {
    const vector = vectors[at] as Float32Array
    let weight = likeness(vector, middle)
    if (text.match(/\p{L}+/gu)?.some((word) => TURNS.has(stemOf(word.toLowerCase())))) weight += TURN
    if (at === 0) weight += FIRST
    if (at === texts.length - 1) weight += NEWEST
    return { text, at, vector, weight, repeats: 0 }
  })
}

/** The earlier one where two are worth the same. */
function bestOf(candidates: Iterable<Sentence>): Sentence {
  const worth = ({ weight, repeats }: Sentence) => weight - REPEATED * repeats
  return [...candidates].reduce((best, candidate) => (worth(candidate) > worth(best) ? candidate : best))
}

/** Between lines, and after a full stop, question or exclamation mark that white space and a capital follow. */
function sentencesOf(text: string): string[] {
  return text
    .split(/\n+|(?<=[.!?。！？])\s+(?=[\p{Lu}\p{Lo}])/u)
    .map((sentence) => sentence.replace(/\s+/g, ' ').trim())
    .filter((sentence) => /[\p{L}\p{N}]/u.test(sentence))
    .map((sentence) =>
      sentence.length > SENTENCE_MAX ? `${cut(sentence, SENTENCE_MAX - 1).trimEnd()}…` : sentence,
    )
}

function likeness(a: Float32Array, b: Float32Array): number {
  let sum = 0
  for (let at = 0; at < a.length; at++) sum += a[at]! * b[at]!
  return sum
}
