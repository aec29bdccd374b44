/**
 * How well a card answers a question, 0 to 1, and why.
 *
 * score = the sum of weight × value over the parts that can be told. Weights are fixed; where a part cannot be told (no
 * embedder, or this card has no embedding of its model) it is left out and the others are scaled up to 1 again. Values are
 * rounded before they are summed, so whoever reads the printed parts can add up the score.
 *
 *   text        BM25 of the words, by the best that this question finds
 *   meaning     cosine with the question's embedding, from what unrelated texts have to what alike texts have
 *   recency     half as much after two weeks
 *   importance  as on the card
 *
 * A question that is a subject, a tool and a subject, or a context's id, is answered by that one first, with a single part.
 */
import { ago, decayed, toThousandths } from '../importance.ts'

export type ScorePart = 'text' | 'meaning' | 'recency' | 'importance'

export type Weights = Readonly<Record<ScorePart, number>>

/**
 * Chosen looking at the tuning half of the labelled questions (bench/search.ts), with a local embedder of hashed features:
 *
 * - text outweighs meaning. Hashed words and letters mean little beyond the words themselves; at one to one they pushed right
 *   answers down, and among look-alikes sooner. Up to 0.3 meaning changes nothing on the examples alone. It has so much
 *   because it is all there is for questions that share no word with their answer, once a model understands them.
 * - recency and importance decide between cards that answer alike: together they are less than one word of six. The examples
 *   are years old and cannot say how much it should be; at 0.15 together one right answer fell out of the first five.
 */
export const WEIGHTS: Weights = { text: 0.65, meaning: 0.25, recency: 0.05, importance: 0.05 }

/** Longer than importance's: who searches looks for what is past too. */
const SEARCH_HALF_LIFE_MS = 14 * 86_400_000

/** A cosine that means nothing: unrelated texts have so much in common by their letters alone. */
export const COSINE_FLOOR = 0.15
/**
 * A cosine that means as much as one can. Measured by the best alone, the nearest of cards that are all far away would count
 * as if it answered, which cost 0.01 of nDCG.
 */
const COSINE_FULL = 0.6

/** What was measured of one card. */
export interface Measured {
  /** BM25 */
  readonly text: number
  /** undefined = cannot be told */
  readonly cosine: number | undefined
  readonly lastAt: number
  readonly importance: number
}

/** What the values of a question are measured by. */
export interface Scale {
  /** Of the cards that may answer. */
  readonly bestText: number
  readonly bestCosine: number
  /** ms */
  readonly now: number
  readonly weights: Weights
}

export interface Explained {
  readonly part: ScorePart | 'named'
  /** 0 to 1, three decimals; together 1. */
  readonly weight: number
  /** 0 to 1, three decimals. */
  readonly value: number
  readonly why: string
}

export interface Score {
  /** 0 to 1, three decimals. */
  readonly score: number
  readonly parts: readonly Explained[]
}

export const NAMED: Score = {
  score: 1,
  parts: [{ part: 'named', weight: 1, value: 1, why: 'the question is its name' }],
}

function textValue(text: number, { bestText }: Scale): number {
  return bestText > 0 ? text / bestText : 0
}

function meaningValue(cosine: number, { bestCosine }: Scale): number {
  const full = Math.max(COSINE_FULL, bestCosine)
  return Math.max(0, (cosine - COSINE_FLOOR) / (full - COSINE_FLOOR))
}

function recencyValue(lastAt: number, now: number): number {
  return lastAt > 0 ? decayed(now - lastAt, SEARCH_HALF_LIFE_MS) : 0
}

/** The score alone, unrounded: what cards are put in order by. */
export function scoreOf({ text, cosine, lastAt, importance }: Measured, scale: Scale): number {
  const { weights, now } = scale
  const rest =
    weights.text * textValue(text, scale) +
    weights.recency * recencyValue(lastAt, now) +
    weights.importance * importance
  const others = weights.text + weights.recency + weights.importance
  return cosine === undefined
    ? rest / others
    : (rest + weights.meaning * meaningValue(cosine, scale)) / (others + weights.meaning)
}

/**
 * @param found the question's words that the card has
 * @param asked how many it has
 * @param untold why meaning cannot be told, where it cannot
 */
export function explained(
  measured: Measured,
  scale: Scale,
  found: readonly string[],
  asked: number,
  untold: string,
): Score {
  const { text, cosine, lastAt, importance } = measured
  const { weights, now } = scale
  const left = cosine === undefined ? ` (${untold}: the other parts count for more)` : ''
  const judged: [ScorePart, number, string][] = [
    [
      'text',
      textValue(text, scale),
      `${found.length} of ${asked} words${found.length > 0 ? `: ${found.join(' ')}` : ''}${left}`,
    ],
    ...(cosine === undefined
      ? []
      : [
          ['meaning', meaningValue(cosine, scale), `cosine ${cosine.toFixed(3)}`] satisfies [
            ScorePart,
            number,
            string,
          ],
        ]),
    [
      'recency',
      recencyValue(lastAt, now),
      lastAt > 0 ? `last event ${ago(now - lastAt)}` : 'no event whose time is known',
    ],
    ['importance', importance, 'as of its last change'],
  ]
  const sum = judged.reduce((total, [part]) => total + weights[part], 0)
  const rounded = judged.map(([part]) => toThousandths(weights[part] / sum))
  const parts = judged.map(([part, value, why], at) => ({
    part,
    // What rounding adds or takes away is the first one's: together they are 1.
    weight:
      at === 0
        ? toThousandths(1 - rounded.slice(1).reduce((total, one) => total + one, 0))
        : (rounded[at] as number),
    value: toThousandths(Math.min(1, value)),
    why,
  }))
  return {
    score: toThousandths(parts.reduce((total, { weight, value }) => total + weight * value, 0)),
    parts,
  }
}
