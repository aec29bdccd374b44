/** What the commands see of the outside world. main.ts makes it out of the process; tests out of strings. */
import type { Clock } from '@weir/core/clock'

export interface Io {
  /** Standard output: the answer, and nothing else. */
  out(text: string): void
  outBytes(bytes: Uint8Array): void
  /** Standard error: complaints, hints and progress. */
  err(text: string): void
  /** Standard output is a terminal, so what was written may be rewritten. */
  readonly terminal: boolean
  /** Columns of that terminal; undefined where there is none, and lines may be of any length. */
  readonly columns: number | undefined
  /** Colours on standard output are wanted. */
  readonly colour: boolean
  /** Asks the user; undefined where nobody can answer (standard input is no terminal). */
  readonly ask: ((question: string) => Promise<string>) | undefined
  /** All of standard input. */
  readInput(): Promise<Buffer>
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** Who runs the command, for the audit trail: `user@host`. Claimed, not proven. */
  readonly operator: string
  /** Directory of the sample events (examples/events), with a slash at its end. */
  readonly samples: URL
  readonly clock: Clock
}
