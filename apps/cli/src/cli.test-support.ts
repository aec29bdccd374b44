/** Runs webhook-cli inside the test: the outside world is made of strings. */
import { fileURLToPath } from 'node:url'
import { systemClock } from '@weir/core/clock'
import { runCli } from './cli.ts'
import type { ExitCode } from './exit.ts'
import type { Io } from './io.ts'

export interface Outcome {
  readonly code: ExitCode
  readonly out: string
  readonly err: string
  readonly bytes: Buffer
  /** Standard output as JSON. */
  json(): unknown
  /** The cells of the lines of standard output, split where two blanks are. */
  readonly rows: string[][]
}

/** Runs one command line. Options that are not given: no terminal, nobody to ask, an empty environment. */
export async function run(args: readonly string[], given: Partial<Io> = {}): Promise<Outcome> {
  let out = ''
  let err = ''
  const bytes: Uint8Array[] = []
  const io: Io = {
    out: (text) => {
      out += text
      given.out?.(text)
    },
    outBytes: (part) => void bytes.push(part),
    err: (text) => {
      err += text
      given.err?.(text)
    },
    terminal: given.terminal ?? false,
    columns: given.columns,
    colour: given.colour ?? false,
    ask: given.ask,
    readInput: given.readInput ?? (async () => Buffer.alloc(0)),
    signal: given.signal ?? new AbortController().signal,
    env: given.env ?? {},
    cwd: given.cwd ?? fileURLToPath(new URL('.', import.meta.url)), // no config.yaml there
    operator: given.operator ?? 'tester@test',
    samples: given.samples ?? new URL('../../../examples/events/', import.meta.url),
    clock: given.clock ?? systemClock,
  }
  const code = await runCli(args, io)
  const rows = out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.trim().split(/ {2,}/))
  return { code, out, err, bytes: Buffer.concat(bytes), json: () => JSON.parse(out), rows }
}
