/** How a command ends. docs/cli.md lists these. */

export const OK = 0
/** The command worked, and the answer is a no: not balanced, not found, refused, wrong. */
export const NEGATIVE = 1
/** The command could not do its work: wrong usage, wrong configuration, or nobody answers. */
export const FAILED = 2

export type ExitCode = typeof OK | typeof NEGATIVE | typeof FAILED

/** Ends a command with a message on standard error. The message says what to do. */
export class CommandFailure extends Error {
  readonly exitCode: ExitCode
  constructor(message: string, exitCode: ExitCode = FAILED, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CommandFailure'
    this.exitCode = exitCode
  }
}
