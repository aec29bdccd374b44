/**
 * A random walk over partitions whose number changes again and again: gateways that know the plan of now, of before, and of
 * long before, senders that repeat, consumers that settle, park and bury in every partition. After every step the answers
 * must be those of the model that knows of no partitions at all (model.ts): no duplicate accepted, no new event refused;
 * and the ledgers of all partitions together must agree with it, so that none is lost.
 *
 *   WEIR_WALK_STEPS=20000 WEIR_WALK_SEED=42 vitest run tests/heart/plan.test.ts
 */
import { beforeEach, expect, it } from 'vitest'
import { mintEventId } from '../../packages/core/src/event.ts'
import { partitionKeys } from '../../packages/core/src/keys.ts'
import type { Partition } from '../../packages/core/src/partition.ts'
import { type PartitionPlan, partitionOf, placesOf } from '../../packages/core/src/plan.ts'
import { decodeRecord } from '../../packages/core/src/record.ts'
import type { RedisLink, RedisReply } from '../../packages/core/src/redis/link.ts'
import {
  type Admission,
  type Admitter,
  createAdmitter,
  type DedupeWindow,
} from '../../packages/core/src/stream/admit.ts'
import { createPlanAdmitter } from '../../packages/core/src/stream/admit-by-plan.ts'
import { evidencePlace } from '../../packages/core/src/stream/evidence.ts'
import { ensureGroup } from '../../packages/core/src/stream/group.ts'
import { bury, park } from '../../packages/core/src/stream/handover.ts'
import { readLedger, sumLedgers } from '../../packages/core/src/stream/ledger.ts'
import { wasSettled } from '../../packages/core/src/stream/long-memory.ts'
import { claimParked } from '../../packages/core/src/stream/parked.ts'
import {
  changePartitions,
  closeEpoch,
  drainedBefore,
  ensurePlan,
  readPlan,
  spreadPlan,
} from '../../packages/core/src/stream/plans.ts'
import { entriesOf } from '../../packages/core/src/stream/reclaim.ts'
import { type HeldEntry, settleDone } from '../../packages/core/src/stream/settle.ts'
import { Model, type Span } from './model.ts'
import { NAMES, passed, redisTime, useWorld } from './world.ts'

const STEPS = Number(process.env.WEIR_WALK_STEPS ?? 3_000)
const SEED = Number(process.env.WEIR_WALK_SEED ?? Math.floor(Math.random() * 2 ** 31))
const MOST_PARTITIONS = 6
const GATEWAYS = 3
const SHARDS = 4
const LONGEST_PARK_MS = 300
const WINDOWS: Readonly<Record<string, DedupeWindow>> = {
  quick: { duration: 300, maxSize: 1 },
  quick3: { duration: 500, maxSize: 3 },
  mid: { duration: 1_500, maxSize: 1 },
  mid3: { duration: 1_500, maxSize: 3 },
}
const LONGEST_WINDOW_MS = 1_500
const TOOLS = Object.keys(WINDOWS)
const windowOf = (tool: string) => WINDOWS[tool] as DedupeWindow

const world = useWorld({ args: ['--cluster-enabled', 'yes'], windows: WINDOWS })

beforeEach(async () => {
  const control = world.redis.client()
  const state = async () => String(await control.call('CLUSTER', 'INFO'))
  if ((await state()).includes('cluster_slots_assigned:0')) {
    await control.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
  }
  await expect.poll(state).toContain('cluster_state:ok')
})

/** mulberry32 */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

interface Place extends Partition {
  readonly admitter: Admitter
}

/** A gateway knows the plan that it saw last. */
function gatewayOf(places: readonly Place[], first: PartitionPlan) {
  let plan = first
  const adopt = (found: PartitionPlan) => {
    if (found.epoch >= plan.epoch) plan = found
  }
  const place = (partition: number) => places[partition] as Place
  return { adopt, plan: () => plan, admit: createPlanAdmitter<Place>({ plan: () => plan, place, adopt }) }
}

