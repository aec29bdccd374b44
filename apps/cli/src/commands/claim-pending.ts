import type { PipelineView } from '@weir/core/pipeline-view'
import { audited } from '../audited.ts'
import { commandOf, type Printer } from '../command.ts'
import { OK } from '../exit.ts'
import { durationFlag } from '../options.ts'
import { ageText, counted, tableOf } from '../text.ts'

interface Options {
  readonly idleTime: number
  readonly dryRun?: true
}

const IDLE_TIME = '5m'

export const claimPendingCommand = commandOf<Options>(
  (command) =>
    command
      .addOption(
        durationFlag('--idle-time <duration>', 'only entries without a sign of life for so long', IDLE_TIME),
      )
      .option('--dry-run', 'only count them'),
  async ({ options, io, print }) => {
    const { withSession } = await import('../session.ts')
    const { idleTime, dryRun = false } = options
    return withSession(options, io, async (session) => {
      const { view, config } = session
      const { reclaim_idle: reclaim } = config.webhook.consumer
      if (idleTime < reclaim && !dryRun) {
        io.err(
          `note: consumers give a sign of life at least every ${ageText(reclaim / 3)}; below ${ageText(reclaim)} (webhook.consumer.reclaim_idle) entries may be taken from one that still works on them, and then run twice\n`,
        )
      }
      if (dryRun) {
        answer(print, options, await view.claimPending(idleTime, { dryRun }))
        return OK
      }
      const target = `entries idle for ${ageText(idleTime)}`
      return audited(session, { action: 'pending.claim', target }, async () => {
        const result = await view.claimPending(idleTime, { dryRun })
        answer(print, options, result)
        const { found, released, gone } = result
        return { code: OK, outcome: 'done', detail: { found, released, gone } }
      })
    })
  },
)

type Result = Awaited<ReturnType<PipelineView['claimPending']>>

function answer(print: Printer, options: Options, result: Result): void {
  const { idleTime, dryRun } = options
  const consumers = [...result.byConsumer].map(([consumer, entries]) => ({ consumer, entries }))
  const { found, released, gone } = result
  print.answer({ idle_time_ms: idleTime, dry_run: dryRun === true, found, released, gone, consumers }, () => {
    if (found === 0) return `no entry has been pending for ${ageText(idleTime)} without a sign of life\n`
    const table = tableOf(
      [
        { head: 'consumer', cell: (row) => row.consumer },
        { head: 'entries', cell: (row) => row.entries, align: 'right' },
      ],
      consumers,
      print.style,
    )
    if (dryRun) return `${table}\n${counted(found, 'event')} would be given back (dry run)\n`
    const lost = gone === 0 ? '' : `; ${gone} more are no longer in the stream, consumers will report them`
    return `${table}\n${counted(released, 'event')} given back, due now${lost}\n`
  })
}
