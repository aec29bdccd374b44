import type { BulkProgress, BulkResult } from '@weir/core/view/dead-letters'
import { audited } from '../audited.ts'
import { commandOf, type Invocation } from '../command.ts'
import { CommandFailure, type ExitCode, NEGATIVE, OK } from '../exit.ts'
import type { Io } from '../io.ts'
import { addLetterFilters, isFiltered, type LetterFilters, queryOf, queryText } from '../letter-filters.ts'
import { counted } from '../text.ts'
import { bulkDocument, bulkEnded, bulkText, howToGoOn, namedLetters } from './dlq-replay.ts'

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
    await confirm(io, options, args.length)
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

async function purgeQuery({ options, io, print }: Invocation<Options>): Promise<ExitCode> {
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
    if (matched !== undefined && matched > 0) await confirm(io, options, matched)
    return audited(session, { action: 'dlq.purge', target: queryText(query) }, async () => {
      let progress: BulkProgress | undefined
      const onProgress = (now: BulkProgress) => {
        progress = now
      }
      let result: BulkResult
      try {
        result = await view.deadLetters.purge(query, { signal: io.signal, onProgress })
      } catch (error) {
        if (progress?.last)
          io.err(`${bulkText('purged', progress)}; ${howToGoOn('purge', options, progress)}\n`)
        throw error
      }
      print.answer(bulkDocument('purged', result), () => `${bulkText('purged', result)}\n`)
      if (result.stopped) io.err(`stopped; ${howToGoOn('purge', options, result)}\n`)
      return bulkEnded(result)
    })
  })
}

/** Throws a CommandFailure unless the user says yes. */
async function confirm(io: Io, { yes }: Options, count: number): Promise<void> {
  if (yes) return
  const what = `${counted(count, 'dead letter')}, for good`
  if (io.ask === undefined)
    throw new CommandFailure(`this deletes ${what}: pass --yes where nobody can be asked.`)
  let answer = ''
  try {
    answer = await io.ask(`Delete ${what}? Type yes: `)
  } catch (error) {
    if (!io.signal.aborted) throw error // Ctrl-C is an answer too
  }
  if (answer.trim().toLowerCase() !== 'yes') throw new CommandFailure('nothing was deleted.', NEGATIVE)
}
