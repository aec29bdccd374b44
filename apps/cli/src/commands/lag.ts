import type { StatusDocument } from '@weir/core/view/documents'
import type { LedgerFacts } from '@weir/core/view/status'
import { commandOf } from '../command.ts'
import { type ExitCode, FAILED, NEGATIVE, OK } from '../exit.ts'
import { integerOption } from '../options.ts'
import { ageText, type TableStyle, tableOf } from '../text.ts'
import { addWatchOptions, type WatchOptions, watched } from '../watch.ts'
import { numberText } from './audit-ledger.ts'

interface Options extends WatchOptions {
  readonly max?: number
}

type Waiting = StatusDocument['lag'] & { readonly oldest: StatusDocument['oldest'] }

interface LagDocument extends Waiting {
  /** Does the consumer group exist? It is made by the first consumer. */
  readonly group: boolean
  readonly partitions: readonly (Waiting & { readonly partition: number; readonly stream: string })[]
}

export const lagCommand = commandOf<Options>(
  (command) =>
    addWatchOptions(command)
      .option(
        '--max <n>',
        'exit code 1 when more events wait (2 when nobody knows how many)',
        integerOption(0),
      )
      .addHelpText(
        'after',
        '\nUnread: no consumer has it yet. Pending: with a consumer. Parked: waits for a retry or an open breaker.' +
          '\nExit codes: 0 shown, 1 more wait than --max, 2 Redis cannot tell how many are unread, or cannot be reached.',
      ),
  async (invocation): Promise<ExitCode> => {
    const { options, io, print } = invocation
    const { withSession } = await import('../session.ts')
    return withSession(options, io, async ({ view }): Promise<ExitCode> => {
      const look = async () => lagDocument(await view.ledger())
      const last = await watched(invocation, look, (lag) => lagText(lag, print.style))
      return last === undefined ? FAILED : codeOf(last, options.max)
    })
  },
)

/** What is known to wait may be too much already, even where the rest is unknown. */
function codeOf({ messages, pending, parked }: LagDocument, max: number | undefined): ExitCode {
  if (max !== undefined && (messages ?? pending + parked) > max) return NEGATIVE
  return messages === null ? FAILED : OK
}

function lagDocument({ lag, oldest, group, partitions }: LedgerFacts): LagDocument {
  return {
    ...lag,
    oldest,
    group,
    partitions: partitions.map(({ partition, stream, waiting, oldest: each }) => ({
      ...{ partition, stream, ...waiting, oldest: each },
    })),
  }
}

function lagText(lag: LagDocument, style: TableStyle): string {
  const all = { ...lag, stream: 'all' }
  const rows = lag.partitions.length === 1 ? lag.partitions : [...lag.partitions, all]
  const table = tableOf<Waiting & { readonly stream: string }>(
    [
      { head: 'stream', cell: ({ stream }) => stream },
      {
        head: 'waiting',
        cell: ({ messages }) => numberText(messages),
        align: 'right',
        paint: ({ messages }) => (messages === null ? 'yellow' : undefined),
      },
      { head: 'unread', cell: ({ unread }) => numberText(unread), align: 'right' },
      { head: 'pending', cell: ({ pending }) => pending, align: 'right' },
      { head: 'parked', cell: ({ parked }) => parked, align: 'right' },
      { head: 'oldest unread', cell: ({ oldest }) => since(oldest.unread_ms), align: 'right' },
      { head: 'oldest pending', cell: ({ oldest }) => since(oldest.pending_ms), align: 'right' },
      { head: 'most overdue', cell: ({ oldest }) => since(oldest.overdue_ms), align: 'right' },
    ],
    rows,
    style,
  )
  const notes = [
    ...(lag.messages === null
      ? [
          `unknown: Redis cannot tell how many events are unread (something else trimmed or deleted in the stream); at least ${lag.pending + lag.parked} wait`,
        ]
      : []),
    ...(lag.group ? [] : ['no consumer has ever run: the consumer group does not exist yet']),
  ]
  return table + notes.map((note) => `${style.paint(note, 'yellow')}\n`).join('')
}

/** 0 stands for "there is none". */
function since(ms: number): string | null {
  return ms === 0 ? null : ageText(ms)
}
