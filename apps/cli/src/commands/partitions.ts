import type { Partition } from '@weir/core/partition'
import type { PartitionDocument, PlanDocument } from '@weir/core/view/documents'
import { audited } from '../audited.ts'
import { commandOf } from '../command.ts'
import { CommandFailure, type ExitCode, FAILED, OK } from '../exit.ts'
import { integerOption } from '../options.ts'
import { counted, type TableStyle, tableOf } from '../text.ts'
import { numberText } from './audit-ledger.ts'

const MOST_PARTITIONS = 1024

export const partitionsShowCommand = commandOf(
  () => undefined,
  async ({ options, io, print }): Promise<ExitCode> => {
    const { withSession } = await import('../session.ts')
    const { plan, partitions } = await withSession(options, io, ({ view }) => view.status())
    print.answer({ plan, partitions }, () => {
      const head = plan === null ? 'One partition: this Redis is no Cluster.\n' : planText(plan)
      return `${head}\n${partitionsText(partitions, print.style)}`
    })
    return OK
  },
)

export const partitionsSetCommand = commandOf(
  (command) =>
    command
      .argument('<count>', `1 to ${MOST_PARTITIONS}`, integerOption(1, MOST_PARTITIONS))
      .addHelpText(
        'after',
        '\nEvents go to the new partitions at once; redeliveries of earlier ones are still recognised. Partitions that are' +
          '\nnot used any more are worked off by the consumers and stay in the list. Give webhook.redis.partitions the same' +
          '\nvalue: it counts at a first start only, but differing it is told at every start.',
      ),
  async ({ options, args, io, print }): Promise<ExitCode> => {
    const count = Number(args[0])
    const { withSession } = await import('../session.ts')
    const { changePartitions, spreadPlan } = await import('@weir/core/stream/plans')
    return withSession(options, io, async (session): Promise<ExitCode> => {
      const { config, partitions } = session
      if (!config.webhook.redis.cluster_enabled) {
        throw new CommandFailure(
          'This Redis is no Cluster (webhook.redis.cluster_enabled): one partition is all it needs.',
          FAILED,
        )
      }
      const detail = { before: session.plan?.partitions ?? null }
      return audited(session, { action: 'partitions.set', target: String(count), detail }, async () => {
        const plan = await changePartitions(partitions[0], count)
        const told = await spread(partitions, (partition) => spreadPlan(partition, plan))
        print.answer({ plan, told }, () =>
          plan.partitions === count
            ? `${counted(count, 'partition')} since epoch ${plan.epoch}; gateways and consumers follow within ${config.webhook.redis.partitions_refresh / 1000} s\n`
            : `somebody else has just set ${plan.partitions}; nothing was changed\n`,
        )
        const { epoch } = plan
        if (plan.partitions !== count) return { code: FAILED, outcome: 'overtaken', detail: { epoch } }
        return { code: OK, outcome: 'done', detail: { epoch, told } }
      })
    })
  },
)

/** Tells the partitions that there are, so that gateways learn at their next event; those that do not answer learn later. */
async function spread(
  partitions: readonly Partition[],
  tell: (partition: Partition) => Promise<unknown>,
): Promise<number> {
  const told = await Promise.allSettled(partitions.map(tell))
  return told.filter(({ status }) => status === 'fulfilled').length
}

export function planText({ epoch, partitions, since, earlier, notices }: PlanDocument): string {
  const open = earlier.filter(({ closed_at: closed }) => closed === null)
  const lines = [
    `${counted(partitions, 'partition')} since ${since ?? 'the first start'} (epoch ${epoch})`,
    ...open.map(
      (each) =>
        `epoch ${each.epoch} with ${counted(each.partitions, 'partition')}, replaced ${each.replaced_at}: its evidence is still looked up`,
    ),
    ...notices.map((notice) => `NOTE: ${notice}`),
  ]
  return `${lines.join('\n')}\n`
}

export function partitionsText(partitions: readonly PartitionDocument[], style: TableStyle): string {
  return tableOf(
    [
      { head: 'partition', cell: ({ partition, retired }) => (retired ? `${partition} retired` : partition) },
      { head: 'stream', cell: ({ stream }) => stream },
      { head: 'slot', cell: ({ slot }) => slot, align: 'right' },
      { head: 'master', cell: ({ server }) => server },
      { head: 'epoch', cell: ({ epoch }) => (epoch === 0 ? null : epoch), align: 'right' },
      { head: 'length', cell: ({ length }) => length, align: 'right' },
      { head: 'accepted', cell: ({ ledger }) => ledger.accepted, align: 'right' },
      { head: 'settled', cell: ({ ledger }) => ledger.settled, align: 'right' },
      { head: 'unread', cell: ({ ledger }) => numberText(ledger.unread), align: 'right' },
      { head: 'pending', cell: ({ ledger }) => ledger.pending, align: 'right' },
      { head: 'parked', cell: ({ ledger }) => ledger.parked, align: 'right' },
      { head: 'dead', cell: ({ ledger }) => ledger.dead, align: 'right' },
      {
        head: 'unaccounted',
        cell: ({ ledger }) => numberText(ledger.unaccounted),
        align: 'right',
        paint: ({ ledger }) => (ledger.unaccounted === 0 ? undefined : 'red'),
      },
    ],
    partitions,
    style,
  )
}
