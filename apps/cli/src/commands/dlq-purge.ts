import { audited } from '../audited.ts'
import { commandOf, type Invocation } from '../command.ts'
import { confirmed, DELETE, type Question } from '../confirm.ts'
import { CommandFailure, type ExitCode, NEGATIVE, OK } from '../exit.ts'
import { addLetterFilters, isFiltered, type LetterFilters, queryOf, queryText } from '../letter-filters.ts'
import { counted } from '../text.ts'
import { bulk, bulkDocument, bulkEnded, bulkText, namedLetters, totalOf } from './dlq-replay.ts'

interface Options extends LetterFilters {
  readonly all?: true
  readonly yes?: true
  readonly dryRun?: true
}

export const dlqPurgeCommand = commandOf<Options>(
  (command) => {
    command.argument('[id...]', 'letter ids or event ids; none: all that the filters choose')
    addLetterFilters(command)
      .option('--all', 'really all, where no filter is given')
      .option('--yes', 'do not ask')
      .option('--dry-run', 'only count them')
  },
  (invocation) => (invocation.args.length > 0 ? purgeNamed(invocation) : purgeQuery(invocation)),
)

async function purgeNamed({ options, args, io, print }: Invocation<Options>): Promise<ExitCode> {
  if (options.dryRun || options.all || isFiltered(options)) {
    throw new CommandFailure('name letters, or choose them with filters, not both.')
  }
  const { withSession } = await import('../session.ts')
  return withSession(options, io, async (session): Promise<ExitCode> => {
    await confirmed(io, questionOf(args.length, options))
    return audited(session, namedLetters('dlq.purge', args), async () => {
      const results: { id: string; outcome: 'purged' | 'absent' }[] = []
      for (const id of args) {
        const outcome = (await session.view.deadLetters.purgeOne(id)) ? 'purged' : 'absent'
        results.push({ id, outcome })
        session.audit.note({ action: 'dlq.purge', target: `letter ${id}`, outcome })
      }
      print.answer({ results }, () => results.map(({ id, outcome }) => `${id}  ${outcome}\n`).join(''))
      const done = results.filter(({ outcome }) => outcome === 'purged').length
      return { code: done === args.length ? OK : NEGATIVE, outcome: 'done', detail: { done } }
    })
  })
}

async function purgeQuery({ options, io, print, progress }: Invocation<Options>): Promise<ExitCode> {
  if (!options.all && !isFiltered(options)) {
    throw new CommandFailure(
      'say which letters: ids, filters (--tool, --tenant, --reason, --since, --until, --after), or --all.',
    )
  }
  const query = await queryOf(options, io.clock.now())
  const { withSession } = await import('../session.ts')
  return withSession(options, io, async (session): Promise<ExitCode> => {
    const { view } = session
    const matched =
      options.yes && !options.dryRun ? undefined : await view.deadLetters.count(query, io.signal)
    if (options.dryRun) {
      print.answer(
        { dry_run: true, matched },
        () => `${counted(matched ?? 0, 'dead letter')} would be purged (dry run)\n`,
      )
      return OK
    }
    if (matched !== undefined && matched > 0) await confirmed(io, questionOf(matched, options))
    return audited(session, { action: 'dlq.purge', target: queryText(query) }, async () => {
      const bar = progress('dead letters')
      const total = matched ?? (await totalOf(view, query, bar, io.signal))
      const result = await bulk({ command: 'purge', query, flags: options, io, bar, total }, (told) =>
        view.deadLetters.purge(query, told),
      )
      print.answer(bulkDocument('purged', result), () => `${bulkText('purged', result)}\n`)
      return bulkEnded(result)
    })
  })
}

function questionOf(count: number, { yes }: Options): Question {
  return { deed: DELETE, what: `${counted(count, 'dead letter')}, for good`, yes }
}
