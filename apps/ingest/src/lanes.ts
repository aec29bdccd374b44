/**
 * Which lane an event goes by: the one there is, or, on a Cluster, the one that the plan of partitions says.
 *
 * As long as nobody knows the plan (the gateway has just started, and no partition answers) no event has a lane, and the
 * spool takes it: a record in the spool belongs to no partition yet.
 */
import type { Clock } from '@weir/core/clock'
import { isFault, messageOf } from '@weir/core/faults'
import type { Partition } from '@weir/core/partition'
import { type PartitionPlan, partitionOf, placesOf, SINGLE_PLAN } from '@weir/core/plan'
import { createPlanKeeper } from '@weir/core/plan-keeper'
import type { Admission } from '@weir/core/stream/admit'
import { createPlanAdmitter, type PlannedOutcome } from '@weir/core/stream/admit-by-plan'
import { type LimitPlace, limitPartition, type RateLimit } from '@weir/core/stream/limits'
import { spreadPlan } from '@weir/core/stream/plans'
import type { Logger } from 'pino'
import type { Step } from './after-connect.ts'
import type { Lane } from './lane.ts'

export type Recalled = 'settled' | 'new' | 'unknown'

export interface Lanes {
  /** Every lane, partition by partition; it grows when the plan does. */
  readonly all: readonly Lane[]
  /** undefined while nobody knows. */
  readonly plan: PartitionPlan | undefined
  /** Where an event with this locator goes now. */
  of(locator: Buffer): Lane | undefined
  /** Whether everybody can be asked who has to be for such an event. */
  up(locator: Buffer): boolean
  /** Resolves true as soon as that is so, false after `ms`. */
  whenUp(locator: Buffer, ms: number): Promise<boolean>
  /** A command for such an event has failed in a way that says nothing. */
  suspect(locator: Buffer): void
  /** Admits an event. Throws as `Admitter.admit` does. */
  admit(admission: Admission): Promise<PlannedOutcome<Lane>>
  /** Was it settled beyond the window? undefined = certainly not, without asking anybody. */
  recall(locator: Buffer): Promise<Recalled> | undefined
  /** The same, always asked in Redis. */
  confirm(locator: Buffer): Promise<Recalled>
  /** Where a rate limit is counted. */
  limitPlace(limit: RateLimit): LimitPlace
  start(): void
  /** Resolves when the plan is known and its lanes are up, or when the signal aborts. */
  ready(signal: AbortSignal): Promise<void>
  stop(): Promise<void>
}

/** What a lane gets from those that it is one of. */
export interface LaneContext {
  readonly firstSteps: readonly Step[]
  admit(admission: Admission): Promise<PlannedOutcome<Lane>>
  /** Of how many it is one, as far as is known. */
  readonly lanes: number
}

export type MakeLane = (partition: number, context: LaneContext) => Lane

const NO_STEPS: readonly Step[] = []

/** No Cluster: one partition, no plan. */
export function createSingleLane(make: MakeLane): Lanes {
  const admit = async (admission: Admission): Promise<PlannedOutcome<Lane>> => ({
    outcome: await lane.admitter.admit(lane.link, admission),
    place: lane,
  })
  const lane = make(0, { firstSteps: NO_STEPS, admit, lanes: 1 })
  const { pulse, recall } = lane
  const limitPlace: LimitPlace = { link: lane.link, keys: lane.keys }
  return {
    all: [lane],
    plan: SINGLE_PLAN,
    of: () => lane,
    up: () => pulse.up,
    whenUp: (_locator, ms) => pulse.whenUp(ms),
    suspect: () => pulse.suspect(),
    admit,
    recall: (locator) => (recall.maybe(locator) ? recall.confirm(locator) : undefined),
    confirm: (locator) => recall.confirm(locator),
    limitPlace: () => limitPlace,
    start: () => lane.start(),
    async ready(signal) {
      await untilUp(lane, signal)
    },
    async stop() {
      await lane.stop()
      await lane.link.close()
    },
  }
}

export interface PlannedLanesOptions {
  readonly make: MakeLane
  /** webhook.redis.partitions: how many the first plan has. */
  readonly configured: number
  /** ms */
  readonly refreshMs: number
  /** How long evidence may count after nothing of its epoch waits any more, ms. */
  readonly closeAfterMs: number
  /** A plan was learned: there may be more lanes. */
  onPlan(plan: PartitionPlan): void
  readonly clock: Clock
  readonly log: Logger
}

