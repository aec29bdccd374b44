import type { PipelineView } from '@weir/core/pipeline-view'
import type { BulkOptions, BulkProgress, BulkResult, LetterQuery } from '@weir/core/view/dead-letters'
import { audited, type Ended } from '../audited.ts'
import { commandOf, type Invocation } from '../command.ts'
import { CommandFailure, type ExitCode, NEGATIVE, OK } from '../exit.ts'
import type { Io } from '../io.ts'
import { addLetterFilters, isFiltered, type LetterFilters, queryOf, queryText } from '../letter-filters.ts'
import { rateOption } from '../options.ts'
import type { Progress } from '../progress.ts'
import { counted } from '../text.ts'

interface Options extends LetterFilters {
  readonly all?: true
  readonly rate?: number
  readonly dryRun?: true
}

export const dlqReplayCommand = commandOf<Options>(
  (command) => {
    command.argument('[id...]', 'letter ids or event ids; none: all that the filters choose')
    addLetterFilters(command)
      .option('--all', 'really all, where no filter is given')
      .option('--rate <n>', 'letters a second at most (default: as fast as Redis takes them)', rateOption)
      .option('--dry-run', 'only count them')
      .addHelpText(
        'after',
        '\nEverything that died before the command began is replayed, without a cap; what dies again meanwhile is not.\nCtrl-C stops it after the letters in hand and prints how to go on.',
      )
  },
  (invocation) => (invocation.args.length > 0 ? replayNamed(invocation) : replayQuery(invocation)),
)

async function replayNamed({ options, args, io, print }: Invocation<Options>): Promise<ExitCode> {
  if (options.dryRun || options.all || isFiltered(options)) {
    throw new CommandFailure('name letters, or choose them with filters, not both.')
  }
  const { withSession } = await import('../session.ts')
  return withSession(options, io, (session) =>
    audited(session, namedLetters('dlq.replay', args), async () => {
      const results: { id: string; outcome: string }[] = []
      for (const id of args) {
        const outcome = await session.view.deadLetters.replayOne(id)
        results.push({ id, outcome })
        session.audit.note({ action: 'dlq.replay', target: `letter ${id}`, outcome })
      }
      print.answer({ results }, () => results.map(({ id, outcome }) => `${id}  ${outcome}\n`).join(''))
      const done = results.filter(({ outcome }) => outcome === 'replayed' || outcome === 'superseded').length
      return { code: done === args.length ? OK : NEGATIVE, outcome: 'done', detail: { done } }
    }),
  )
}

/** Letters that an operator names. The target has room for a dozen of them; what became of each is noted one by one. */
export function namedLetters(action: string, ids: readonly string[]) {
  return { action, target: `letter ${ids.join(' ')}`, detail: { letters: ids.length } }
}

async function replayQuery({ options, io, print, progress }: Invocation<Options>): Promise<ExitCode> {
  if (!options.all && !isFiltered(options)) {
    throw new CommandFailure(
      'say which letters: ids, filters (--tool, --tenant, --reason, --since, --until, --after), or --all.',
    )
  }
  const query = await queryOf(options, io.clock.now())
  const { withSession } = await import('../session.ts')
  return withSession(options, io, async (session): Promise<ExitCode> => {
    const { view } = session
    if (options.dryRun) {
      const matched = await view.deadLetters.count(query, io.signal)
      print.answer(
        { dry_run: true, matched },
        () => `${counted(matched, 'dead letter')} would be replayed (dry run)\n`,
      )
      return OK
    }
    return audited(session, { action: 'dlq.replay', target: queryText(query) }, async () => {
      const { rate } = options
      const bar = progress('dead letters')
      const total = await totalOf(view, query, bar, io.signal)
      const result = await bulk({ command: 'replay', query, flags: options, io, bar, total }, (told) =>
        view.deadLetters.replay(query, { rate, ...told }),
      )
      print.answer(bulkDocument('replayed', result), () => `${bulkText('replayed', result)}\n`)
      return bulkEnded(result)
    })
  })
}