function placesOn(link: RedisLink): Place[] {
  return Array.from({ length: MOST_PARTITIONS }, (_, partition) => {
    const keys = partitionKeys({ ...NAMES, cluster: true }, partition)
    const admitter = createAdmitter({ keys, window: windowOf, evidenceShards: SHARDS, now: Date.now })
    return { keys, link, admitter }
  })
}

interface Held {
  readonly entry: HeldEntry
  readonly partition: number
}

class PlanWalk {
  readonly model = new Model(windowOf)
  readonly history: string[] = []
  readonly counts = { changes: 0, closed: 0, moved: 0, foundElsewhere: 0 }
  private held: Held[] = []
  private readonly drainedSince = new Map<number, number>()
  private readonly link: RedisLink
  private readonly places: readonly Place[]
  private readonly gateways: readonly ReturnType<typeof gatewayOf>[]
  private readonly random: () => number

  constructor(link: RedisLink, places: readonly Place[], plan: PartitionPlan, random: () => number) {
    this.link = link
    this.places = places
    this.random = random
    this.gateways = Array.from({ length: GATEWAYS }, () => gatewayOf(places, plan))
  }

  private int(below: number): number {
    return Math.floor(this.random() * below)
  }
  private pick<T>(list: readonly T[]): T | undefined {
    return list[this.int(list.length)]
  }
  private say(what: string): void {
    this.history.push(what)
    if (this.history.length > 60) this.history.shift()
  }
  private async timed<T>(use: () => Promise<T>): Promise<{ result: T; span: Span }> {
    const from = await redisTime(this.link)
    const result = await use()
    return { result, span: { from, to: await redisTime(this.link) } }
  }
  private get home(): Place {
    return this.places[0] as Place
  }
  private sidOf(partition: number, streamId: string): string {
    return `${partition}/${streamId}`
  }
  private evidence({ record }: HeldEntry, partition: number) {
    const { keys } = this.places[partition] as Place
    return evidencePlace(
      { keys, tool: record.tool, windowMs: windowOf(record.tool).duration, shards: SHARDS },
      record.locator,
    )
  }

  /** Several requests for one occurrence at the same moment, each at some gateway. */
  private async admitAtOnce(admissions: readonly Admission[], occurrence: string): Promise<void> {
    const { result, span } = await this.timed(() =>
      Promise.all(
        admissions.map(async (admission) => {
          const gateway = this.pick(this.gateways)!
          const before = gateway.plan().epoch
          const { outcome, place } = await gateway.admit(admission)
          const { partition } = place.keys
          if (gateway.plan().epoch !== before) this.counts.moved++
          if (partition !== partitionOf(admission.locator, gateway.plan().partitions))
            this.counts.foundElsewhere++
          return { admission, outcome, partition }
        }),
      ),
    )
    // Which of them came first nobody knows; those that were accepted explain the others.
    const order = { accepted: 0, known: 1, duplicate: 1, limited: 1 }
    for (const { admission, outcome, partition } of result.sort(
      (a, b) => order[a.outcome.kind] - order[b.outcome.kind],
    )) {
      this.say(`admit ${admission.id} ${occurrence} in ${partition} → ${outcome.kind}`)
      const told =
        outcome.kind === 'accepted'
          ? { ...outcome, streamId: this.sidOf(partition, outcome.streamId) }
          : outcome
      this.model.admitted(admission, occurrence, told, span)
    }
  }

  private async again(admission: Admission): Promise<Admission> {
    const id = admission.derived ? admission.id : mintEventId(await redisTime(this.link))
    const fields = admission.fields.map((field, i) => (admission.fields[i - 1] === 'id' ? id : field))
    return { ...admission, id, fields }
  }

