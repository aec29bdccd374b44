/** webhook-cli: what operators do about the pipeline, straight against Redis; no app needs to run. */
import { isFault, messageOf } from '@weir/core/faults'
import { CommanderError } from 'commander'
import { CommandFailure, type ExitCode, FAILED, OK } from './exit.ts'
import type { Io } from './io.ts'
import { createProgram } from './program.ts'

/** Runs one command line (without node and script) and resolves with its exit code. Never rejects. */
export async function runCli(argv: readonly string[], io: Io): Promise<ExitCode> {
  let code: ExitCode = OK
  const program = createProgram({
    io,
    finish(result) {
      code = result
    },
  })
  try {
    await program.command.parseAsync([...argv], { from: 'user' })
    return code
  } catch (error) {
    return complain(error, argv.includes('--debug'), io)
  }
}

/** One sentence, or what a fault has to say; where it came from only when that was asked for. */
function complain(error: unknown, debug: boolean, io: Io): ExitCode {
  if (error instanceof CommanderError) {
    // Commander has written its message. Help that was asked for is no failure; help for want of a command is.
    return error.exitCode === 0 ? OK : FAILED
  }
  const stack = debug ? `${stackOf(error)}\n` : ''
  if (error instanceof CommandFailure) {
    io.err(`error: ${error.message}\n${stack}`)
    return error.exitCode
  }
  if (isFault(error)) {
    io.err(`error: ${error.message} (${error.code})\n${stack}`)
    return FAILED
  }
  const hint = debug ? '' : '; --debug shows where it came from'
  io.err(`error: ${messageOf(error)} (this was not expected${hint})\n${stack}`)
  return FAILED
}

/** With the stacks of its causes. */
function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause === undefined ? '' : `\ncaused by: ${stackOf(error.cause)}`
  return `${error.stack ?? error.message}${cause}`
}
