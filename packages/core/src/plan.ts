/**
 * How the events are spread over partitions: the plan, and the partitions that a key has to do with under it.
 *
 * A plan has an *epoch*, which rises when the number of partitions changes. The plans before it are kept, because their
 * traces remain where they were left:
 *
 *   open     events of that epoch may still be under way, or their window not over: their evidence is looked up before
 *            one of their keys is admitted anywhere else
 *   closed   nothing of that epoch waits any more and every window is over: only the settled ids are looked up there
 *
 * Which plan is in force, and how all agree on it: stream/plans.ts.
 */

export interface EarlierPlan {
  readonly epoch: number
  readonly partitions: number
  /** When it was replaced, Redis ms. */
  readonly replaced: number
  /** When its evidence was over, Redis ms; null = still looked up. */
  readonly closed: number | null
}

export interface PartitionPlan {
  /** 1 for the first; 0 for a server that is no Cluster: one partition, and no plan is kept. */
  readonly epoch: number
  readonly partitions: number
  /** Partitions that there ever were: consumers serve all of them. */
  readonly highest: number
  /** In force since, Redis ms. */
  readonly since: number
  /** Those before it, oldest first. */
  readonly earlier: readonly EarlierPlan[]
}

/** Without a Cluster: one partition, for ever. */
export const SINGLE_PLAN: PartitionPlan = { epoch: 0, partitions: 1, highest: 1, since: 0, earlier: [] }

/** Of a locator's 16 bytes the last four: the others choose shards of evidence and of settled ids. */
const PARTITION_BYTES_AT = 12

/** The partition of a locator among so many. */
export function partitionOf(locator: Buffer, partitions: number): number {
  return partitions === 1 ? 0 : locator.readUInt32BE(PARTITION_BYTES_AT) % partitions
}

/** The partitions that a key has to do with. */
export interface KeyPlaces {
  /** Where it is admitted. */
  readonly partition: number
  /** Others in which evidence of it may stand. */
  readonly evidence: readonly number[]
  /** Others in which it may have been settled; those of `evidence` among them. */
  readonly settled: readonly number[]
}

const NOWHERE: readonly number[] = []

export function placesOf(plan: PartitionPlan, locator: Buffer): KeyPlaces {
  const partition = partitionOf(locator, plan.partitions)
  if (plan.earlier.length === 0) return { partition, evidence: NOWHERE, settled: NOWHERE }
  const evidence = new Set<number>()
  const settled = new Set<number>()
  for (const { partitions, closed } of plan.earlier) {
    const other = partitionOf(locator, partitions)
    if (other === partition) continue
    settled.add(other)
    if (closed === null) evidence.add(other)
  }
  return { partition, evidence: [...evidence], settled: [...settled] }
}

/** Every partition, the likeliest for this locator first. */
export function searchOrder(plan: PartitionPlan, locator: Buffer): number[] {
  const { partition, settled } = placesOf(plan, locator)
  const order = new Set([partition, ...settled])
  for (let each = 0; each < plan.highest; each++) order.add(each)
  return [...order]
}

/** The most plans before it that a plan keeps; closed ones are forgotten first. */
const MAX_EARLIER = 64

/** The plan after this one. */
export function changedPlan(plan: PartitionPlan, partitions: number, redisMs: number): PartitionPlan {
  const { epoch, highest } = plan
  const replaced = { epoch, partitions: plan.partitions, replaced: redisMs, closed: null }
  return {
    epoch: epoch + 1,
    partitions,
    highest: Math.max(highest, partitions),
    since: redisMs,
    earlier: [...plan.earlier, replaced].slice(-MAX_EARLIER),
  }
}

/** The plan when nothing of this epoch, or of those before it, needs to be looked up as evidence any more. */
export function closedPlan(plan: PartitionPlan, epoch: number, redisMs: number): PartitionPlan {
  const earlier = plan.earlier.map((each) =>
    each.epoch <= epoch && each.closed === null ? { ...each, closed: redisMs } : each,
  )
  return { ...plan, earlier }
}

/** As Redis keeps it. */
export function planText(plan: PartitionPlan): string {
  return JSON.stringify(plan)
}

/** Throws when it is none: then nobody may guess where events belong. */
export function planFrom(text: string): PartitionPlan {
  const plan = JSON.parse(text) as Partial<PartitionPlan> | null
  const { epoch, partitions, highest, since, earlier } = plan ?? {}
  const sound =
    [epoch, partitions, highest].every((value) => Number.isInteger(value) && (value as number) > 0) &&
    typeof since === 'number' &&
    Array.isArray(earlier)
  if (!sound) throw new Error(`this is no plan of partitions: ${text.slice(0, 200)}`)
  return plan as PartitionPlan
}