  private readonly steps: Record<string, { weight: number; run: () => Promise<void> }> = {
    'a new event, perhaps several times at once': {
      weight: 22,
      run: async () => {
        const admission = world.admission({ tool: this.pick(TOOLS)! })
        const all = [admission]
        while (this.random() < 0.4) all.push(await this.again(admission))
        await this.admitAtOnce(all, `${admission.tool}/${admission.locator.toString('hex')}`)
      },
    },
    'a redelivery': {
      weight: 30,
      run: async () => {
        const event = this.pick(this.random() < 0.7 ? this.model.events.slice(-30) : this.model.events)
        if (event === undefined) return
        const all = [await this.again(event.admission)]
        while (this.random() < 0.3) all.push(await this.again(event.admission))
        await this.admitAtOnce(all, event.occurrence)
      },
    },
    'a repeat after an unknown outcome, a drain, or a re-offer': {
      weight: 12,
      run: async () => {
        const event = this.pick(this.model.events.slice(-60))
        if (event !== undefined)
          await this.admitAtOnce([{ ...event.admission, repeat: true }], event.occurrence)
      },
    },
    'the number of partitions is changed': {
      weight: 2,
      run: async () => {
        const { epoch, partitions } = await changePartitions(this.home, 1 + this.int(MOST_PARTITIONS))
        this.counts.changes++
        this.say(`epoch ${epoch}: ${partitions} partitions`)
      },
    },
    'a gateway looks at the plan': {
      weight: 4,
      run: async () => {
        const found = (await readPlan(this.home))!
        const gateway = this.pick(this.gateways)!
        gateway.adopt(found)
        if (this.random() < 0.1) await spreadPlan(this.pick(this.places)!, found)
      },
    },
    'the oldest epoch is closed when its time has come': {
      weight: 6,
      run: async () => {
        const plan = (await readPlan(this.home))!
        const open = plan.earlier.find(({ closed }) => closed === null)
        if (open === undefined) return
        for (const place of this.places.slice(0, open.partitions)) {
          if (await drainedBefore(place, open.epoch)) continue
          this.drainedSince.delete(open.epoch)
          return
        }
        const now = await redisTime(this.link)
        const since = this.drainedSince.get(open.epoch) ?? now
        this.drainedSince.set(open.epoch, since)
        if (now - since < LONGEST_WINDOW_MS + LONGEST_PARK_MS) return
        await closeEpoch(this.home, plan, open.epoch)
        this.counts.closed++
        this.say(`epoch ${open.epoch} is closed`)
      },
    },
    read: {
      weight: 16,
      run: async () => {
        const partition = this.int(MOST_PARTITIONS)
        const { keys } = this.places[partition] as Place
        await ensureGroup(this.link, keys)
        const reply = (await this.link.call(
          ...(['XREADGROUP', 'GROUP', keys.group, 'a', 'COUNT', '8', 'STREAMS', keys.stream, '>'] as const),
        )) as RedisReply[][] | null
        for (const { streamId, fields } of entriesOf((reply?.[0]?.[1] ?? []) as RedisReply[])) {
          const entry: HeldEntry = {
            streamId,
            holding: { kind: 'pending', consumer: 'a' },
            record: decodeRecord(fields ?? []),
          }
          this.held.push({ entry, partition })
          this.model.move(this.model.entry(this.sidOf(partition, streamId)), 'pending', 'a')
        }
      },
    },
    'an outcome': {
      weight: 30,
      run: async () => {
        const at = this.int(this.held.length)
        const [taken] = this.held.splice(at, 1)
        if (taken === undefined) return
        const { entry, partition } = taken
        const { keys } = this.places[partition] as Place
        const sid = this.sidOf(partition, entry.streamId)
        const evidence = this.evidence(entry, partition)
        const redisMs = await redisTime(this.link)
        const dice = this.random()
        if (dice < 0.6) {
          const memory = { ...world.memory, keys }
          const { result, span } = await this.timed(() =>
            settleDone(this.link, keys, memory, [entry], 'settled', redisMs),
          )
          this.model.settled([{ sid, renewed: false }], 'settled', result, span)
        } else if (dice < 0.9) {
          const delayMs = this.int(LONGEST_PARK_MS)
          const request = {
            entry,
            delayMs,
            attempts: 1,
            reason: 'retry',
            error: 'x',
            evidence,
            redisMs,
          } as const
          const { result, span } = await this.timed(() => park(this.link, keys, request))
          expect(result).toBe('done')
          this.model.parked(sid, delayMs, span)
        } else {
          const request = { entry, attempts: 4, reason: 'handler', error: 'x', evidence, redisMs }
          expect(await bury(this.link, keys, { ...request, aheadMs: LONGEST_PARK_MS })).toBe('done')
          this.model.buried(sid, '')
        }
        this.say(`an outcome of ${sid}`)
      },
    },
    retry: {
      weight: 12,
      run: async () => {
        const partition = this.int(MOST_PARTITIONS)
        const { keys } = this.places[partition] as Place
        const { result, span } = await this.timed(() => claimParked(this.link, keys, 't', 60_000, 5, 5))
        for (const { streamId, fields } of result.events) {
          const entry: HeldEntry = {
            streamId,
            holding: { kind: 'lease', token: 't' },
            record: decodeRecord(fields),
          }
          this.held.push({ entry, partition })
          const known = this.model.entry(this.sidOf(partition, streamId))
          expect(known.place).toBe('parked')
          known.holder = 't'
          known.due = { from: span.from + 60_000, to: span.to + 60_000 }
        }
      },
    },
  }

