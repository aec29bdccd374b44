import type { SummaryDocument } from '@weir/context-lifecycle/document'
import type { Config } from '@weir/core/config/schema'
import { commandOf } from '../command.ts'
import { type ExitCode, OK } from '../exit.ts'
import { integerOption, nameOption, toolFlag } from '../options.ts'
import { counted, tableOf } from '../text.ts'

interface Options {
  readonly tenant?: string
  readonly tool?: string
  readonly limit: number
}

const LIMIT = 50
const MOST = 100_000

export const contextListCommand = commandOf<Options>(
  (command) =>
    command
      .option('--tenant <tenant>', 'of this tenant only', nameOption)
      .addOption(toolFlag('of this tool only'))
      .option('--limit <n>', 'so many at most', integerOption(1, MOST), LIMIT),
  async ({ options, io, print }): Promise<ExitCode> => {
    const { withSession } = await import('../session.ts')
    const { summaryDocument } = await import('@weir/context-lifecycle/document')
    return withSession(options, io, async (session): Promise<ExitCode> => {
      const { contexts } = await session.contexts()
      const { tenant, tool, limit } = options
      let unreadable = 0
      const onUnreadable = () => void unreadable++
      const found = await contexts.list({ tenant, tool, limit, onUnreadable })
      const documents = found.map(summaryDocument)
      print.answer({ contexts: documents, unreadable }, () => {
        if (documents.length > 0) return tableOf(COLUMNS, documents, print.style)
        if (unreadable > 0) return 'there are none that can be read here\n'
        if (tenant !== undefined || tool !== undefined) return 'there are none of these\n'
        return `there are no contexts${switchedOff(session.config)}\n`
      })
      if (unreadable > 0)
        io.err(
          `note: ${counted(unreadable, 'context')} left out: encrypted with a key that is destroyed or missing here, or damaged (\`keys status --count\`)\n`,
        )
      return OK
    })
  },
)

/** Why nothing is remembered, where that is so. */
export function switchedOff({ webhook }: Config): string {
  return webhook.context_lifecycle.enabled
    ? ''
    : '; they are switched off here (CONTEXTS_ENABLED, webhook.context_lifecycle.enabled)'
}

const COLUMNS = [
  { head: 'context', cell: ({ context_id: id }: SummaryDocument) => id },
  { head: 'tenant', cell: ({ tenant }: SummaryDocument) => tenant },
  { head: 'tool', cell: ({ tool }: SummaryDocument) => tool },
  { head: 'kind', cell: ({ kind }: SummaryDocument) => kind },
  { head: 'subject', cell: ({ subject }: SummaryDocument) => subject },
  { head: 'tier', cell: ({ tier }: SummaryDocument) => tier },
  { head: 'events', cell: ({ events }: SummaryDocument) => events, align: 'right' },
  { head: 'read', cell: ({ accesses }: SummaryDocument) => accesses, align: 'right' },
  { head: 'active', cell: ({ active_at: at }: SummaryDocument) => at },
] as const
