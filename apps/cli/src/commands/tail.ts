import { messageOf } from '@weir/core/faults'
import type { TailDocument } from '@weir/core/view/documents'
import { commandOf } from '../command.ts'
import { type ExitCode, OK } from '../exit.ts'
import { integerOption, nameOption, toolFlag } from '../options.ts'
import { cut, NOTHING, oneLine, type Paint, sizeText, widthOf } from '../text.ts'

interface Options {
  readonly last: number
  readonly count?: number
  readonly tool?: string
  readonly tenant?: string
  readonly type?: string
}

/** One read waits this part of the time that a command may take, so that its answer always comes in time. */
const BLOCK_SHARE = 4
const LONGEST_BLOCK_MS = 500

export const tailCommand = commandOf<Options>(
  (command) =>
    command
      .option('--last <n>', 'begin with so many events that are there already', integerOption(0, 100_000), 0)
      .option('--count <n>', 'end after so many events', integerOption(1))
      .addOption(toolFlag('only events of this tool'))
      .option('--tenant <tenant>', 'only events of this tenant', nameOption)
      .option('--type <type>', 'only events of this type: pull_request, or pull_request.opened'),
  async ({ options, io, print }) => {
    const { withSession } = await import('../session.ts')
    return withSession(options, io, async ({ view, config }): Promise<ExitCode> => {
      const blockMs = Math.min(LONGEST_BLOCK_MS, config.webhook.redis.command_timeout / BLOCK_SHARE)
      const onOutage = (state: 'away' | 'back', error?: unknown) => {
        io.err(state === 'away' ? `Redis is away (${messageOf(error)}); waiting\n` : 'Redis is back\n')
      }
      if (!print.json) io.out(`${print.paint(lineOf(HEADS, io.columns), 'dim')}\n`)
      let shown = 0
      for await (const event of view.tail({ last: options.last, signal: io.signal, blockMs, onOutage })) {
        if (!wanted(event, options)) continue
        print.line(event, () => `${eventLine(event, io.columns, print.paint)}\n`)
        shown += 1
        if (shown === options.count) break
      }
      return OK
    })
  },
)

function wanted(event: TailDocument, { tool, tenant, type }: Options): boolean {
  return (
    (tool === undefined || event.tool === tool) &&
    (tenant === undefined || event.tenant === tenant) &&
    (type === undefined || event.type === type || event.event === type)
  )
}

/** Lines come one by one, so the columns have fixed widths. */
const WIDTHS = [24, 26, 12, 16, 28, 10] as const
const HEADS = ['RECEIVED', 'EVENT', 'TOOL', 'TENANT', 'TYPE', 'SIZE', 'SUBJECT'] as const

function lineOf(cells: readonly string[], columns: number | undefined): string {
  const line = cells
    .map((cell, at) => cell + ' '.repeat(Math.max(0, (WIDTHS[at] ?? 0) - widthOf(cell))))
    .join('  ')
  return columns === undefined ? line.trimEnd() : cut(line.trimEnd(), columns)
}

function eventLine(event: TailDocument, columns: number | undefined, paint: Paint): string {
  const { subject, problem } = event
  const about =
    subject === null ? NOTHING : [subject.key, subject.title].filter((part) => part !== undefined).join('  ')
  const cells = [
    event.received_at,
    event.event_id ?? event.stream_id,
    event.tool,
    event.tenant,
    event.event ?? event.type,
    sizeText(event.size),
    problem ?? about,
  ]
  const line = lineOf(
    cells.map((cell) => oneLine(cell ?? NOTHING)),
    columns,
  )
  return problem === null ? line : paint(line, 'red')
}
