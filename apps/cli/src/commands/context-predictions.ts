import type { Tier } from '@weir/context-lifecycle/compose'
import type { Contexts } from '@weir/context-lifecycle/contexts'
import type { Habit, Reason } from '@weir/context-lifecycle/prewarm/habits'
import type { Prediction } from '@weir/context-lifecycle/prewarm/predict'
import { isFault } from '@weir/core/faults'
import { commandOf } from '../command.ts'
import { type ExitCode, OK } from '../exit.ts'
import { integerOption } from '../options.ts'
import { counted, tableOf } from '../text.ts'
import { switchedOff } from './context-list.ts'

interface Options {
  readonly limit: number
}

interface Row {
  readonly context_id: string
  readonly tenant: string
  readonly tool: string
  readonly subject: string
  readonly tier: Tier
  /** 0 to 1 */
  readonly confidence: number
  /** Whether the curator makes it hot for that. */
  readonly enough: boolean
  readonly reasons: readonly {
    readonly kind: Habit
    readonly share: number
    readonly text: string
    readonly after: string | null
  }[]
}

const LIMIT = 20
const MOST = 1_000

export const contextPredictionsCommand = commandOf<Options>(
  (command) =>
    command.option('--limit <n>', 'so many at most, the likeliest first', integerOption(1, MOST), LIMIT),
  async ({ options, io, print }): Promise<ExitCode> => {
    const { withSession } = await import('../session.ts')
    const { createAccessLog } = await import('@weir/context-lifecycle/prewarm/access-log')
    const { predict } = await import('@weir/context-lifecycle/prewarm/predict')
    const { configuredAccessNotes, configuredRules } = await import('@weir/context-lifecycle/prewarm/rules')
    const { redisTime } = await import('@weir/core/redis/time')
    return withSession(options, io, async (session): Promise<ExitCode> => {
      const { contexts, places } = await session.contexts()
      const rules = configuredRules(session.config)
      const now = await redisTime(places[0].link)
      const accesses = await createAccessLog(places, rules.historyMs).read(now)
      // Below the threshold too, so that one sees what is missing.
      const found = predict(accesses, now, { ...rules, threshold: 0, max: MOST })
      const rows: Row[] = []
      let unreadable = 0
      for (const prediction of found) {
        if (rows.length >= options.limit) break
        const row = await rowOf(contexts, prediction, rules.threshold)
        if (row === 'unreadable') unreadable++
        else if (row !== undefined) rows.push(row)
      }
      print.answer(
        { predictions: rows, threshold: rules.threshold, accesses: accesses.length, unreadable },
        () => {
          if (rows.length > 0) return tableOf(COLUMNS, rows, print.style)
          if (accesses.length > 0)
            return `nothing can be said from ${accesses.length === 1 ? 'one access' : `${accesses.length} accesses`}\n`
          const off = configuredAccessNotes(session.config) === undefined
          const why =
            switchedOff(session.config) ||
            (off ? '; prewarming is switched off here (webhook.ai.prewarming.enabled)' : '')
          return `no accesses were noted${why}\n`
        },
      )
      if (unreadable > 0)
        io.err(
          `note: ${counted(unreadable, 'context')} left out: encrypted with a key that is destroyed or missing here, or damaged\n`,
        )
      return OK
    })
  },
)

/** undefined when it is not there any more. */
async function rowOf(
  contexts: Contexts,
  { id, confidence, reasons }: Prediction,
  threshold: number,
): Promise<Row | undefined | 'unreadable'> {
  const found = await named(contexts, id)
  if (found === undefined || found === 'unreadable') return found
  const { tenant, tool, subject, tier } = found
  const told = await Promise.all(
    reasons.map(async ({ kind, share, text, after }: Reason) => {
      if (after === undefined) return { kind, share, text, after: null }
      const other = await named(contexts, after)
      // One that is gone is told by its id.
      const words = typeof other === 'object' ? text.replace(after, `${other.tool} ${other.subject}`) : text
      return { kind, share, text: words, after }
    }),
  )
  const enough = confidence >= threshold
  return { context_id: id, tenant, tool, subject, tier, confidence, enough, reasons: told }
}

async function named(contexts: Contexts, id: string) {
  try {
    return await contexts.read(id, { limit: 0 })
  } catch (error) {
    if (!isFault(error) || isFault(error, 'REDIS_UNAVAILABLE')) throw error
    return 'unreadable'
  }
}

const COLUMNS = [
  { head: 'context', cell: ({ context_id: id }: Row) => id },
  { head: 'tenant', cell: ({ tenant }: Row) => tenant },
  { head: 'subject', cell: ({ tool, subject }: Row) => `${tool} ${subject}` },
  { head: 'tier', cell: ({ tier }: Row) => tier },
  { head: 'confidence', cell: ({ confidence }: Row) => confidence.toFixed(3), align: 'right' },
  { head: 'enough', cell: ({ enough }: Row) => (enough ? 'yes' : 'no') },
  { head: 'reasons', cell: ({ reasons }: Row) => reasons.map(({ text }) => text).join('; ') },
] as const
