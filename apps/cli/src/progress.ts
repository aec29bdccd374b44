/** How far long work has come, rewritten in one line of standard error where somebody watches. */
import type { Io } from './io.ts'

export interface Progress {
  /** Somebody watches; if not, nothing need be counted for it. */
  readonly watched: boolean
  /** So much is done. */
  show(done: number, of: number): void
  /** Takes the line away. */
  end(): void
}

const WIDTH = 24
/** The line is not rewritten more often, ms. */
const PAUSE_MS = 100

/**
 * @param what of which so many are done: `contexts`
 * @param json the answer is for a program, and nobody watches
 */
export function progressOf(
  io: Pick<Io, 'err' | 'terminal' | 'clock'>,
  what: string,
  json: boolean,
): Progress {
  const watched = io.terminal && !json
  let shownAt = Number.NEGATIVE_INFINITY
  let shown = ''
  return {
    watched,
    show(done, of) {
      if (!watched || io.clock.monotonic() - shownAt < PAUSE_MS) return
      shownAt = io.clock.monotonic()
      const share = of === 0 ? 1 : done / of
      const bar = '█'.repeat(Math.round(share * WIDTH)).padEnd(WIDTH, '░')
      const line = `${bar} ${Math.floor(share * 100)} %  ${done} of ${of} ${what}`
      io.err(`\r${line.padEnd(shown.length)}`)
      shown = line
    },
    end() {
      if (shown !== '') io.err(`\r${' '.repeat(shown.length)}\r`)
      shown = ''
    },
  }
}
