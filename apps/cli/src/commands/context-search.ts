import type { SearchDocument, SearchResultDocument } from '@weir/context-lifecycle/search/document'
import { commandOf, type Invocation } from '../command.ts'
import { CommandFailure, type ExitCode, NEGATIVE, OK } from '../exit.ts'
import { integerOption, nameOption, toolFlag } from '../options.ts'
import { counted, oneLine, type TableStyle, tableOf } from '../text.ts'
import { switchedOff } from './context-list.ts'

interface Options {
  readonly tenant?: string
  readonly tool?: string
  readonly kind?: string
  readonly state?: string
  readonly limit: number
  readonly explain?: true
}

const LIMIT = 10
const MOST = 100

export const contextSearchCommand = commandOf<Options>(
  (command) =>
    command
      .argument('<question...>', 'words, an identifier such as PROJ-123, a question')
      .option('--tenant <tenant>', 'of this tenant only', nameOption)
      .addOption(toolFlag('of this tool only'))
      .option('--kind <kind>', 'of this kind only: pull_request, issue, alert_group, …')
      .option('--state <state>', 'in this state only: open, merged, firing, …')
      .option('--limit <n>', 'so many at most', integerOption(1, MOST), LIMIT)
      .option('--explain', 'also show where each score comes from')
      .addHelpText(
        'after',
        '\nIt reads what is searched of all contexts out of Redis first: some seconds for each 50,000. The operations API has it ready.\nExit codes: 0 found, 1 nothing found, 2 Redis cannot be reached or the question is refused.',
      ),
  run,
)

async function run({ options, args, io, print, progress }: Invocation<Options>): Promise<ExitCode> {
  const { limit, explain = false, tenant, tool, kind, state } = options
  const { withSession } = await import('../session.ts')
  const { createContextSearch } = await import('@weir/context-lifecycle/search/search')
  const { countCards } = await import('@weir/context-lifecycle/search/card-store')
  const { searchDocument } = await import('@weir/context-lifecycle/search/document')
  const { queryEmbedder } = await import('@weir/ai/query-embedder')
  return withSession(options, io, async (session): Promise<ExitCode> => {
    const { places } = await session.contexts()
    const counts = await Promise.all(places.map(countCards))
    const all = counts.reduce((sum, count) => sum + count, 0)
    const bar = progress('contexts')
    const enrichment = await session.enrichment()
    const search = createContextSearch({
      places,
      keyring: session.encryption?.keyring,
      embedder: enrichment && queryEmbedder(enrichment),
      clock: io.clock,
      tell(event) {
        if (event.kind === 'loading') bar.show(event.cards, all)
      },
    })
    try {
      await search.load()
      bar.end()
      const found = await search
        .search({ q: args.join(' '), limit, tenant, tool, kind, state })
        .catch((error: unknown) => {
          if (!(error instanceof RangeError)) throw error
          throw new CommandFailure(`${error.message}.`, 2, { cause: error })
        })
      const document = searchDocument(found, { explain })
      print.answer(document, () => textOf(document, switchedOff(session.config), print.style))
      if (document.unreadable > 0)
        io.err(
          `note: ${counted(document.unreadable, 'context')} left out: encrypted with a key that is destroyed or missing here, or damaged\n`,
        )
      if (document.meaning === 'failed')
        io.err('note: the provider of embeddings did not answer; only words were compared\n')
      return document.results.length > 0 ? OK : NEGATIVE
    } finally {
      bar.end()
      await search.stop()
    }
  })
}

function textOf({ results, searched }: SearchDocument, off: string, style: TableStyle): string {
  if (results.length === 0)
    return `nothing found in ${counted(searched, 'context')}${searched === 0 ? off : ''}\n`
  const table = tableOf(COLUMNS, results, style)
  const explained = results.flatMap(({ context_id: id, score, parts }) =>
    parts === undefined ? [] : [`\n${id} ${score.toFixed(3)}\n${tableOf(PARTS, parts, style)}`],
  )
  return table + explained.join('')
}

const COLUMNS = [
  { head: 'score', cell: ({ score }: SearchResultDocument) => score.toFixed(3), align: 'right' },
  { head: 'context', cell: ({ context_id: id }: SearchResultDocument) => id },
  { head: 'tenant', cell: ({ tenant }: SearchResultDocument) => tenant },
  { head: 'tool', cell: ({ tool }: SearchResultDocument) => tool },
  { head: 'subject', cell: ({ subject }: SearchResultDocument) => oneLine(subject) },
  { head: 'state', cell: ({ state }: SearchResultDocument) => state },
  { head: 'last', cell: ({ last_at: at }: SearchResultDocument) => at },
  { head: 'title', cell: ({ title }: SearchResultDocument) => title && oneLine(title) },
] as const

type Part = NonNullable<SearchResultDocument['parts']>[number]
const PARTS = [
  { head: 'part', cell: ({ part }: Part) => part },
  { head: 'weight', cell: ({ weight }: Part) => weight.toFixed(2), align: 'right' },
  { head: 'value', cell: ({ value }: Part) => value.toFixed(3), align: 'right' },
  { head: 'gives', cell: ({ weight, value }: Part) => (weight * value).toFixed(3), align: 'right' },
  { head: 'why', cell: ({ why }: Part) => why },
] as const
