/** The audit trail as lines of JSON, for a place where nobody who reaches Redis can change it. It reads, and changes nothing. */
import { open, rename, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { messageOf } from '@weir/core/faults'
import { commandOf, type Invocation } from '../command.ts'
import { CommandFailure, type ExitCode, OK } from '../exit.ts'
import type { Io } from '../io.ts'
import { integerOption, type Moment, momentOption } from '../options.ts'
import type { Session } from '../session.ts'

interface Options {
  readonly since?: Moment
  readonly until?: Moment
  readonly after?: number
  readonly out?: string
  readonly checkpoints?: true
}

export const auditExportCommand = commandOf<Options>(
  (command) =>
    command
      .option(
        '--since <time>',
        'from the first entry of this time on (RFC 3339, or how long ago: 2h)',
        momentOption,
      )
      .option('--until <time>', 'to the last entry of this time', momentOption)
      .option(
        '--after <n>',
        'entries after this one: goes on where an earlier export ended',
        integerOption(0),
      )
      .option('--out <file>', 'write to this file, whole or not at all; default: standard output')
      .option('--checkpoints', 'the checkpoints instead of the entries')
      .addHelpText(
        'after',
        '\nEntries come in one piece: clocks differ a little, so one among them may be of a time before or after.',
      ),
  run,
)

async function run(invocation: Invocation<Options>): Promise<ExitCode> {
  const { options, io, print } = invocation
  const { since, until, after, out } = options
  if (options.checkpoints && (since ?? until ?? after) !== undefined)
    throw new CommandFailure('--checkpoints are exported all: leave --since, --until and --after out.')
  const { withSession } = await import('../session.ts')
  return withSession(options, io, async (session): Promise<ExitCode> => {
    const lines = options.checkpoints ? await checkpointsOf(session) : await entriesOf(session, invocation)
    if (out === undefined) {
      for await (const line of lines) io.out(`${line}\n`)
      return OK
    }
    const summary = await writeLines(out, io, lines)
    print.answer({ file: out, ...summary }, () => `${summary.lines} lines written to ${out}\n`)
    return OK
  })
}

async function checkpointsOf({ partitions: [{ link, keys }] }: Session): Promise<AsyncIterable<string>> {
  const { auditCheckpoints } = await import('@weir/core/stream/audit-log')
  const lines = await auditCheckpoints(link, keys)
  return (async function* () {
    yield* lines
  })()
}

/** The entries that were asked for, from the first to the last of them, with all that stand between. */
async function entriesOf(
  { partitions: [{ link, keys }] }: Session,
  { options, io }: Invocation<Options>,
): Promise<AsyncIterable<string>> {
  const { auditLines, readAuditState } = await import('@weir/core/stream/audit-log')
  const { readEntry } = await import('@weir/security/audit-chain')
  const { floor, head, last } = await readAuditState(link, keys)
  const now = io.clock.now()
  const since = options.since?.at(now) ?? Number.NEGATIVE_INFINITY
  const until = options.until?.at(now) ?? Number.POSITIVE_INFINITY
  const start = Math.max(options.after ?? 0, floor.n)
  let from = start
  let to = Math.max(head.n, last)
  if (options.since !== undefined || options.until !== undefined) {
    let first: number | undefined
    let latest = start
    for await (const line of auditLines(link, keys, start, to)) {
      const entry = readEntry(line)
      if (entry === undefined) continue
      if (entry.at >= since) first ??= entry.n
      if (entry.at <= until) latest = entry.n
    }
    from = first === undefined ? to : first - 1
    to = latest
  }
  return auditLines(link, keys, from, to)
}

/** Characters written at once. */
const WRITE_SIZE = 65_536

interface Written {
  readonly lines: number
  /** Number of the first and the last one, null when there is none. */
  readonly first: number | null
  readonly last: number | null
}

/** A file that is there is whole: it gets its name when all is on the disk. */
async function writeLines(out: string, io: Io, lines: AsyncIterable<string>): Promise<Written> {
  const path = resolve(io.cwd, out)
  const partial = `${path}.partial`
  let count = 0
  let first: number | null = null
  let last: number | null = null
  try {
    // Nobody else's business: it says who did what.
    const file = await open(partial, 'w', 0o600)
    try {
      let gathered = ''
      for await (const line of lines) {
        const n = numberOf(line)
        count += 1
        first ??= n
        last = n ?? last
        gathered += `${line}\n`
        if (gathered.length < WRITE_SIZE) continue
        await file.appendFile(gathered)
        gathered = ''
      }
      await file.appendFile(gathered)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(partial, path)
  } catch (error) {
    await rm(partial, { force: true })
    if (error instanceof Error && 'syscall' in error)
      throw new CommandFailure(`--out ${out}: ${messageOf(error)}.`, undefined, { cause: error })
    throw error
  }
  return { lines: count, first, last }
}

/** Entries and checkpoints both begin with it. */
function numberOf(line: string): number | null {
  const n = /^\{"n":(\d{1,16}),/.exec(line)?.[1]
  return n === undefined ? null : Number(n)
}