/** A Cluster: as many lanes as there ever were partitions. */
export function createPlannedLanes(options: PlannedLanesOptions): Lanes {
  const { log, clock } = options
  const all: Lane[] = []
  /** Lanes that have never been up, and until when somebody waits for them (monotonic ms). */
  const young = new Map<Lane, number>()
  let started = false

  const context = (partition: number): LaneContext => ({
    firstSteps: [{ name: 'plan', run: () => spread(partition) }],
    admit,
    lanes: Math.max(options.configured, keeper?.plan?.highest ?? 1),
  })
  function grow(count: number): void {
    while (all.length < count) {
      const lane = options.make(all.length, context(all.length))
      all.push(lane)
      young.set(lane, clock.monotonic() + FIRST_UP_MS)
      lane.pulse.onUp(() => young.delete(lane))
      if (started) lane.start()
    }
  }

  // Lane 0 is where the plan is; the others may have a copy of it.
  let keeper: ReturnType<typeof createPlanKeeper> | undefined
  grow(options.configured)
  const plans = createPlanKeeper({
    home: all[0] as Partition,
    others: () => all.slice(1),
    configured: options.configured,
    refreshMs: options.refreshMs,
    closeAfterMs: options.closeAfterMs,
    clock,
    onPlan: learned,
    onError: (error) =>
      log.error({ event: 'plan', reason: messageOf(error) }, 'the plan of partitions cannot be read'),
  })
  keeper = plans

  function learned(plan: PartitionPlan, before: PartitionPlan | undefined): void {
    grow(plan.highest)
    const { epoch, partitions, earlier } = plan
    if (before?.epoch !== epoch) {
      log.info({ event: 'plan', epoch, partitions, before: before?.partitions }, 'plan of partitions')
      if (partitions !== options.configured && before === undefined)
        log.warn({ event: 'plan', ...plan }, differs(plan))
      for (const each of all) {
        if (each.link.connected) void spread(each.keys.partition).catch(tellFailed)
      }
    } else if (earlier.length > 0) {
      const open = earlier.filter(({ closed }) => closed === null).length
      log.info({ event: 'plan', epoch, open }, 'an earlier epoch is closed')
    }
    options.onPlan(plan)
  }

  function differs({ partitions }: PartitionPlan): string {
    const { configured } = options
    return `webhook.redis.partitions is ${configured}, and ${partitions} are in use: the setting counts at the first start only; webhook-cli partitions set ${configured} changes it`
  }

  function tellFailed(error: unknown): void {
    // It is spread again after the next connect, and by every look-up.
    if (!isFault(error, 'REDIS_UNAVAILABLE'))
      log.warn({ event: 'plan', reason: messageOf(error) }, 'the plan was not spread')
  }

  /** Tells a partition of the plan, or learns a later one from it. */
  async function spread(partition: number): Promise<void> {
    const lane = all[partition]
    if (lane === undefined || plans.plan === undefined) return
    const later = await spreadPlan(lane, plans.plan)
    if (later !== undefined) plans.adopt(later)
  }

  const laneOf = (partition: number): Lane => all[partition] as Lane
  const known = (): PartitionPlan => {
    if (plans.plan === undefined) throw new Error('the plan of partitions is not known yet')
    return plans.plan
  }
  const admitByPlan = createPlanAdmitter<Lane>({ plan: known, place: laneOf, adopt: plans.adopt })
  function admit(admission: Admission): Promise<PlannedOutcome<Lane>> {
    return admitByPlan(admission)
  }

  /** Those that have to be asked before such an event is in the stream. */
  function asked(locator: Buffer): Lane[] {
    if (plans.plan === undefined) return []
    const { partition, evidence } = placesOf(plans.plan, locator)
    return [partition, ...evidence].map(laneOf)
  }

  /** A partition that was just added: its first events wait for the connection, as those that others have let wait do. */
  function isYoung(lane: Lane): boolean {
    const until = young.get(lane)
    if (until === undefined) return false
    if (clock.monotonic() < until) return true
    young.delete(lane)
    return false
  }

  async function confirmIn(lanes: readonly Lane[], locator: Buffer): Promise<Recalled> {
    const answers = await Promise.all(lanes.map(({ recall }) => recall.confirm(locator)))
    if (answers.includes('settled')) return 'settled'
    return answers.includes('unknown') ? 'unknown' : 'new'
  }

  /** Those where it may have been settled. */
  function rememberers(locator: Buffer): Lane[] {
    const { partition, settled } = placesOf(known(), locator)
    return [partition, ...settled].map(laneOf)
  }

  return {
    all,
    get plan() {
      return plans.plan
    },
    of: (locator) =>
      plans.plan === undefined ? undefined : laneOf(partitionOf(locator, plans.plan.partitions)),
    up(locator) {
      const lanes = asked(locator)
      return lanes.length > 0 && lanes.every((lane) => lane.pulse.up || isYoung(lane))
    },
    async whenUp(locator, ms) {
      const deadline = clock.monotonic() + ms
      for (const { pulse } of asked(locator)) {
        if (!(await pulse.whenUp(deadline - clock.monotonic()))) return false
      }
      return plans.plan !== undefined
    },
    suspect(locator) {
      for (const { pulse } of asked(locator)) pulse.suspect()
    },
    admit,
    recall(locator) {
      const lanes = rememberers(locator).filter(({ recall }) => recall.maybe(locator))
      return lanes.length === 0 ? undefined : confirmIn(lanes, locator)
    },
    confirm: (locator) => confirmIn(rememberers(locator), locator),
    limitPlace(limit) {
      const { link, keys } = laneOf(limitPartition(limit, plans.plan?.partitions ?? 1))
      return { link, keys }
    },
    start() {
      started = true
      for (const lane of all) lane.start()
    },
    async ready(signal) {
      plans.start()
      while (plans.plan === undefined && !signal.aborted) await clock.wait(PLAN_LOOK_MS, signal)
      await Promise.all(all.map((lane) => untilUp(lane, signal)))
    },
    async stop() {
      await plans.stop()
      await Promise.all(all.map((lane) => lane.stop()))
      await Promise.all(all.map(({ link }) => link.close()))
    },
  }
}

/** How long events wait for a lane that is new, within `admission_budget`, before the spool takes them, ms. */
const FIRST_UP_MS = 2000
/** Pause between two looks whether the plan has come, while the gateway starts, ms. */
const PLAN_LOOK_MS = 20

/** Up, or the signal aborted. */
async function untilUp({ pulse, link }: Lane, signal: AbortSignal): Promise<void> {
  await link.ready(signal).catch((error: unknown) => {
    if (!isFault(error, 'REDIS_UNAVAILABLE')) throw error
  })
  if (signal.aborted) return
  const abort = Promise.withResolvers<boolean>()
  signal.addEventListener('abort', () => abort.resolve(false), { once: true })
  await Promise.race([pulse.whenUp(UP_LIMIT_MS), abort.promise])
}

/** ms */
const UP_LIMIT_MS = 10_000
