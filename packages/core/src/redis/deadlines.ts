/**
 * Time-outs of commands that all have the same time. They come due in the order in which they were sent, so one timer
 * does for all of them: a timer for each, nearly always cleared unused, cost the gateway 2 µs an event.
 */
import type { Clock } from '../clock.ts'

/** What may time out: a command of ioredis. */
export interface Timed {
  readonly isSettled: boolean
  reject(error: Error): void
}

export interface Deadlines {
  /**
   * Rejects the command after `ms` if it is not settled by then, with the error that ioredis has for it.
   * @param ms not less than for those added before
   */
  add(command: Timed, ms: number): void
}

/** Entries at the beginning of the list that are over, at most, before the list is cut. */
const MAX_OVER = 1024

export function createDeadlines(clock: Pick<Clock, 'monotonic'>): Deadlines {
  let commands: Timed[] = []
  let dueAt: number[] = []
  /** Everything before this is over. */
  let first = 0
  let timer: NodeJS.Timeout | undefined

  function skipSettled(): void {
    while (first < commands.length && commands[first]?.isSettled) first++
    if (first <= MAX_OVER && first < commands.length) return
    commands = commands.slice(first)
    dueAt = dueAt.slice(first)
    first = 0
  }

  function arm(now: number): void {
    timer = setTimeout(expire, Math.max(1, Math.ceil((dueAt[first] as number) - now)))
    // A command in flight has its connection to keep the process alive.
    timer.unref()
  }

  function expire(): void {
    timer = undefined
    const now = clock.monotonic()
    skipSettled()
    while (first < commands.length && (dueAt[first] as number) <= now) {
      commands[first]?.reject(new Error('Command timed out'))
      skipSettled()
    }
    if (first < commands.length) arm(now)
  }

  return {
    add(command, ms) {
      skipSettled()
      const now = clock.monotonic()
      commands.push(command)
      dueAt.push(now + ms)
      if (timer === undefined) arm(now)
    },
  }
}
