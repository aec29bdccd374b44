/**
 * Bodies that come again under another delivery id. GitHub (and Bitbucket, Jira, Shopify) sign neither the id nor a time, so
 * whoever captured one request can send its body again under a new id, and the signature still holds. GitHub itself does that
 * too (5 of its 329 published examples say the same as an earlier one), so such a body is a suspect, not a culprit.
 *
 * The signature stands for the body: both are the same as long as the secret is. Remembered are the last so many, each as 48
 * bits of it and 32 of the delivery's; of 65,536 one in 4 billion requests would be suspected without cause.
 */

export interface ReplaySuspects {
  /**
   * True when the same body came before under another id. Remembers it otherwise.
   * @param signature hex digits of the body's signature, 12 at least
   * @param locator what the delivery is known by
   */
  isSuspect(signature: string, locator: Buffer): boolean
  readonly size: number
}

const HEX_DIGITS = 12
const EMPTY = -1

/** @param capacity signatures remembered */
export function createReplaySuspects(capacity: number): ReplaySuspects {
  const deliveries = new Map<number, number>()
  /** The remembered ones in the order of their coming; the next one takes the place of the oldest. */
  const order = new Float64Array(capacity).fill(EMPTY)
  let next = 0
  return {
    isSuspect(signature, locator) {
      const body = Number.parseInt(signature.slice(0, HEX_DIGITS), 16)
      const delivery = locator.readUInt32BE(0)
      const before = deliveries.get(body)
      if (before !== undefined) return before !== delivery
      const oldest = order[next] as number
      if (oldest !== EMPTY) deliveries.delete(oldest)
      order[next] = body
      next = (next + 1) % capacity
      deliveries.set(body, delivery)
      return false
    },
    get size() {
      return deliveries.size
    },
  }
}
