import type { ContextDocument } from '@weir/context-lifecycle/document'
import { commandOf } from '../command.ts'
import { CommandFailure, type ExitCode, NEGATIVE, OK } from '../exit.ts'
import { integerOption, nameOption, toolFlag } from '../options.ts'
import { counted, oneLine, pairs, sizeText, type TableStyle, tableOf } from '../text.ts'
import { switchedOff } from './context-list.ts'

interface Options {
  readonly tool?: string
  readonly tenant: string
  readonly limit: number
  readonly explain?: true
}

const LIMIT = 50
const MOST = 100_000

export const contextShowCommand = commandOf<Options>(
  (command) =>
    command
      .argument(
        '<context>',
        'id of a context (ctx_…) or of one of its events (evt_…), or with --tool a subject',
      )
      .addOption(toolFlag('the argument is a subject of this tool, e.g. acme/site#42 or PROJ-123'))
      .option('--tenant <tenant>', 'of which tenant the subject is', nameOption, 'default')
      .option('--limit <n>', 'newest events at most', integerOption(1, MOST), LIMIT)
      .option('--explain', 'also show why it is as important as it is')
      .addHelpText(
        'after',
        '\nIt counts as an access. Exit codes: 0 shown, 1 there is no such context, 2 Redis cannot be reached.',
      ),
  async ({ options, args, io, print }): Promise<ExitCode> => {
    const named = args[0] ?? ''
    const { tool } = options
    const { withSession } = await import('../session.ts')
    const { CONTEXT_ID_PATTERN, contextIdOf } = await import('@weir/context-lifecycle/context-id')
    const { EVENT_ID_PATTERN } = await import('@weir/core/event')
    const { contextDocument } = await import('@weir/context-lifecycle/document')
    return withSession(options, io, async (session): Promise<ExitCode> => {
      const { contexts } = await session.contexts()
      const idOf = async (): Promise<string | undefined> => {
        if (tool !== undefined) return contextIdOf(options.tenant, tool, named)
        if (CONTEXT_ID_PATTERN.test(named)) return named
        if (EVENT_ID_PATTERN.test(named)) return contexts.contextOf(named)
        throw new CommandFailure(
          `${JSON.stringify(named)} is the id neither of a context nor of an event; name a subject with --tool, such as --tool github acme/site#42.`,
        )
      }
      const id = await idOf()
      const found =
        id === undefined ? undefined : await contexts.read(id, { limit: options.limit, access: true })
      if (found === undefined) {
        const event = tool === undefined && EVENT_ID_PATTERN.test(named)
        throw new CommandFailure(unknownText(named, event) + switchedOff(session.config), NEGATIVE)
      }
      const [summary, namedBy] = [await contexts.summary(found.id), await contexts.namedBy(found.id)]
      const document = contextDocument(found, io.clock.now(), summary, namedBy)
      print.answer(document, () => contextText(document, options.explain === true, print.style))
      return OK
    })
  },
)

function unknownText(named: string, event: boolean): string {
  return event
    ? `${named} is in no context: it was never accepted here, or no consumer has taken it up yet`
    : `nothing is remembered of ${named}: no consumer has taken up an event of it`
}

function contextText(context: ContextDocument, explain: boolean, style: TableStyle): string {
  const { people, mentioned, related, timeline, events } = context
  const head = pairs(
    [
      ['context', context.context_id],
      ['subject', `${context.tool} ${context.kind} ${context.subject}`],
      ['tenant', context.tenant],
      ['title', context.title && oneLine(context.title)],
      ['state', context.state],
      ['severity', context.severity],
      ['link', context.link],
      ['importance', context.importance.toFixed(3)],
      ['tier', context.tier],
      ['events', `${counted(events, 'event')}, ${sizeText(context.raw_bytes)}`],
      ['happened', context.first_at && `${context.first_at} to ${context.last_at}`],
      ['read', counted(context.accesses, 'time')],
      ['people', people.map(({ name, events: count }) => `${name} (${count})`).join(', ') || null],
      ['mentioned', mentioned.join(', ') || null],
      ['related', related.map(({ tool, subject }) => `${tool} ${subject}`).join(', ') || null],
      ['named by', context.named_by.map(({ tool, subject }) => `${tool} ${subject}`).join(', ') || null],
    ],
    style,
  )
  const rows = tableOf(
    [
      { head: 'at', cell: ({ at }: ContextDocument['timeline'][number]) => at },
      { head: 'who', cell: ({ who }: ContextDocument['timeline'][number]) => who },
      { head: 'what', cell: ({ what }: ContextDocument['timeline'][number]) => oneLine(what) },
      { head: 'state', cell: ({ state }: ContextDocument['timeline'][number]) => state },
      { head: 'text', cell: ({ text }: ContextDocument['timeline'][number]) => text && oneLine(text) },
      { head: 'event', cell: ({ event_id: id }: ContextDocument['timeline'][number]) => id },
    ],
    timeline,
    style,
  )
  const { withheld } = context
  const earlier = events - timeline.length - (withheld?.events ?? 0)
  const told =
    context.summary === null
      ? ''
      : `${context.summary.text
          .split('\n')
          .map((line) => `  ${oneLine(line)}\n`)
          .join('')}`
  const blocks = [head, told, explain ? explainedText(context, style) : '', rows]
  if (withheld !== null)
    blocks.push(`${counted(withheld.events, 'event')} cannot be had now: ${withheld.reason}\n`)
  if (earlier > 0) blocks.push(`${counted(earlier, 'earlier event')}: --limit shows more\n`)
  return blocks.filter((block) => block !== '').join('\n')
}

function explainedText({ importance, importance_parts: parts }: ContextDocument, style: TableStyle): string {
  type Part = ContextDocument['importance_parts'][number]
  const table = tableOf(
    [
      { head: 'part', cell: ({ part }: Part) => part },
      { head: 'weight', cell: ({ weight }: Part) => weight.toFixed(2), align: 'right' },
      { head: 'value', cell: ({ value }: Part) => value.toFixed(3), align: 'right' },
      { head: 'gives', cell: ({ weight, value }: Part) => (weight * value).toFixed(3), align: 'right' },
      { head: 'why', cell: ({ why }: Part) => why },
    ],
    parts,
    style,
  )
  return `${table}importance ${importance.toFixed(3)}\n`
}