  async step(): Promise<void> {
    const all = Object.values(this.steps)
    let dice = this.random() * all.reduce((sum, { weight }) => sum + weight, 0)
    for (const { weight, run } of all) {
      dice -= weight
      if (dice < 0) return run()
    }
  }

  /** Everything comes to rest, and the oldest epochs are closed as their evidence is over. */
  async rest(): Promise<void> {
    for (;;) {
      await this.inspect()
      const { unread, pending, parked } = await this.waiting()
      if (unread + pending + parked === 0) break
      await this.steps.read!.run()
      await this.steps.retry!.run()
      await this.steps['an outcome']!.run()
    }
    const plan = (await readPlan(this.home))!
    // As gateways do when they learn of it, and after every connect.
    for (const place of this.places) await spreadPlan(place, plan)
    await this.close()
    await passed(this.link, (await redisTime(this.link)) + LONGEST_WINDOW_MS + LONGEST_PARK_MS)
    await this.close()
  }
  private close(): Promise<void> {
    return this.steps['the oldest epoch is closed when its time has come']!.run()
  }
  private async waiting() {
    const readings = await Promise.all(this.places.map(({ keys }) => readLedger(this.link, keys)))
    const { unread, pending, parked } = sumLedgers(readings.map(({ ledger }) => ledger))
    return { unread: unread as number, pending, parked }
  }

  /** Every partition balances by itself, and together they say what the model says. */
  async inspect(): Promise<void> {
    const readings = await Promise.all(this.places.map(({ keys }) => readLedger(this.link, keys)))
    for (const { ledger } of readings) expect(ledger.unaccounted).toBe(0)
    this.model.agreesWith(sumLedgers(readings.map(({ ledger }) => ledger)))
  }

  /** What was settled is found where the plan of now says to look. */
  async expectRemembered(): Promise<void> {
    const plan = (await readPlan(this.home))!
    const now = await redisTime(this.link)
    for (const { admission, settled } of this.model.events) {
      if (!settled || !admission.derived) continue
      const { partition, settled: others } = placesOf(plan, admission.locator)
      const found = await Promise.all(
        [partition, ...others].map((each) => {
          const { keys } = this.places[each] as Place
          return wasSettled(this.link, { ...world.memory, keys }, now, admission.locator)
        }),
      )
      expect(found, `${admission.id} was settled`).toContain(true)
    }
  }
}

it('however the number of partitions changes, nothing is accepted twice and nothing is lost', async () => {
  const link = await world.link()
  const places = placesOn(link)
  const plan = await ensurePlan(places[0] as Place, 2)
  const walk = new PlanWalk(link, places, plan, randomOf(SEED))
  try {
    for (let step = 1; step <= STEPS; step++) {
      await walk.step()
      if (step % 50 === 0) await walk.inspect()
      if (step % 1_000 === 0) await walk.rest()
    }
    await walk.inspect()
    await walk.expectRemembered()
  } catch (error) {
    throw new Error(`seed ${SEED}, after:\n${walk.history.join('\n')}`, { cause: error })
  }
  // The walk went where it was meant to go.
  const { changes, closed, moved, foundElsewhere } = walk.counts
  expect(Math.min(changes, moved, foundElsewhere), JSON.stringify(walk.counts)).toBeGreaterThan(10)
  if (STEPS >= 3_000) expect(closed).toBeGreaterThan(0)
}, 300_000)
