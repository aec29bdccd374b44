/** Vectors of length 1, and how they are kept. */

/** Scales it to length 1 in place; the zero vector stays what it is. */
export function toUnit(vector: Float32Array): Float32Array {
  let square = 0
  for (const value of vector) square += value * value
  if (square === 0) return vector
  const scale = 1 / Math.sqrt(square)
  for (let at = 0; at < vector.length; at++) vector[at] = vector[at]! * scale
  return vector
}

/**
 * As many signed bytes as it has dimensions: a quarter of the memory of floats, and the cosine to what it was stays above
 * 0.999 (a test holds it to that). The scale is not kept, since every vector is of length 1 again when it is read.
 */
export function packVector(vector: Float32Array): Buffer {
  let most = 0
  for (const value of vector) most = Math.max(most, Math.abs(value))
  const packed = Buffer.alloc(vector.length)
  if (most === 0) return packed
  const scale = 127 / most
  for (let at = 0; at < vector.length; at++) packed.writeInt8(Math.round(vector[at]! * scale), at)
  return packed
}

export function unpackVector(packed: Buffer): Float32Array {
  const vector = new Float32Array(packed.length)
  for (let at = 0; at < packed.length; at++) vector[at] = packed.readInt8(at)
  return toUnit(vector)
}
