/**
 * Vectors of unit length in one byte for each dimension: a quarter of the room, in Redis and in memory, and the dot products
 * over 100,000 of them become small enough to do for every question.
 *
 * No scale is kept: the direction is all that counts, so the cosine of two such vectors is their dot product divided by
 * their lengths as they are. What is lost was measured: quantised.test.ts.
 */

/** Largest value in a byte; -128 is left out, so that a vector and its opposite are equally long. */
const LARGEST = 127

/** @param vector of any length but zero; a vector of zeros stays one */
export function quantise(vector: Float32Array): Int8Array {
  let largest = 0
  for (const value of vector) largest = Math.max(largest, Math.abs(value))
  const scale = largest > 0 && Number.isFinite(largest) ? LARGEST / largest : 0
  return Int8Array.from(vector, (value) => Math.round(value * scale))
}

/** Euclidean length, in units of the bytes. */
export function lengthOf(vector: Int8Array): number {
  let sum = 0
  for (const value of vector) sum += value * value
  return Math.sqrt(sum)
}
