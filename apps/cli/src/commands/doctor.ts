import type { Command } from 'commander'
import { commandOf } from '../command.ts'
import type { Finding, Status } from '../doctor/finding.ts'
import { PARTS, type Part } from '../doctor/parts.ts'
import { type ExitCode, NEGATIVE, OK } from '../exit.ts'
import { BoundedOption } from '../options.ts'
import { type Colour, type Paint, tableOf } from '../text.ts'

interface Options {
  readonly skip?: readonly Part[]
}

export const doctorCommand = commandOf<Options>(
  (command: Command) =>
    command
      .addOption(
        new BoundedOption(
          '--skip <part>',
          `leave this out: ${PARTS.join(', ')}; may be repeated`,
          'part',
          PARTS,
          'many',
        ),
      )
      .addHelpText(
        'after',
        '\nIt puts, reads and deletes one small object in cold storage, asks the AI provider for one embedding, and changes nothing else.' +
          '\nExit codes: 0 nothing failed (there may be warnings), 1 something failed, 2 wrong usage.',
      ),
  async ({ options, io, print }): Promise<ExitCode> => {
    const { examine } = await import('../doctor/examine.ts')
    const findings = await examine(options, io, new Set(options.skip))
    const count = (status: Status) => findings.filter((each) => each.status === status).length
    const counts = { ok: count('ok'), warn: count('warn'), fail: count('fail'), skip: count('skip') }
    print.answer({ healthy: counts.fail === 0, ...counts, findings }, () =>
      textOf(findings, counts, print.paint),
    )
    return counts.fail === 0 ? OK : NEGATIVE
  },
)

const COLOURS: Readonly<Record<Status, Colour>> = { ok: 'green', warn: 'yellow', fail: 'red', skip: 'dim' }

function textOf(
  findings: readonly Finding[],
  counts: Readonly<Record<Status, number>>,
  paint: Paint,
): string {
  // Never cut: the end of a line is what to do.
  const table = tableOf<Finding>(
    [
      { head: 'state', cell: ({ status }) => status, paint: ({ status }) => COLOURS[status] },
      { head: 'check', cell: ({ check }) => check },
      { head: 'finding', cell: ({ finding, fix }) => (fix === null ? finding : `${finding}. FIX: ${fix}`) },
    ],
    findings,
    { paint },
  )
  return `${table}\n${counts.ok} ok, ${counts.warn} warnings, ${counts.fail} failed, ${counts.skip} not looked at\n`
}
