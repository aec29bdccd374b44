import type { Tier } from '@weir/context-lifecycle/compose'
import type { Transitioned } from '@weir/context-lifecycle/tiers/transition'
import { audited, type Ended } from '../audited.ts'
import { commandOf, type Invocation } from '../command.ts'
import { CommandFailure, type ExitCode, NEGATIVE, OK } from '../exit.ts'
import { BoundedOption, durationFlag, nameOption, toolFlag } from '../options.ts'
import { ageText, counted } from '../text.ts'
import { requireWholeS3 } from '../whole-s3.ts'

interface Options {
  readonly tier: Tier
  readonly id?: string
  readonly tenant?: string
  readonly tool?: string
  readonly olderThan: number
  readonly dryRun?: true
}

export const forceTransitionCommand = commandOf<Options>(
  (command) =>
    command
      .addOption(
        new BoundedOption('--tier <tier>', 'where to: hot, warm or cold', 'tier', [
          'hot',
          'warm',
          'cold',
        ]).makeOptionMandatory(),
      )
      .option('--id <context>', 'this context alone (ctx_…)')
      .option('--tenant <tenant>', 'of this tenant only', nameOption)
      .addOption(toolFlag('of this tool only'))
      .addOption(durationFlag('--older-than <duration>', 'neither an event nor an access for so long', '0s'))
      .option('--dry-run', 'only say how many would be moved')
      .addHelpText(
        'after',
        '\nFrom there on they go their usual way. Exit codes: 0 done, 1 some could not be moved or it was stopped before the end, 2 not done.',
      ),
  run,
)

async function run({ options, io, print, progress }: Invocation<Options>): Promise<ExitCode> {
  const { tier, id, tenant, olderThan, dryRun = false } = options
  const { tool } = options
  const { CONTEXT_ID_PATTERN } = await import('@weir/context-lifecycle/context-id')
  if (id !== undefined && !CONTEXT_ID_PATTERN.test(id))
    throw new CommandFailure(
      `${JSON.stringify(id)} is not the id of a context (ctx_…); \`context list\` shows them.`,
    )
  const { withSession } = await import('../session.ts')
  const { transitionContexts } = await import('@weir/context-lifecycle/tiers/transition')
  return withSession(options, io, async (session): Promise<ExitCode> => {
    requireWholeS3(session.config)
    const { places, placeOf, mover, archive, library } = await session.contexts()
    const { concurrency } = session.config.webhook.context_lifecycle.curator
    const work = async (): Promise<Ended> => {
      if (!dryRun) await library.refresh()
      const bar = progress('contexts')
      const query = { to: tier, id, tenant, tool, inactiveMs: olderThan, dryRun, signal: io.signal }
      let found: Transitioned
      try {
        const deps = { places, placeOf, mover, concurrency, now: io.clock.now, onProgress: bar.show }
        found = await transitionContexts(deps, query)
        if (!dryRun) for (const place of places) await archive.collect(place, io.signal)
      } finally {
        bar.end()
      }
      const { moved, there, active, stuck, complete } = found
      const facts = { moved, there, active, stuck: stuck.length, complete }
      print.answer({ tier, dry_run: dryRun, ...facts, stuck }, () => textOf(tier, dryRun, found))
      const whole = complete && stuck.length === 0
      return { code: whole ? OK : NEGATIVE, outcome: complete ? 'done' : 'stopped', detail: facts }
    }
    if (dryRun) return (await work()).code
    const of = [id, tenant && `tenant ${tenant}`, tool && `tool ${tool}`].filter(Boolean).join(', ') || 'all'
    const detail = { tier, older_than: ageText(olderThan) }
    return audited(session, { action: 'context.transition', target: of, detail }, work)
  })
}

function textOf(
  tier: Tier,
  dryRun: boolean,
  { moved, there, active, stuck, complete }: Transitioned,
): string {
  const what = `${counted(moved, 'context')} ${dryRun ? 'would be moved (dry run)' : `moved to ${tier}`}`
  const rest = [
    `${there} there already`,
    ...(active > 0 ? [`${active} left, as something happened to them meanwhile`] : []),
    ...(stuck.length > 0 ? [`${stuck.length} cannot be moved`] : []),
  ]
  const reasons = stuck.map(({ context, reason }) => `  ${context}: ${reason}\n`).join('')
  return `${what}; ${rest.join(', ')}${complete ? '' : '; stopped before the end'}\n${reasons}`
}
