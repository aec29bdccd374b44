import type { Restored } from '@weir/context-lifecycle/tiers/restore'
import { audited, type Ended } from '../audited.ts'
import { commandOf, type Invocation } from '../command.ts'
import { type ExitCode, NEGATIVE, OK } from '../exit.ts'
import { nameOption } from '../options.ts'
import { counted, pairs, sizeText, type TableStyle } from '../text.ts'
import { requireWholeS3 } from '../whole-s3.ts'

interface Options {
  readonly tenant?: string
  readonly dryRun?: true
}

export const contextRestoreCommand = commandOf<Options>(
  (command) =>
    command
      .option('--tenant <tenant>', 'of this tenant only', nameOption)
      .option('--dry-run', 'read and check everything, and write nothing')
      .addHelpText(
        'after',
        '\nContexts that are there are left alone, so it may be run again, and goes on where it was stopped. Every object is checked.\n' +
          'Exit codes: 0 all is back, 1 something is damaged, missing or unreadable, or it was stopped before the end, 2 not done.',
      ),
  run,
)

async function run({ options, io, print, progress }: Invocation<Options>): Promise<ExitCode> {
  const { tenant, dryRun = false } = options
  const { withSession } = await import('../session.ts')
  const { restoreContexts } = await import('@weir/context-lifecycle/tiers/restore')
  const { NO_KEYRING } = await import('@weir/core/keyring/keyring')
  return withSession(options, io, async (session): Promise<ExitCode> => {
    requireWholeS3(session.config)
    const kept = await session.contexts()
    const { places, placeOf, library, codec } = kept
    const work = async (): Promise<Ended> => {
      const store = await kept.store()
      const bar = progress('contexts')
      let found: Restored
      try {
        found = await restoreContexts({
          ...{ store, places, placeOf, library, codec, tenant, dryRun },
          partitions: session.partitions,
          opener: session.encryption?.keyring ?? NO_KEYRING,
          concurrency: session.config.webhook.context_lifecycle.s3.concurrency,
          signal: io.signal,
          onProgress: bar.show,
        })
      } finally {
        bar.end()
      }
      const { problems, ...counts } = found
      print.answer({ place: store.place, dry_run: dryRun, ...counts, problems }, () =>
        textOf(store.place, dryRun, found, print.style),
      )
      const whole = found.complete && problems.length === 0 && found.unreadable + found.missing === 0
      const detail = { ...counts, problems: problems.length }
      return { code: whole ? OK : NEGATIVE, outcome: found.complete ? 'done' : 'stopped', detail }
    }
    if (dryRun) return (await work()).code
    const target = tenant === undefined ? 'all' : `tenant ${tenant}`
    return audited(session, { action: 'context.restore', target }, work)
  })
}

function textOf(place: string, dryRun: boolean, found: Restored, style: TableStyle): string {
  const { contexts, events, there, objects, bytes, superseded, dictionaries, unreadable, missing, problems } =
    found
  const report = pairs(
    [
      ['cold storage', place],
      [
        dryRun ? 'would come back' : 'came back',
        `${counted(contexts, 'context')} with ${counted(events, 'event')}`,
      ],
      ['there already', counted(there, 'context')],
      ['checked', `${counted(objects, 'object')}, ${sizeText(bytes)}`],
      ['superseded', counted(superseded, 'object')],
      ['dictionaries', String(dictionaries)],
      ['unreadable here', counted(unreadable, 'context')],
      ['missing', counted(missing, 'event')],
    ],
    style,
  )
  const told = problems.map(({ what, problem }) => `  ${what}: ${problem}\n`).join('')
  const end = found.complete ? '' : 'stopped before the end: run it again\n'
  return report + (told === '' ? '' : `\n${counted(problems.length, 'problem')}:\n${told}`) + end
}
