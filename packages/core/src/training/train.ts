/**
 * Makes a compression dictionary out of a tenant's own events of one tool, and measures what it is worth on events that
 * it was not made from. What it holds are pieces of these events, values and all: it belongs to that tenant and tool,
 * and to nobody else (docs/dictionaries.md).
 *
 * Two ways are tried, because which is better depends on the level: whole events, each the one that packs worst with
 * those before it (better at level 3); and the windows that occur in the most events (better from level 5 on).
 */
import { Compressor } from 'zstd-napi'
import { type Dictionary, dictionaryOf } from '../dictionaries.ts'
import { cover } from './cover.ts'
import { TABLES_BYTES, withEntropyTables } from './entropy.ts'

/** Events that it takes: fewer would teach their own accidents. */
export const LEAST_SAMPLES = 64
/** Every so-manieth event is kept back to measure on. */
const HELD_OUT = 4
/** Of so many events the one that packs worst is taken next. */
const CANDIDATES = 16

export interface TrainingOptions {
  /** zstd level with which events are packed. */
  readonly level: number
  /** Size of the dictionary at most, bytes. */
  readonly maxBytes: number
  /** What these events are packed with now. */
  readonly before: Dictionary | undefined
  /** In [0, 1) */
  readonly random: () => number
  /** So many ways are tried, of so many. */
  readonly onStep?: ((done: number, of: number) => void) | undefined
}

/** What a dictionary does to events that it was not made from. */
export interface Measured {
  /** Mean size of the contents and of their frames, bytes. */
  readonly plainBytes: number
  readonly packedBytes: number
  readonly ratio: number
}

export type Training =
  | { readonly kind: 'too-few'; readonly found: number; readonly needed: number }
  | {
      readonly kind: 'trained'
      readonly dictionary: Dictionary
      readonly learnedFrom: number
      readonly measuredOn: number
      readonly before: Measured
      readonly after: Measured
    }

/** @param contents what packing.ts packs: header line and body, in no order */
export function trainDictionary(contents: readonly Buffer[], options: TrainingOptions): Training {
  const { level, before, onStep } = options
  if (contents.length < LEAST_SAMPLES) {
    return { kind: 'too-few', found: contents.length, needed: LEAST_SAMPLES }
  }
  const shuffled = shuffle(contents, options.random)
  const heldOut = shuffled.filter((_, at) => at % HELD_OUT === 0)
  const lessons = shuffled.filter((_, at) => at % HELD_OUT !== 0)
  const maxBytes = Math.max(0, options.maxBytes - TABLES_BYTES)
  const repeated = { ...options, maxBytes }
  const candidates = [wholeEvents, windows].map((way, done, { length }) => {
    onStep?.(done, length)
    const dictionary = dictionaryOf(withEntropyTables(way(lessons, repeated), lessons))
    return { dictionary, measured: measure(heldOut, dictionary, level) }
  })
  const best = candidates.reduce((a, b) => (b.measured.packedBytes < a.measured.packedBytes ? b : a))
  return {
    kind: 'trained',
    dictionary: best.dictionary,
    learnedFrom: lessons.length,
    measuredOn: heldOut.length,
    before: measure(heldOut, before, level),
    after: best.measured,
  }
}

/** Mean sizes of these contents packed with a dictionary, or without one. */
export function measure(
  contents: readonly Buffer[],
  dictionary: Dictionary | undefined,
  level: number,
): Measured {
  const compressor = compressorWith(dictionary?.bytes, level)
  let plain = 0
  let packed = 0
  for (const content of contents) {
    plain += content.length
    packed += compressor.compress(content).length
  }
  const count = Math.max(1, contents.length)
  return { plainBytes: plain / count, packedBytes: packed / count, ratio: packed === 0 ? 1 : plain / packed }
}

function compressorWith(dictionary: Buffer | undefined, level: number): Compressor {
  const compressor = new Compressor()
  compressor.setParameters({ compressionLevel: level, checksumFlag: true, dictIDFlag: false })
  if (dictionary !== undefined) compressor.loadDictionary(dictionary)
  return compressor
}

function wholeEvents(lessons: readonly Buffer[], { maxBytes, level, random }: TrainingOptions): Buffer {
  const left = [...lessons]
  let dictionary: Buffer = Buffer.alloc(0)
  for (;;) {
    const compressor = compressorWith(dictionary.length === 0 ? undefined : dictionary, level)
    let worst: { readonly at: number; readonly size: number } | undefined
    for (let n = 0; n < CANDIDATES && left.length > 0; n++) {
      const at = Math.floor(random() * left.length)
      const content = left[at] as Buffer
      if (dictionary.length + content.length > maxBytes) continue
      const size = compressor.compress(content).length
      if (worst === undefined || size > worst.size) worst = { at, size }
    }
    if (worst === undefined) return dictionary
    const [content] = left.splice(worst.at, 1)
    dictionary = Buffer.concat([dictionary, content as Buffer])
  }
}

/** Length of the windows and of the substrings that are counted, bytes: the best of those tried on GitHub's events. */
const WINDOW = { window: 1024, gram: 12 }

function windows(lessons: readonly Buffer[], { maxBytes }: TrainingOptions): Buffer {
  const texts = lessons.map((content) => content.toString('latin1')) // bytes, one character each
  return Buffer.from(cover(texts, { ...WINDOW, size: maxBytes }), 'latin1')
}

function shuffle<T>(items: readonly T[], random: () => number): T[] {
  const shuffled = [...items]
  for (let i = shuffled.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    ;[shuffled[i], shuffled[j]] = [shuffled[j] as T, shuffled[i] as T]
  }
  return shuffled
}
