/** Tells of what is tried again and again: the same failure only once, until it has worked or fails in another way. */
import { messageOf } from '@weir/core/faults'
import type { Logger } from 'pino'

export interface TellOnce {
  /** @param what the work that failed, one of a fixed number */
  failed(level: 'warn' | 'error', what: string, error: unknown, message: string): void
  worked(what: string): void
}

export function createTellOnce(log: Logger): TellOnce {
  const told = new Map<string, string>()
  return {
    failed(level, what, error, message) {
      const err = messageOf(error)
      log[told.get(what) === err ? 'debug' : level]({ err, what }, message)
      told.set(what, err)
    },
    worked: (what) => void told.delete(what),
  }
}
