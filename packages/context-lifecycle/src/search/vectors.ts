/**
 * The embeddings of one model, a row for each slot, and their cosines with a question's.
 *
 * All rows are looked at: 100,000 × 256 bytes are one pass over 26 MB, and an approximate index would have to be built, kept
 * up with every change, and would miss some. In JavaScript that pass took 40 ms, of the 100 that a whole search may take; as
 * WebAssembly with vectors (dots.wat) 2.5.
 */
import { readFileSync } from 'node:fs'
import { instantiate, type WasmGlobal } from '@weir/core/wasm'
import { lengthOf, quantise } from './quantised.ts'

export interface Vectors {
  put(slot: number, vector: Int8Array): void
  remove(slot: number): void
  /** Writes the cosine of each slot that has a vector, -1 to 1. */
  cosines(question: Float32Array, into: Float32Array): void
  readonly count: number
}

/** What dots.wasm exports; its meaning stands in dots.wat. */
interface DotsExports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number }
  readonly question: WasmGlobal
  readonly sums: WasmGlobal
  readonly atOnce: WasmGlobal
  readonly rows: WasmGlobal
  dots(row: number, count: number, width: number): void
}

const PAGE_BYTES = 65_536
const LANES = 16

/** @param dimensions at most DIMENSIONS_MAX (card.ts) */
export function createVectors(dimensions: number): Vectors {
  const wasm = instantiate(readFileSync(new URL('dots.wasm', import.meta.url))) as DotsExports
  const width = Math.ceil(dimensions / LANES) * LANES
  const first = wasm.rows.value
  const atOnce = wasm.atOnce.value
  let bytes = new Int8Array(wasm.memory.buffer)
  /** 1 / length of the row; 0 = none. */
  let scales = new Float32Array(0)
  let count = 0

  function widen(slot: number): void {
    const capacity = Math.max(1_024, slot + 1, Math.ceil(scales.length * 1.5))
    const wider = new Float32Array(capacity)
    wider.set(scales)
    scales = wider
    // The memory that was there is no longer valid after it has grown.
    wasm.memory.grow(Math.max(0, Math.ceil((first + capacity * width - bytes.length) / PAGE_BYTES)))
    bytes = new Int8Array(wasm.memory.buffer)
  }

  return {
    put(slot, vector) {
      if (slot >= scales.length) widen(slot)
      const length = lengthOf(vector)
      if (scales[slot] === 0 && length > 0) count += 1
      bytes.set(vector, first + slot * width)
      scales[slot] = length === 0 ? 0 : 1 / length
    },
    remove(slot) {
      if (slot >= scales.length || scales[slot] === 0) return
      scales[slot] = 0
      bytes.fill(0, first + slot * width, first + (slot + 1) * width)
      count -= 1
    },
    cosines(question, into) {
      const asked = quantise(question)
      const length = lengthOf(asked)
      if (length === 0) return
      bytes.set(asked, wasm.question.value)
      const slots = Math.min(into.length, scales.length)
      const sums = new Int32Array(wasm.memory.buffer, wasm.sums.value, atOnce)
      for (let from = 0; from < slots; from += atOnce) {
        const together = Math.min(atOnce, slots - from)
        wasm.dots(first + from * width, together, width)
        for (let at = 0; at < together; at++)
          into[from + at] = ((sums[at] as number) * (scales[from + at] as number)) / length
      }
    },
    get count() {
      return count
    },
  }
}
