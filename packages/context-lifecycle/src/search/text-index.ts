/**
 * An inverted index over slots (small numbers that stand for cards), ranked by BM25.
 *
 * MiniSearch was measured first: over 100,000 cards it took 190 MB and 70 to 145 ms for a question of common words, since it
 * collects its results in maps. Here a posting is one small integer and a score one place in an array.
 *
 *   put ──▶ postings, `length` of the slot      remove ──▶ length 0: dead, its postings stay
 *   many dead ──▶ `sweep`, a few words at each put ──▶ postings gone ──▶ the slots are free again
 */
import type { Term } from './question.ts'

export interface WeightedText {
  readonly text: readonly string[]
  /** How much one of these words counts; a word of the running text counts 1. */
  readonly weight: number
}

export interface TextIndex {
  /** Free for the next `put`. */
  free(): number
  /** Throws `RangeError` beyond eight million slots. */
  put(slot: number, parts: readonly WeightedText[]): void
  remove(slot: number): void
  /** Adds to `scores` what each slot is worth. */
  score(terms: readonly Term[], scores: Float32Array): void
  /** The words as asked that each of these slots has, or has another word for. */
  found(terms: readonly Term[], slots: readonly number[]): ReadonlyMap<number, readonly string[]>
  readonly facts: { readonly words: number; readonly slots: number; readonly dead: number }
}

/** A posting: the slot, and in its lowest bits how much the word counts there, in halves. */
const WEIGHT_BITS = 8
const WEIGHT_MASK = (1 << WEIGHT_BITS) - 1
/** Small integers end at 31 bits: beyond them arrays hold pointers, at three times the room. */
const SLOTS_MAX = 1 << (31 - WEIGHT_BITS)

/** Usual values of BM25: how soon more of the same says no more, and how much a long card has to say it more often. */
const K1 = 1.2
const B = 0.6
/** What a word is worth that means the same as the one that was asked, and one that only begins like it. */
const OTHER_WORTH = 0.5
const BEGINNING_WORTH = 0.6
/** Words that begin alike are kept together by so many characters; a shorter word is not completed. */
const BEGINNING = 3
/** Words that one beginning stands for at most. */
const COMPLETIONS_MAX = 40

/** Words swept at each put while a sweep is under way, and how many slots must be dead to begin one. */
const SWEEP_STEP = 2_000
const DEAD_MIN = 1_000
const DEAD_SHARE = 0.1

type Postings = number[]

