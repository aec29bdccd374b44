import { beforeEach, describe, expect, it } from 'vitest'
import { NAMES, redisTime, useWorld } from '../../../../tests/heart/world.ts'
import { partitionKeys } from '../keys.ts'
import type { Partition } from '../partition.ts'
import { type PartitionPlan, partitionOf } from '../plan.ts'
import { decodeRecord } from '../record.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { type Admission, type Admitter, createAdmitter } from './admit.ts'
import { createPlanAdmitter } from './admit-by-plan.ts'
import { evidencePlace } from './evidence.ts'
import { ensureGroup } from './group.ts'
import { park } from './handover.ts'
import { claimParked } from './parked.ts'
import {
  changePartitions,
  closeEpoch,
  drainedBefore,
  ensurePlan,
  knownEpoch,
  readPlan,
  restorePlan,
  spreadPlan,
} from './plans.ts'
import { entriesOf } from './reclaim.ts'
import { type HeldEntry, settleDone } from './settle.ts'

const FIVE_MINUTES = 300_000
const windowOf = (tool: string) => ({ duration: FIVE_MINUTES, maxSize: tool === 'jira' ? 3 : 1 })
const world = useWorld({ args: ['--cluster-enabled', 'yes'], windows: { jira: windowOf('jira') } })

beforeEach(async () => {
  const control = world.redis.client()
  const state = async () => String(await control.call('CLUSTER', 'INFO'))
  if ((await state()).includes('cluster_slots_assigned:0')) {
    await control.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
  }
  await expect.poll(state).toContain('cluster_state:ok')
})

interface Place extends Partition {
  readonly admitter: Admitter
}

function placesOn(link: RedisLink): Place[] {
  return [0, 1, 2, 3, 4, 5].map((partition) => {
    const keys = partitionKeys({ ...NAMES, cluster: true }, partition)
    return {
      keys,
      link,
      admitter: createAdmitter({ keys, window: windowOf, evidenceShards: 4, now: Date.now }),
    }
  })
}

/** A gateway that knows this plan, and what it is told by a partition that refuses. */
function gatewayOn(places: readonly Place[], known: PartitionPlan) {
  let plan = known
  const admitByPlan = createPlanAdmitter<Place>({
    plan: () => plan,
    place: (partition) => places[partition] as Place,
    adopt: (found) => {
      plan = found
    },
  })
  return {
    epoch: () => plan.epoch,
    admit: async (admission: Admission) => {
      const { outcome, place } = await admitByPlan(admission)
      return { ...outcome, partition: place.keys.partition }
    },
  }
}

/** An event whose partition changes from the one count to the other. */
function moving(from: number, to: number, tool = 'github'): Admission {
  for (;;) {
    const admission = world.admission({ tool })
    if (partitionOf(admission.locator, from) !== partitionOf(admission.locator, to)) return admission
  }
}
const again = (admission: Admission) => ({
  ...world.admission({ tool: admission.tool }),
  locator: admission.locator,
})

async function changing(from: number, to: number) {
  const link = await world.link()
  const places = placesOn(link)
  const home = places[0] as Place
  const before = await ensurePlan(home, from)
  const old = gatewayOn(places, before)
  const change = async () => {
    const plan = await changePartitions(home, to)
    return { plan, gateway: gatewayOn(places, plan) }
  }
  return { link, places, home, before, old, change }
}

