/** Turns at something that only so many may do at once; the others wait in the order in which they came. */
export interface Turns {
  /**
   * Resolves when it is the caller's turn, with what ends it. Rejects when the signal aborts, with its reason, or when those
   * who wait are sent away.
   */
  take(signal?: AbortSignal): Promise<() => void>
  /** Rejects everybody who waits. */
  sendAway(reason: Error): void
}

interface Waiting {
  readonly go: () => void
  readonly leave: (reason: unknown) => void
}

export function createTurns(most: number): Turns {
  let taken = 0
  const queue = new Set<Waiting>()
  const turn = (): (() => void) => {
    let ended = false
    return () => {
      if (ended) return
      ended = true
      const [next] = queue
      if (next === undefined) taken--
      else next.go()
    }
  }
  return {
    async take(signal) {
      signal?.throwIfAborted()
      if (taken < most) {
        taken++
        return turn()
      }
      return new Promise((resolve, reject) => {
        const settle = (how: () => void) => {
          queue.delete(waiting)
          signal?.removeEventListener('abort', onAbort)
          how()
        }
        const waiting: Waiting = {
          go: () => settle(() => resolve(turn())),
          leave: (reason) => settle(() => reject(reason)),
        }
        const onAbort = () => waiting.leave(signal?.reason)
        signal?.addEventListener('abort', onAbort, { once: true })
        queue.add(waiting)
      })
    },
    sendAway(reason) {
      for (const waiting of [...queue]) waiting.leave(reason)
    },
  }
}
