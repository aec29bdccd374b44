import { audited, type Ended } from '../audited.ts'
import { commandOf, type Invocation } from '../command.ts'
import { confirmed, REMOVE } from '../confirm.ts'
import { type ExitCode, NEGATIVE, OK } from '../exit.ts'
import { durationFlag, nameOption, toolFlag } from '../options.ts'
import { ageText, counted, sizeText } from '../text.ts'
import { requireWholeS3 } from '../whole-s3.ts'

interface Options {
  readonly olderThan: number
  readonly tenant?: string
  readonly tool?: string
  readonly yes?: true
  readonly dryRun?: true
}

export const retentionRunCommand = commandOf<Options>(
  (command) =>
    command
      .addOption(durationFlag('--older-than <duration>', 'neither an event nor an access for so long', '30d'))
      .option('--tenant <tenant>', 'of this tenant only', nameOption)
      .addOption(toolFlag('of this tool only'))
      .option('--yes', 'do not ask')
      .option('--dry-run', 'only say what would be removed')
      .addHelpText(
        'after',
        '\nA scheduler runs it with --yes. It goes on where it was stopped. Exit codes: 0 done, 1 stopped before the end,\n2 not done.',
      ),
  run,
)

async function run({ options, io, print, progress }: Invocation<Options>): Promise<ExitCode> {
  const { olderThan, tenant, tool, dryRun = false } = options
  const { withSession } = await import('../session.ts')
  const { removeInactive } = await import('@weir/context-lifecycle/removal')
  return withSession(options, io, async (session): Promise<ExitCode> => {
    requireWholeS3(session.config)
    const { places, archive } = await session.contexts()
    const query = { inactiveMs: olderThan, tenant, tool, signal: io.signal }
    let total = 0
    const work = async (): Promise<Ended> => {
      const bar = progress('contexts')
      const onProgress = (done: number) => bar.show(done, Math.max(total, done))
      const { contexts, events, rawBytes, complete } = await removeInactive(places, {
        ...query,
        dryRun,
        onProgress,
      }).finally(bar.end)
      let objects = 0
      if (!dryRun) for (const place of places) objects += await archive.collect(place, io.signal)
      const facts = { contexts, events, raw_bytes: rawBytes, cold_objects: objects, complete }
      print.answer({ dry_run: dryRun, ...facts }, () => {
        const what = `${counted(contexts, 'context')} with ${counted(events, 'event')} (${sizeText(rawBytes)})`
        return `${what} ${dryRun ? 'would be removed (dry run)' : 'removed'}${complete ? '' : '; stopped before the end'}\n`
      })
      return { code: complete ? OK : NEGATIVE, outcome: complete ? 'done' : 'stopped', detail: facts }
    }
    if (dryRun) return (await work()).code
    if (!options.yes || io.terminal) {
      const { contexts, events } = await removeInactive(places, { ...query, dryRun: true })
      const what = `${counted(contexts, 'context')} with ${counted(events, 'event')}, for good`
      if (contexts > 0) await confirmed(io, { deed: REMOVE, what, yes: options.yes })
      total = contexts
    }
    const of = [tenant && `tenant ${tenant}`, tool && `tool ${tool}`].filter(Boolean).join(', ') || 'all'
    const detail = { older_than: ageText(olderThan) }
    return audited(session, { action: 'retention.run', target: of, detail }, work)
  })
}