export function createTextIndex(): TextIndex {
  const words = new Map<string, Postings>()
  const beginnings = new Map<string, string[]>()
  /** Words of each slot; 0 = dead or never used. */
  let lengths = new Uint32Array(1_024)
  let slots = 0
  let live = 0
  let sum = 0
  const freed: number[] = []
  let dead = new Set<number>()
  let sweep: { readonly of: ReadonlySet<number>; readonly rest: Iterator<[string, Postings]> } | undefined

  function add(word: string, posting: number): void {
    const found = words.get(word)
    if (found !== undefined) return void found.push(posting)
    words.set(word, [posting])
    if (word.length <= BEGINNING) return
    const beginning = word.slice(0, BEGINNING)
    const same = beginnings.get(beginning)
    if (same === undefined) beginnings.set(beginning, [word])
    else same.push(word)
  }

  function forget(word: string): void {
    words.delete(word)
    const same = beginnings.get(word.slice(0, BEGINNING))
    const at = same?.indexOf(word) ?? -1
    if (same === undefined || at < 0) return
    const last = same.pop() as string
    if (at < same.length) same[at] = last
    if (same.length === 0) beginnings.delete(word.slice(0, BEGINNING))
  }

  function sweepOn(): void {
    if (sweep === undefined) {
      if (dead.size < DEAD_MIN || dead.size < live * DEAD_SHARE) return
      sweep = { of: dead, rest: words.entries() }
      dead = new Set()
    }
    const { of, rest } = sweep
    for (let left = SWEEP_STEP; left > 0; left--) {
      const { value, done } = rest.next()
      if (done) {
        freed.push(...of)
        sweep = undefined
        return
      }
      const [word, postings] = value
      let kept = 0
      for (const posting of postings) if (!of.has(posting >>> WEIGHT_BITS)) postings[kept++] = posting
      if (kept === 0) forget(word)
      else if (kept < postings.length) postings.length = kept
    }
  }

  const rarity = (count: number) =>
    Math.log(1 + (live - Math.min(count, live) + 0.5) / (Math.min(count, live) + 0.5))

  /** The words of the index that stand for one that was asked, and what each is worth. */
  function standIns({ word, others }: Term): [Postings, number][] {
    const exact = words.get(word)
    const found: [Postings, number][] = exact === undefined ? completions(word) : [[exact, 1]]
    for (const other of others) {
      const postings = words.get(other)
      if (postings !== undefined) found.push([postings, OTHER_WORTH])
    }
    return found
  }

  function completions(word: string): [Postings, number][] {
    if (word.length < BEGINNING) return []
    const found: [Postings, number][] = []
    for (const same of beginnings.get(word.slice(0, BEGINNING)) ?? []) {
      if (!same.startsWith(word)) continue
      found.push([words.get(same) as Postings, BEGINNING_WORTH])
      if (found.length === COMPLETIONS_MAX) break
    }
    return found
  }

  return {
    free() {
      return freed.pop() ?? slots
    },
    put(slot, parts) {
      if (slot >= SLOTS_MAX)
        throw new RangeError(`more than ${SLOTS_MAX} contexts cannot be searched by one process`)
      if (slot >= lengths.length) {
        const wider = new Uint32Array(Math.max(slot + 1, lengths.length * 2))
        wider.set(lengths)
        lengths = wider
      }
      slots = Math.max(slots, slot + 1)
      const counts = new Map<string, number>()
      let length = 0
      for (const { text, weight } of parts) {
        length += text.length
        for (const word of text) counts.set(word, (counts.get(word) ?? 0) + weight)
      }
      for (const [word, count] of counts)
        add(word, (slot << WEIGHT_BITS) | Math.min(WEIGHT_MASK, Math.round(count * 2)))
      lengths[slot] = Math.max(1, length)
      live += 1
      sum += Math.max(1, length)
      sweepOn()
    },
    remove(slot) {
      const length = lengths[slot] ?? 0
      if (length === 0) return
      lengths[slot] = 0
      live -= 1
      sum -= length
      dead.add(slot)
    },
    score(terms, scores) {
      const mean = sum / Math.max(1, live)
      const share = new Float32Array(slots)
      for (const term of terms) {
        const found = standIns(term)
        // What is asked is as rare as the word itself, however rare the words are that stand for it.
        const asked = rarity(found[0]?.[0].length ?? 0)
        // Each slot is credited with the best of the words that stand for this one, not with all of them.
        const several = found.length > 1
        if (several) share.fill(0)
        for (const [postings, worth] of found) {
          const factor = Math.min(asked, rarity(postings.length)) * worth * (K1 + 1)
          for (const posting of postings) {
            const slot = posting >>> WEIGHT_BITS
            const length = lengths[slot] as number
            if (length === 0) continue
            const count = (posting & WEIGHT_MASK) / 2
            const value = (factor * count) / (count + K1 * (1 - B + (B * length) / mean))
            if (!several) scores[slot] = (scores[slot] as number) + value
            else if (value > (share[slot] as number)) {
              scores[slot] = (scores[slot] as number) + value - (share[slot] as number)
              share[slot] = value
            }
          }
        }
      }
    },
    found(terms, slots) {
      const words = new Map<number, string[]>(slots.map((slot) => [slot, []]))
      for (const term of terms) {
        for (const [postings] of standIns(term)) {
          for (const posting of postings) {
            const found = words.get(posting >>> WEIGHT_BITS)
            if (found !== undefined && found.at(-1) !== term.said) found.push(term.said)
          }
        }
      }
      return words
    },
    get facts() {
      return { words: words.size, slots, dead: dead.size + (sweep?.of.size ?? 0) }
    },
  }
}
