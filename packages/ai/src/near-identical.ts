/**
 * Recent texts of each tenant with their vectors, among which one that is almost the same is found: an alert that differs in a
 * number, a comment that was corrected. In memory, of one process, bounded in texts and tenants.
 *
 * The edit distance of two texts of 2,000 characters takes 1.5 ms, so few are measured: only texts of about the same
 * length and with about the same runs of three letters can be almost the same, and both are looked at first. (With single letters
 * instead of runs, a look-up among 200 texts of the same vocabulary took 49 ms.)
 */
import { distance } from 'fastest-levenshtein'
import { normalised } from './normalise.ts'

export interface NearIdenticalOptions {
  /** 0 to 1: 1 − edit distance / length of the longer text. 1 = off. */
  readonly threshold: number
  /** Texts kept for each tenant; 0 = off. */
  readonly texts: number
}

export interface NearIdentical {
  /** The vector of the newest text of this tenant that is alike enough. */
  find(tenant: string, text: string): Float32Array | undefined
  /** Remembers a text that a provider made the vector of: never one that only borrows it, or likeness would drift. */
  add(tenant: string, text: string, vector: Float32Array): void
}

/** Tenants that are remembered; who was idle longest goes first. */
const TENANTS = 50
/** Longer texts are not compared: it would take longer than it is worth. */
const LONGEST = 2_000
/** Edit distances measured for one text at most. */
const MEASURED = 4
/** Runs of letters that are counted, and the slots that they are counted in. */
const RUN = 3
const SLOTS = 256

interface Kept {
  readonly text: string
  readonly counts: Uint16Array
  readonly vector: Float32Array
}

export function createNearIdentical({ threshold, texts }: NearIdenticalOptions): NearIdentical {
  /** In the order of use; of each tenant the texts oldest first. */
  const tenants = new Map<string, Kept[]>()
  const off = threshold >= 1 || texts === 0

  function keptOf(tenant: string): Kept[] {
    const kept = tenants.get(tenant) ?? []
    tenants.delete(tenant)
    tenants.set(tenant, kept)
    if (tenants.size > TENANTS) tenants.delete(tenants.keys().next().value as string)
    return kept
  }

  return {
    find(tenant, text) {
      const asked = compared(text)
      if (off || asked.length > LONGEST || !tenants.has(tenant)) return undefined
      const counts = countsOf(asked)
      let measured = 0
      // The newest that is alike enough, not the most alike: a text that has many near it would be compared with them all.
      return keptOf(tenant).findLast((kept) => {
        if (measured === MEASURED) return false
        const longer = Math.max(asked.length, kept.text.length)
        // Rounded, since 1 − 0.97 is a little more than 0.03.
        const allowed = Math.floor(longer * (1 - threshold) + 1e-9)
        if (Math.abs(asked.length - kept.text.length) > allowed) return false
        if (differing(counts, kept.counts) > allowed * RUN) return false
        measured += 1
        return distance(asked, kept.text) <= allowed
      })?.vector
    },
    add(tenant, text, vector) {
      const kept = compared(text)
      if (off || kept.length > LONGEST || kept === '') return
      const list = keptOf(tenant)
      list.push({ text: kept, counts: countsOf(kept), vector })
      if (list.length > texts) list.shift()
    },
  }
}

function compared(text: string): string {
  return normalised(text).toLowerCase()
}

/** How often each run of letters comes, by a hash of it: where two share a slot, texts only seem more alike than they are. */
function countsOf(text: string): Uint16Array {
  const counts = new Uint16Array(SLOTS)
  for (let at = RUN; at <= text.length; at++) {
    const run = text.charCodeAt(at - 3) * 31 * 31 + text.charCodeAt(at - 2) * 31 + text.charCodeAt(at - 1)
    const slot = (run ^ (run >>> 7)) % SLOTS
    counts[slot] = counts[slot]! + 1
  }
  return counts
}

/** Runs that one has and the other has not: an edit takes away RUN of them at most, and brings as many. */
function differing(a: Uint16Array, b: Uint16Array): number {
  let more = 0
  let fewer = 0
  for (let slot = 0; slot < SLOTS; slot++) {
    const difference = a[slot]! - b[slot]!
    if (difference > 0) more += difference
    else fewer -= difference
  }
  return Math.max(more, fewer)
}
