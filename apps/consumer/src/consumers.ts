/**
 * The consumers of one process: one for each partition that there ever was, so that those which take no new events any
 * more are worked off too. Each has its own two connections, and its fair part of `prefetch_count`; they share the workers.
 *
 * On a Cluster the plan of partitions says how many: when it grows, consumers are added while the others go on.
 */
import type { Clock } from '@weir/core/clock'
import { isFault, messageOf } from '@weir/core/faults'
import type { Partition } from '@weir/core/partition'
import { type PartitionPlan, placesOf } from '@weir/core/plan'
import { createPlanKeeper, type PlanKeeper } from '@weir/core/plan-keeper'
import type { RedisLink } from '@weir/core/redis/link'
import type { Logger } from 'pino'
import type { Consumer } from './consumer.ts'
import type { ConsumerMetrics, PartitionMetrics } from './metrics.ts'

export interface ConsumersState {
  readonly redis: boolean
  readonly held: number
  readonly running: number
  readonly unsettled: number
  /** Since Redis last answered a read: of the partition that waits longest; null when one never did. */
  readonly last_read_ms: number | null
  /** With several partitions: each of them. */
  readonly partitions?: readonly PartitionState[]
}

interface PartitionState extends ReturnType<Consumer['state']> {
  readonly partition: number
  readonly server: string
}

export interface Consumers {
  /** Resolves when those that are known of are started. */
  start(): Promise<void>
  stop(): Promise<void>
  state(): ConsumersState
}

/** The connections of one partition's consumer. */
export interface ConsumerPlace extends Partition {
  readonly blocking: RedisLink
}

/** What the consumer of one partition gets from the whole. */
export interface ConsumerContext {
  /** Entries that it may hold now. */
  credits(): number
  readonly metrics: PartitionMetrics
  /** What all consumers of the process are busy with. */
  process(): { readonly held: number; readonly running: number }
  /** Was it settled in another partition, before the plan was changed? */
  settledElsewhere(locator: Buffer): Promise<boolean>
}

export interface ConsumersOptions {
  connect(partition: number): ConsumerPlace
  make(place: ConsumerPlace, context: ConsumerContext): Consumer
  /** undefined without a Cluster: one partition. */
  readonly plan: { readonly configured: number; readonly refreshMs: number } | undefined
  /** Entries held at most, by all together. */
  readonly prefetchCount: number
  /** Exact; throws Fault REDIS_UNAVAILABLE. */
  wasSettled(place: Partition, locator: Buffer): Promise<boolean>
  readonly metrics: ConsumerMetrics
  readonly clock: Clock
  readonly log: Logger
}

interface Member {
  readonly place: ConsumerPlace
  readonly consumer: Consumer
}

/** How long a start waits for the plan before it begins with the configured partitions, ms. */
const FIRST_PLAN_MS = 2000
const PLAN_LOOK_MS = 20

export function createConsumers(options: ConsumersOptions): Consumers {
  const { clock, log, metrics, prefetchCount } = options
  const members: Member[] = []
  let begun = false
  let stopped: Promise<void> | undefined

  const sum = (pick: (state: ReturnType<Consumer['state']>) => number) =>
    members.reduce((total, { consumer }) => total + pick(consumer.state()), 0)
  const process = () => ({ held: sum(({ held }) => held), running: sum(({ running }) => running) })
  const breakers = breakersOfAll(metrics)

  function add(place: ConsumerPlace): void {
    const { partition } = place.keys
    const context: ConsumerContext = {
      credits: () => Math.max(1, Math.floor(prefetchCount / members.length)),
      metrics: { ...metrics, breaker: breakers(partition) },
      process,
      settledElsewhere: (locator) => settledElsewhere(partition, locator),
    }
    // Its own share counts from the start.
    const member: { place: ConsumerPlace; consumer: Consumer } = { place, consumer: IDLE }
    members.push(member)
    member.consumer = options.make(place, context)
    if (begun) member.consumer.start()
  }
  function grow(count: number): void {
    while (members.length < count && stopped === undefined) add(options.connect(members.length))
  }

  grow(1)
  const { plan } = options
  const plans: PlanKeeper | undefined =
    plan &&
    createPlanKeeper({
      home: (members[0] as Member).place,
      others: () => members.slice(1).map(({ place }) => place),
      configured: plan.configured,
      refreshMs: plan.refreshMs,
      clock,
      onPlan({ epoch, partitions, highest }: PartitionPlan) {
        log.info({ epoch, partitions, served: highest }, 'plan of partitions')
        if (begun) grow(highest)
      },
      onError: (error) => log.error({ err: messageOf(error) }, 'the plan of partitions cannot be read'),
    })

  async function settledElsewhere(partition: number, locator: Buffer): Promise<boolean> {
    if (plans?.plan === undefined) return false
    const places = placesOf(plans.plan, locator)
    for (const each of [places.partition, ...places.settled]) {
      const member = members[each]
      if (each === partition || member === undefined) continue
      try {
        if (await options.wasSettled(member.place, locator)) return true
      } catch (error) {
        // That partition being away must not hold up this one. Its effects are keyed by the event: a repeat changes nothing.
        if (!isFault(error, 'REDIS_UNAVAILABLE')) throw error
      }
    }
    return false
  }

  async function stopAll(): Promise<void> {
    await plans?.stop()
    await Promise.all(members.map(({ consumer }) => consumer.stop()))
    await Promise.all(members.flatMap(({ place }) => [place.link.close(), place.blocking.close()]))
  }

  return {
    async start() {
      if (plans !== undefined && plan !== undefined) {
        plans.start()
        const deadline = clock.monotonic() + FIRST_PLAN_MS
        while (plans.plan === undefined && clock.monotonic() < deadline && stopped === undefined)
          await clock.wait(PLAN_LOOK_MS)
        grow(plans.plan?.highest ?? plan.configured)
      }
      if (stopped !== undefined) return
      begun = true
      for (const { consumer } of members) consumer.start()
    },
    stop: () => (stopped ??= stopAll()),
    state() {
      const states = members.map(({ consumer, place }): PartitionState => {
        return { partition: place.keys.partition, server: place.link.peer, ...consumer.state() }
      })
      return {
        redis: states.every(({ redis }) => redis),
        ...process(),
        unsettled: sum(({ unsettled }) => unsettled),
        last_read_ms: states.some(({ last_read_ms: age }) => age === null)
          ? null
          : Math.max(...states.map(({ last_read_ms: age }) => age ?? 0)),
        ...(plan !== undefined && { partitions: states }),
      }
    },
  }
}

/** Stands in while a consumer is made. */
const IDLE: Consumer = {
  name: '',
  start: () => undefined,
  stop: () => Promise.resolve(),
  state: () => ({ redis: false, held: 0, running: 0, unsettled: 0, last_read_ms: null }),
}

/** Each partition has breakers of its own; the gauge shows the gravest of a tool: open (1), half-open (2), closed (0). */
function breakersOfAll({ breaker }: ConsumerMetrics): (partition: number) => PartitionMetrics['breaker'] {
  const values = new Map<string, Map<number, number>>()
  const gravity = (value: number) => (value === 1 ? 2 : value === 2 ? 1 : 0)
  return (partition) => ({
    set(labels, value) {
      const { tool_id: tool } = labels
      const of = values.get(tool) ?? new Map<number, number>()
      values.set(tool, of.set(partition, value))
      breaker.set(
        labels,
        [...of.values()].reduce((a, b) => (gravity(b) > gravity(a) ? b : a)),
      )
    },
  })
}
