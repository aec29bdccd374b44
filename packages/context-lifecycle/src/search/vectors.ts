/**
 * The embeddings of one model, a row for each slot, and their cosines with a question's.
 *
 * All rows are looked at: 100,000 × 256 bytes are one pass over 26 MB, and an approximate index would have to be built, kept
 * up with every change, and would miss some.
 */
import { lengthOf, quantise } from './quantised.ts'

export interface Vectors {
  put(slot: number, vector: Int8Array): void
  remove(slot: number): void
  /** Writes each slot's cosine, -1 to 1; 0 for a slot that has none. */
  cosines(question: Float32Array, into: Float32Array): void
  readonly count: number
}

export function createVectors(dimensions: number): Vectors {
  let rows = new Int8Array(0)
  /** 1 / length of the row; 0 = none. */
  let scales = new Float32Array(0)
  let count = 0

  function widen(slot: number): void {
    const capacity = Math.max(1_024, slot + 1, Math.ceil(scales.length * 1.5))
    const widerRows = new Int8Array(capacity * dimensions)
    widerRows.set(rows)
    const widerScales = new Float32Array(capacity)
    widerScales.set(scales)
    rows = widerRows
    scales = widerScales
  }

  return {
    put(slot, vector) {
      if (slot >= scales.length) widen(slot)
      const length = lengthOf(vector)
      if (scales[slot] === 0 && length > 0) count += 1
      rows.set(vector, slot * dimensions)
      scales[slot] = length === 0 ? 0 : 1 / length
    },
    remove(slot) {
      if (slot >= scales.length || scales[slot] === 0) return
      scales[slot] = 0
      rows.fill(0, slot * dimensions, (slot + 1) * dimensions)
      count -= 1
    },
    cosines(question, into) {
      const asked = quantise(question)
      const length = lengthOf(asked)
      const slots = Math.min(into.length, scales.length)
      if (length === 0) return
      for (let slot = 0; slot < slots; slot++) {
        const scale = scales[slot] as number
        if (scale > 0) into[slot] = (dot(rows, slot * dimensions, asked) * scale) / length
      }
    },
    get count() {
      return count
    },
  }
}

/** In four sums at once: a processor does not wait for one to be done before it begins the next. */
function dot(rows: Int8Array, from: number, asked: Int8Array): number {
  let [a, b, c, d] = [0, 0, 0, 0]
  const whole = asked.length & ~3
  let at = from
  for (let i = 0; i < whole; i += 4, at += 4) {
    a += (rows[at] as number) * (asked[i] as number)
    b += (rows[at + 1] as number) * (asked[i + 1] as number)
    c += (rows[at + 2] as number) * (asked[i + 2] as number)
    d += (rows[at + 3] as number) * (asked[i + 3] as number)
  }
  for (let i = whole; i < asked.length; i++, at++) a += (rows[at] as number) * (asked[i] as number)
  return a + b + c + d
}
