/** Tables of FSE codes as they are written into a dictionary (RFC 8878, 4.1.1). Every symbol has a probability. */

/** The accuracy that is written as 0. */
const LEAST_LOG = 5

/**
 * How many of 2^log states each symbol gets: in proportion to its count, and one at least.
 *
 * @param counts at least 1 each; at most 2^log symbols
 */
export function normalized(counts: readonly number[], log: number): number[] {
  const size = 2 ** log
  const total = counts.reduce((sum, count) => sum + count, 0)
  const shares = counts.map((count) => Math.max(1, Math.round((count / total) * size)))
  // What rounding has given or taken too much: from or to the one that it changes least.
  for (let left = size - shares.reduce((sum, share) => sum + share, 0); left !== 0; left -= Math.sign(left)) {
    const step = Math.sign(left)
    let best = -1
    let least = Number.POSITIVE_INFINITY
    shares.forEach((share, symbol) => {
      if (share + step < 1) return
      // Bits that all its occurrences cost more, or less.
      const cost = (counts[symbol] as number) * Math.log2(share / (share + step))
      if (cost < least) {
        least = cost
        best = symbol
      }
    })
    if (best < 0) throw new RangeError(`${counts.length} symbols do not fit into ${size} states`)
    shares[best] = (shares[best] as number) + step
  }
  return shares
}

/** The bytes that describe a table with these shares of 2^log states. None is 0. */
export function tableDescription(shares: readonly number[], log: number): Buffer {
  const bits: number[] = []
  const write = (value: number, count: number) => {
    for (let bit = 0; bit < count; bit++) bits.push((value >> bit) & 1)
  }
  write(log - LEAST_LOG, 4)
  let remaining = 2 ** log + 1
  let threshold = 2 ** log
  let width = log + 1
  for (const share of shares) {
    // Values below `small` take a bit less than the others.
    const small = 2 * threshold - 1 - remaining
    remaining -= share
    const value = share + 1
    if (value < small) write(value, width - 1)
    else write(value >= threshold ? value + small : value, width)
    while (remaining < threshold) {
      width--
      threshold >>= 1
    }
  }
  const bytes = Buffer.alloc(Math.ceil(bits.length / 8))
  bits.forEach((bit, at) => {
    bytes[at >> 3] = (bytes[at >> 3] as number) | (bit << (at & 7))
  })
  return bytes
}
