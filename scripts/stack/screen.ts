/**
 * What `pnpm start` shows: lines that stay, and below them one line of counts that is always the newest.
 * On a terminal that line is rewritten in place; elsewhere (a log, a pipe) it is written again only when it has
 * changed, and not more often than every few seconds.
 */
import type { Clock } from '@weir/core/clock'

const PLAIN_INTERVAL_MS = 5_000
const CLEAR_LINE = '\r\x1b[2K'
const DEFAULT_COLUMNS = 80

export interface Terminal {
  readonly isTTY: boolean
  readonly columns: number | undefined
  write(text: string): void
}

export interface Screen {
  /** Writes lines that stay. */
  say(text: string): void
  /** Sets the live line; a terminal too narrow for it shows `shorter`, which is cut off if need be. */
  live(line: string, shorter?: string): void
  /** Leaves the last live line standing; nothing is written in place after this. */
  endLive(): void
}

export function createScreen(terminal: Terminal, clock: Pick<Clock, 'monotonic'>): Screen {
  let live = ''
  let liveShorter = ''
  let writtenLive = ''
  let writtenAt = Number.NEGATIVE_INFINITY

  const fitted = () => {
    const columns = terminal.columns || DEFAULT_COLUMNS // 0 where nobody has set a size
    const fitting = [live, liveShorter].find((line) => line.length < columns)
    return fitting ?? `${liveShorter.slice(0, columns - 2)}…`
  }
  return {
    say(text) {
      if (terminal.isTTY && live !== '') terminal.write(`${CLEAR_LINE}${text}\n${fitted()}`)
      else terminal.write(`${text}\n`)
    },
    live(line, shorter = line) {
      if (terminal.isTTY) {
        live = line
        liveShorter = shorter
        terminal.write(`${CLEAR_LINE}${fitted()}`)
        return
      }
      const now = clock.monotonic()
      if (line === writtenLive || now - writtenAt < PLAIN_INTERVAL_MS) return
      terminal.write(`${line}\n`)
      writtenLive = line
      writtenAt = now
    },
    endLive() {
      if (terminal.isTTY && live !== '') terminal.write('\n')
      live = ''
    },
  }
}
