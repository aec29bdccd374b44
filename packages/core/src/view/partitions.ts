/** The partitions one by one, and whether the masters of a Cluster have fair shares of them. */
import type { Partition } from '../partition.ts'
import type { PartitionPlan } from '../plan.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { keySlot } from '../redis/slot.ts'
import { readLedger } from '../stream/ledger.ts'
import { knownEpoch } from '../stream/plans.ts'
import { type PartitionDocument, type PlanDocument, timeText } from './documents.ts'
import { ifAllowed } from './replies.ts'

/** @param plan undefined without a Cluster */
export async function readPartitions(
  partitions: readonly Partition[],
  plan: PartitionPlan | undefined,
): Promise<PartitionDocument[]> {
  return Promise.all(
    partitions.map(async (partition): Promise<PartitionDocument> => {
      const { link, keys } = partition
      const { ledger } = await readLedger(link, keys)
      return {
        partition: keys.partition,
        stream: keys.stream,
        slot: plan === undefined ? null : keySlot(keys.stream),
        server: link.peer,
        epoch: plan === undefined ? 0 : await knownEpoch(partition),
        retired: plan !== undefined && keys.partition >= plan.partitions,
        length: Number(await link.call('XLEN', keys.stream)),
        ledger,
      }
    }),
  )
}

export async function describePlan(plan: PartitionPlan, link: RedisLink): Promise<PlanDocument> {
  const { epoch, partitions, highest, since, earlier } = plan
  return {
    epoch,
    partitions,
    highest,
    since: timeText(since),
    earlier: earlier.map((each) => ({
      epoch: each.epoch,
      partitions: each.partitions,
      replaced_at: timeText(each.replaced),
      closed_at: timeText(each.closed ?? 0),
    })),
    notices: await shareNotices(plan, link),
  }
}

interface Range {
  readonly first: number
  readonly last: number
  readonly master: string
}

/** Sentences about masters that have fewer partitions than others; none where the user may not ask. */
async function shareNotices({ partitions }: PartitionPlan, link: RedisLink): Promise<string[]> {
  const reply = await ifAllowed(link.call('CLUSTER', 'SLOTS'))
  if (!Array.isArray(reply)) return []
  const ranges = reply.map((range): Range => {
    const [first, last, master] = range as [number, number, RedisReply[]]
    return { first, last, master: `${String(master[0])}:${String(master[1])}` }
  })
  const shares = new Map(ranges.map(({ master }) => [master, 0]))
  for (let partition = 0; partition < partitions; partition++) {
    const slot = keySlot(`{${partition}}`)
    const owner = ranges.find(({ first, last }) => first <= slot && slot <= last)
    if (owner !== undefined) shares.set(owner.master, (shares.get(owner.master) ?? 0) + 1)
  }
  return noticesOf([...shares].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** What is to be said of so many partitions at each master. */
export function noticesOf(shares: readonly (readonly [master: string, partitions: number])[]): string[] {
  const counts = shares.map(([, count]) => count)
  const idle = shares.filter(([, count]) => count === 0).map(([master]) => master)
  const list = shares.map(([master, count]) => `${master} ${count}`).join(', ')
  const more = 'more partitions (webhook-cli partitions set), or moving their slots, evens it out'
  const notices: string[] = []
  if (idle.length > 0) notices.push(`${idle.join(' and ')} has no partition and takes no events; ${more}`)
  if (Math.max(...counts) - Math.min(...counts) > 1)
    notices.push(`the shares of the masters are uneven (${list}); ${more}`)
  return notices
}
