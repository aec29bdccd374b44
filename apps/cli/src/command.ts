/** What every command is made of: a commander command whose action answers with an exit code. */
import type { Command } from 'commander'
import type { ExitCode } from './exit.ts'
import { addGlobalOptions, type GlobalOptions } from './global-options.ts'
import type { Io } from './io.ts'
import { type Progress, progressOf } from './progress.ts'
import { type Paint, painter, type TableStyle } from './text.ts'

export interface Context {
  readonly io: Io
  /** Ends the command with this code. */
  readonly finish: (code: ExitCode) => void
}

/** How an answer is printed: JSON when asked for, else text. */
export interface Printer {
  readonly json: boolean
  readonly paint: Paint
  readonly style: TableStyle
  /** The whole answer, once. */
  answer(document: unknown, text: () => string): void
  /** One of many answers: a line of JSON, or text. */
  line(document: unknown, text: () => string): void
}

function printerOf(io: Io, { json }: GlobalOptions): Printer {
  const paint = painter(io.colour)
  return {
    json: json === true,
    paint,
    style: { paint, columns: io.columns },
    answer: (document, text) => io.out(json ? `${JSON.stringify(document, null, 2)}\n` : text()),
    line: (document, text) => io.out(json ? `${JSON.stringify(document)}\n` : text()),
  }
}

/** What a command is completed with. */
export interface CommandContext extends Context {
  /** The program with all its commands completed. */
  whole(): Promise<Command>
}

export interface Invocation<Options> {
  readonly options: Options & GlobalOptions
  /** Positional arguments, in order. */
  readonly args: readonly string[]
  readonly io: Io
  readonly print: Printer
  /** A progress bar for so many of `what`; it shows nothing where nobody watches. */
  progress(what: string): Progress
  readonly whole: CommandContext['whole']
}

/** What a command takes and does. Its name and its summary stand in tree.ts, so that help need not load it. */
export interface Body {
  /** Makes a command that has only its name into the whole one. */
  complete(command: Command, context: CommandContext): void
}

/**
 * A command. `define` adds its arguments and options; `run` does the work. Modules that `run` needs and that are slow
 * to load (Redis client, schema, codecs) are imported by it when it runs, so that help stays fast.
 */
export function commandOf<Options extends object>(
  define: (command: Command) => void,
  run: (invocation: Invocation<Options>) => Promise<ExitCode>,
): Body {
  return {
    complete(command, { io, finish, whole }) {
      define(command)
      addGlobalOptions(command)
      command.action(async () => {
        const options = command.optsWithGlobals<Options & GlobalOptions>()
        const print = printerOf(io, options)
        const progress = (what: string) => progressOf(io, what, print.json)
        finish(await run({ options, args: command.args, io, print, progress, whole }))
      })
    },
  }
}