/** How many there are, for a progress bar; undefined where nobody watches one. */
export async function totalOf(
  view: PipelineView,
  query: LetterQuery,
  { watched }: Pick<Progress, 'watched'>,
  signal: AbortSignal,
): Promise<number | undefined> {
  return watched ? view.deadLetters.count(query, signal) : undefined
}

export interface Bulk {
  readonly command: 'replay' | 'purge'
  readonly query: LetterQuery
  readonly flags: { readonly rate?: number; readonly yes?: true }
  readonly io: Io
  readonly bar: Progress
  /** Letters in all; undefined = no progress bar. */
  readonly total: number | undefined
}

/** Runs it with a progress bar, and says how to go on: before, for whoever kills it, and where it stops half-way. */
export async function bulk(
  run: Bulk,
  deal: (told: Pick<BulkOptions, 'signal' | 'onBegin' | 'onProgress'>) => Promise<BulkResult>,
): Promise<BulkResult> {
  const { command, io, bar, total } = run
  let progress: BulkProgress | undefined
  try {
    const result = await deal({
      signal: io.signal,
      onBegin: (bound) =>
        io.err(`should it be killed, this does the rest: ${commandLine(run, { last: null, bound })}\n`),
      onProgress(now) {
        progress = now
        if (total !== undefined) bar.show(now.matched, Math.max(total, now.matched))
      },
    })
    bar.end()
    if (result.stopped) io.err(`stopped; go on with: ${commandLine(run, result)}\n`)
    return result
  } catch (error) {
    bar.end()
    const done = command === 'replay' ? 'replayed' : 'purged'
    if (progress?.last) io.err(`${bulkText(done, progress)}; go on with: ${commandLine(run, progress)}\n`)
    throw error
  }
}

/** How a bulk run ended, for the exit code and the audit trail. */
export function bulkEnded(result: BulkResult): Ended {
  const { matched, done, superseded, absent, unreadable, last, stopped } = result
  return {
    code: unreadable > 0 || stopped ? NEGATIVE : OK,
    outcome: stopped ? 'stopped' : 'done',
    detail: { matched, done, superseded, absent, unreadable, last },
  }
}

/** What was done so far, in words. */
export function bulkText(done: 'replayed' | 'purged', progress: BulkProgress): string {
  const { matched, superseded, absent, unreadable } = progress
  const parts = [`${progress.done} of ${counted(matched, 'dead letter')} ${done}`]
  if (superseded > 0) parts.push(`${superseded} superseded by a redelivery`)
  if (absent > 0) parts.push(`${absent} taken by somebody else`)
  if (unreadable > 0) parts.push(`${unreadable} unreadable and left where they are`)
  return parts.join(', ')
}

export function bulkDocument(done: 'replayed' | 'purged', result: BulkResult) {
  const { matched, superseded, absent, unreadable, last, stopped } = result
  return { matched, [done]: result.done, superseded, absent, unreadable, last, stopped }
}

/** The command line that does the rest, and nothing that died since the beginning. */
function commandLine(
  { command, query, flags }: Pick<Bulk, 'command' | 'query' | 'flags'>,
  { last, bound }: Pick<BulkProgress, 'last' | 'bound'>,
): string {
  const timeText = (ms: number) => new Date(ms).toISOString()
  // Letters that were dealt with are gone: where the last one is not known, the same question is asked again.
  const after = last ?? query.after
  const given = {
    ...{ tool: query.tool, tenant: query.tenant, reason: query.reason, after },
    since: last === null && query.since !== undefined ? timeText(query.since) : undefined,
    until: timeText(bound),
    rate: flags.rate,
  }
  const words = Object.entries(given).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name} ${quoted(String(value))}`],
  )
  return `webhook-cli dlq ${command} ${words.join(' ')}${flags.yes ? ' --yes' : ''}`
}

/** For a shell. */
function quoted(text: string): string {
  return /^[\w.:@/+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
