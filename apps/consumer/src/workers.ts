/**
 * The workers of one process: how many handlers may run at once, in all its partitions together (`num_workers`). Who finds
 * none free waits in line, so that a partition with a backlog does not keep the others from getting theirs.
 */
export interface Workers {
  /** Takes one worker; false when none is free. */
  take(): boolean
  /** Gives it back, and calls those who wait as long as there is one free. */
  release(): void
  /** Calls the listener, once, when one is free; the first to wait is the first to be called. */
  onFree(listener: () => void): void
  readonly busy: number
}

/** @param count handlers running at once */
export function createWorkers(count: number): Workers {
  let busy = 0
  const waiting: (() => void)[] = []
  /** A listener may give its worker back at once: the loop that called it goes on then, not one inside another. */
  let calling = false
  return {
    take() {
      if (busy === count) return false
      busy++
      return true
    },
    release() {
      busy--
      if (calling) return
      calling = true
      try {
        while (busy < count && waiting.length > 0) waiting.shift()!()
      } finally {
        calling = false
      }
    },
    onFree(listener) {
      waiting.push(listener)
    },
    get busy() {
      return busy
    },
  }
}
