/**
 * Keeps up with the plan of partitions (stream/plans.ts): made at the first start, read again every few seconds, learned
 * at once from any partition that refuses an admission because it knows a later one.
 *
 *   unknown ──read or made in partition 0, or its copy found in another one──▶ known ──a later one──▶ known
 *
 * It never goes back to an earlier one: a partition 0 that lost its plan is given it again.
 */
import type { Clock } from './clock.ts'
import { isFault } from './faults.ts'
import type { Partition } from './partition.ts'
import type { PartitionPlan } from './plan.ts'
import { closeEpoch, drainedBefore, ensurePlan, readPlan, restorePlan } from './stream/plans.ts'

export interface PlanKeeper {
  /** undefined while nobody could be asked yet. */
  readonly plan: PartitionPlan | undefined
  /** Takes in a plan that was seen somewhere; an earlier one changes nothing. */
  adopt(plan: PartitionPlan): void
  /** Reads it now. Throws Fault REDIS_UNAVAILABLE. */
  refresh(): Promise<PartitionPlan>
  start(): void
  stop(): Promise<void>
}

export interface PlanKeeperOptions {
  readonly home: Partition
  /** Partitions that may have a copy while partition 0 is away. */
  readonly others: () => readonly Partition[]
  /** How many the first plan has (webhook.redis.partitions). */
  readonly configured: number
  /** Pause between two looks, ms. */
  readonly refreshMs: number
  /**
   * Set for one who also closes earlier epochs: how long evidence may count after nothing waits any more, ms (the longest
   * window and the longest delay of a retry).
   */
  readonly closeAfterMs?: number
  readonly clock: Clock
  /** A plan was learned, or an epoch was closed. */
  onPlan(plan: PartitionPlan, before: PartitionPlan | undefined): void
  /** It could not be read, or is none. Not called for REDIS_UNAVAILABLE, which shows elsewhere. */
  onError(error: unknown): void
}

/** Pause between two looks as long as the plan is not known, ms. */
const FIRST_LOOK_MS = 100

export function createPlanKeeper(options: PlanKeeperOptions): PlanKeeper {
  const { home, clock } = options
  const stopped = new AbortController()
  let plan: PartitionPlan | undefined
  let running: Promise<void> = Promise.resolve()
  /** Since when nothing of this epoch was seen waiting; monotonic ms. */
  let drained: { readonly epoch: number; readonly since: number } | undefined

  function adopt(found: PartitionPlan): void {
    if (plan !== undefined && found.epoch <= plan.epoch) return
    take(found)
  }

  function take(found: PartitionPlan): void {
    const before = plan
    plan = found
    options.onPlan(found, before)
  }

  async function read(): Promise<PartitionPlan> {
    const kept = plan === undefined ? await ensurePlan(home, options.configured) : await readPlan(home)
    const known = plan
    if (known !== undefined && (kept === undefined || kept.epoch < known.epoch)) {
      return restorePlan(home, kept, known)
    }
    return kept as PartitionPlan
  }

  async function refresh(): Promise<PartitionPlan> {
    const found = await read()
    // Of the same epoch, the one in partition 0 counts: it may have closed an earlier one.
    if (plan === undefined || found.epoch > plan.epoch) take(found)
    else if (found.epoch === plan.epoch && JSON.stringify(found) !== JSON.stringify(plan)) take(found)
    return found
  }

  /** Looks for a copy; partition 0 is away. */
  async function findCopy(): Promise<void> {
    for (const other of options.others()) {
      if (plan !== undefined || !other.link.connected) continue
      const copy = await readPlan(other)
      if (copy !== undefined) adopt(copy)
    }
  }

  /** Closes the oldest open epoch when its evidence is over. */
  async function closeOldest(closeAfterMs: number): Promise<void> {
    const open = plan?.earlier.find(({ closed }) => closed === null)
    if (plan === undefined || open === undefined) {
      drained = undefined
      return
    }
    const partitions = [home, ...options.others()].filter(({ keys }) => keys.partition < open.partitions)
    if (partitions.length < open.partitions) return
    for (const partition of partitions) {
      if (await drainedBefore(partition, open.epoch)) continue
      drained = undefined
      return
    }
    if (drained?.epoch !== open.epoch) drained = { epoch: open.epoch, since: clock.monotonic() }
    if (clock.monotonic() - drained.since < closeAfterMs) return
    const found = await closeEpoch(home, plan, open.epoch)
    if (found.epoch >= plan.epoch) take(found)
  }

  async function look(): Promise<void> {
    try {
      await refresh()
    } catch (error) {
      if (!isFault(error, 'REDIS_UNAVAILABLE') || plan !== undefined) throw error
      await findCopy()
    }
    if (options.closeAfterMs !== undefined) await closeOldest(options.closeAfterMs)
  }

  async function run(): Promise<void> {
    while (!stopped.signal.aborted) {
      await look().catch((error: unknown) => {
        if (!isFault(error, 'REDIS_UNAVAILABLE')) options.onError(error)
      })
      await clock.wait(plan === undefined ? FIRST_LOOK_MS : options.refreshMs, stopped.signal)
    }
  }

  return {
    get plan() {
      return plan
    },
    adopt,
    refresh,
    start() {
      running = run()
    },
    async stop() {
      stopped.abort()
      await running
    },
  }
}