describe('the plan', () => {
  it('is made once, by the first of those who start together', async () => {
    const [home] = placesOn(await world.link()) as [Place]
    const plans = await Promise.all([4, 8, 2].map((partitions) => ensurePlan(home, partitions)))
    expect(new Set(plans.map((plan) => JSON.stringify(plan))).size).toBe(1)
    expect(plans[0]).toMatchObject({ epoch: 1, earlier: [] })
  })

  it('is changed by one of those who change it together, and the others are told', async () => {
    const { home } = await changing(2, 2)
    const plans = await Promise.all([4, 5, 6].map((partitions) => changePartitions(home, partitions)))
    const kept = await readPlan(home)
    expect(kept).toMatchObject({ epoch: 2 })
    for (const plan of plans) expect(plan).toEqual(kept)
  })

  it('stays as it is when the same number is set again', async () => {
    const { home, before } = await changing(2, 2)
    expect(await changePartitions(home, 2)).toEqual(before)
  })

  it('is given back to a partition 0 that lost it', async () => {
    const { home, link, change } = await changing(2, 4)
    const { plan } = await change()
    await link.call('DEL', home.keys.plan)
    expect(await restorePlan(home, undefined, plan)).toEqual(plan)
    expect(await readPlan(home)).toEqual(plan)
  })

  it('is not taken back by somebody who knows an earlier one', async () => {
    const { places, before, change } = await changing(2, 4)
    const { plan } = await change()
    expect(await spreadPlan(places[3]!, plan)).toBeUndefined()
    expect(await spreadPlan(places[3]!, before)).toEqual(plan)
    expect(await knownEpoch(places[3]!)).toBe(2)
  })
})

describe('after a change', () => {
  it('a redelivery of what its old partition accepted is a duplicate, and a repeat of it known', async () => {
    const { old, change } = await changing(1, 4)
    const admission = moving(1, 4)
    expect(await old.admit(admission)).toMatchObject({ kind: 'accepted', partition: 0 })
    const { gateway } = await change()
    expect(await gateway.admit(admission)).toMatchObject({
      kind: 'duplicate',
      firstId: admission.id,
      partition: 0,
    })
    expect(await gateway.admit({ ...admission, repeat: true })).toMatchObject({ kind: 'known', partition: 0 })
    expect(await gateway.admit(moving(1, 4))).toMatchObject({ kind: 'accepted' })
  })

  it('a gateway that does not know of it is refused where its events are looked up, and learns', async () => {
    const { old, change } = await changing(1, 4)
    const admission = moving(1, 4)
    const { gateway } = await change()
    const accepted = await gateway.admit(admission)
    expect(accepted).toMatchObject({ kind: 'accepted' })
    expect(await old.admit(admission)).toMatchObject({ kind: 'duplicate', partition: accepted.partition })
    expect(old.epoch()).toBe(2)
  })

  it('occurrences are counted together: three pass, wherever they went', async () => {
    const { old, change } = await changing(1, 4)
    const admission = moving(1, 4, 'jira')
    const first = again(admission)
    expect(await old.admit(first)).toMatchObject({ kind: 'accepted' })
    expect(await old.admit(again(admission))).toMatchObject({ kind: 'accepted' })
    const { gateway } = await change()
    expect(await gateway.admit({ ...first, repeat: true })).toMatchObject({ kind: 'known', partition: 0 })
    expect(await gateway.admit(again(admission))).toMatchObject({ kind: 'accepted' })
    expect(await gateway.admit(again(admission))).toMatchObject({ kind: 'duplicate', firstId: first.id })
  })

  it('a look-up under an earlier plan is refused too', async () => {
    const { places, home, before, old, change } = await changing(1, 4)
    await change()
    const later = await changePartitions(home, 3)
    await Promise.all(places.map((place) => spreadPlan(place, later)))
    expect(old.epoch()).toBe(before.epoch)
    await old.admit(world.admission())
    expect(old.epoch()).toBe(3)
  })

  it('back and forth: evidence is found in every partition that the key had', async () => {
    const { places, home, old } = await changing(1, 1)
    const admission = moving(1, 4)
    await old.admit(admission)
    for (const partitions of [4, 3, 4, 1, 5]) {
      const gateway = gatewayOn(places, await changePartitions(home, partitions))
      expect(await gateway.admit(admission)).toMatchObject({ kind: 'duplicate', partition: 0 })
    }
  })

  it('an old partition that cannot be asked makes the outcome unknown, never new', async () => {
    const { places, change } = await changing(1, 4)
    const { plan } = await change()
    const lost = await world.link()
    await lost.close()
    const gateway = gatewayOn([{ ...places[0]!, link: lost }, ...places.slice(1)], plan)
    await expect(gateway.admit(moving(1, 4))).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
  })
})

