/**
 * Whether Redis' clock runs as evenly as our own, which nobody sets: a process compares the times that Redis tells with its
 * monotonic clock.
 *
 * Idle times are to be believed only while it does: after a jump forward every pending entry looks abandoned, also those
 * that living consumers work on. They renew what they hold several times within `settleMs`; after that, idle times are
 * true again. A server that takes over after a failover and has another time is a jump, too; so is the time for which
 * this machine was suspended.
 */
import { CLOCK_TOLERANCE_MS } from './clock-repair.ts'

export interface ClockWatch {
  /**
   * Tells it what Redis answered to a question asked and answered at these monotonic times, ms.
   * Returns by how much Redis' clock has jumped since the last time it was told, ms; 0 = not at all.
   */
  saw(redisMs: number, askedAt: number, answeredAt: number): number
  /** False for `settleMs` after a jump. */
  readonly steady: boolean
}

/** @param monotonic ms */
export function createClockWatch(monotonic: () => number, settleMs: number): ClockWatch {
  /** Redis' time minus ours lies between these. */
  let least: number | undefined
  let most = 0
  let steadyFrom = Number.NEGATIVE_INFINITY
  return {
    saw(redisMs, askedAt, answeredAt) {
      const before = least
      const beforeMost = most
      least = redisMs - answeredAt
      most = redisMs - askedAt
      if (before === undefined) return 0
      const jump = least > beforeMost ? least - beforeMost : most < before ? most - before : 0
      if (Math.abs(jump) <= CLOCK_TOLERANCE_MS) return 0
      steadyFrom = monotonic() + settleMs
      return jump
    },
    get steady() {
      return monotonic() >= steadyFrom
    },
  }
}
