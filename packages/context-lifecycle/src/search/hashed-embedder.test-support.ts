/**
 * A stand-in for the local embedder: words, neighbouring words and runs of four letters, hashed into 256 dimensions. It has the
 * embedder's signature and roughly its strengths; the real one is in packages/ai, which this package must not import.
 */
import { wordsOf } from './tokens.ts'

const DIMENSIONS = 256
const GRAM = 4

export function hashedEmbedding(text: string): Float32Array {
  const vector = new Float32Array(DIMENSIONS)
  const words = wordsOf(text)
  const seen = new Map<string, number>()
  const count = (feature: string, weight: number) => seen.set(feature, (seen.get(feature) ?? 0) + weight)
  for (const [at, word] of words.entries()) {
    count(`w ${word}`, 1)
    if (at > 0) count(`b ${words[at - 1]} ${word}`, 0.5)
    const edged = `<${word}>`
    for (let from = 0; from + GRAM <= edged.length; from++) count(`g ${edged.slice(from, from + GRAM)}`, 0.35)
  }
  for (const [feature, weight] of seen) {
    const hash = hashOf(feature)
    const at = hash % DIMENSIONS
    vector[at] = (vector[at] as number) + (hash & 0x8000_0000 ? -1 : 1) * Math.sqrt(weight)
  }
  const length = Math.hypot(...vector)
  return length === 0 ? vector : vector.map((value) => value / length)
}

/** FNV-1a, mixed. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return (hash ^ (hash >>> 13)) >>> 0
}