describe('an earlier epoch', () => {
  it('is drained when nothing of it is unread, pending or parked; later events do not count', async () => {
    const { link, places, home, old, change } = await changing(1, 4)
    const { keys } = home
    await ensureGroup(link, keys)
    expect(await old.admit(world.admission())).toMatchObject({ kind: 'accepted' })
    const { plan, gateway } = await change()
    // Partition 0 learned of it as it was changed; one that has not may still admit under the earlier plan.
    expect(await drainedBefore(places[1]!, 1)).toBe(false)
    await spreadPlan(places[1]!, plan)
    expect(await drainedBefore(places[1]!, 1)).toBe(true)

    expect(await drainedBefore(home, 1), 'unread').toBe(false)
    const reply = (await link.call(
      ...(['XREADGROUP', 'GROUP', keys.group, 'a', 'STREAMS', keys.stream, '>'] as const),
    )) as RedisReply[][]
    const [read] = entriesOf(reply[0]?.[1] as RedisReply[])
    expect(await drainedBefore(home, 1), 'pending').toBe(false)
    const record = decodeRecord(read!.fields ?? [])
    const entry: HeldEntry = { streamId: read!.streamId, holding: { kind: 'pending', consumer: 'a' }, record }
    const evidence = evidencePlace(
      { keys, tool: 'github', windowMs: FIVE_MINUTES, shards: 4 },
      record.locator,
    )
    const redisMs = await redisTime(link)
    await park(link, keys, { entry, delayMs: 0, attempts: 1, reason: 'retry', error: '', evidence, redisMs })
    expect(await drainedBefore(home, 1), 'parked').toBe(false)
    const { events } = await claimParked(link, keys, 'token', 60_000, 1, 1)
    expect(await drainedBefore(home, 1), 'leased').toBe(false)

    // One of the new epoch in the same partition waits, and does not matter.
    for (;;) if ((await gateway.admit(world.admission())).partition === 0) break
    const leased: HeldEntry = {
      ...entry,
      streamId: events[0]!.streamId,
      holding: { kind: 'lease', token: 'token' },
    }
    const memory = { ...world.memory, keys }
    expect(await settleDone(link, keys, memory, [leased], 'settled', redisMs)).toBe(1)
    expect(await drainedBefore(home, 1)).toBe(true)
  })

  it('looks at every parked event, however many there are', async () => {
    const { link, home, change } = await changing(1, 4)
    await link.call('XADD', home.keys.stream, '5000-1', 'a', 'settled and trimmed one')
    await link.call('XTRIM', home.keys.stream, 'MAXLEN', 0)
    await change()
    const due = Array.from({ length: 1_200 }, (_, i) => [String(i), `${Date.now()}-${i}`]).flat()
    await link.call('ZADD', home.keys.parkedDue, ...due)
    expect(await drainedBefore(home, 1)).toBe(true)
    await link.call('ZADD', home.keys.parkedDue, 9_000, '5000-1')
    expect(await drainedBefore(home, 1)).toBe(false)
  })

  it('is closed for all; evidence is not looked up there any more', async () => {
    const { places, home, old, change } = await changing(1, 4)
    const admission = moving(1, 4)
    await old.admit(admission)
    const { plan } = await change()
    const closed = await closeEpoch(home, plan, 1)
    expect(closed.earlier).toMatchObject([{ epoch: 1, closed: expect.any(Number) }])
    expect(await readPlan(home)).toEqual(closed)
    // Closed far too soon, as only a test would: it is admitted anew.
    expect(await gatewayOn(places, closed).admit(admission)).toMatchObject({ kind: 'accepted' })
  })
})
