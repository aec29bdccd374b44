/** Random hex digits from a store of random bytes: asking the system for 8 bytes each time costs a microsecond. */
import { randomFillSync } from 'node:crypto'

/** Bytes fetched at once. */
const STORE_BYTES = 4096

/** @returns gives so many random bytes (at most {@link STORE_BYTES}), in hex digits */
export function createRandomHex(): (bytes: number) => string {
  const store = Buffer.allocUnsafe(STORE_BYTES)
  let used = STORE_BYTES
  return (bytes) => {
    if (used + bytes > STORE_BYTES) {
      randomFillSync(store)
      used = 0
    }
    used += bytes
    return store.toString('hex', used - bytes, used)
  }
}
