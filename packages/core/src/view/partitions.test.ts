import { beforeEach, describe, expect, it } from 'vitest'
import { movesOf } from '../../../../tests/heart/moves.ts'
import { NAMES, redisTime, useWorld } from '../../../../tests/heart/world.ts'
import { ADAPTERS } from '../adapters/table.ts'
import { systemClock } from '../clock.ts'
import { createDictionarySet } from '../dictionaries.ts'
import { mintEventId } from '../event.ts'
import { partitionKeys } from '../keys.ts'
import { openPipelineView } from '../pipeline-view.ts'
import { type PartitionPlan, partitionOf } from '../plan.ts'
import type { RedisLink } from '../redis/link.ts'
import { createAdmitter } from '../stream/admit.ts'
import { changePartitions, ensurePlan } from '../stream/plans.ts'
import { noticesOf } from './partitions.ts'

const keys = partitionKeys({ ...NAMES, cluster: true }, 0)
const world = useWorld({ keys, args: ['--cluster-enabled', 'yes'] })
const { held, buryNow } = movesOf(world)

beforeEach(async () => {
  const control = world.redis.client()
  const state = async () => String(await control.call('CLUSTER', 'INFO'))
  if ((await state()).includes('cluster_slots_assigned:0')) {
    await control.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
  }
  await expect.poll(state).toContain('cluster_state:ok')
})

function viewOf(link: RedisLink, plan: PartitionPlan) {
  const { keys: _, ...memory } = world.memory
  const partitions = Array.from({ length: plan.highest }, (__, partition) => ({
    link,
    keys: partitionKeys({ ...NAMES, cluster: true }, partition),
  }))
  const view = openPipelineView({
    partitions,
    plan: () => plan,
    windows: new Map([['github', 300_000]]),
    defaultWindowMs: 300_000,
    evidenceShards: 4,
    memory,
    dictionaries: createDictionarySet(new Map()),
    starters: new Map(),
    adapters: ADAPTERS,
    maxBodyBytes: 1_000_000,
    clock: systemClock,
  })
  const admitIn = (partition: number) =>
    createAdmitter({
      keys: partitions[partition]!.keys,
      window: world.windowOf,
      evidenceShards: 4,
      now: Date.now,
    })
  return { view, admitIn }
}

describe('a view of several partitions', () => {
  it('finds events in every one of them, derived ids and minted ones', async () => {
    const link = await world.link()
    const plan = await ensurePlan({ link, keys }, 4)
    const { view, admitIn } = viewOf(link, plan)
    for (let n = 0; n < 8; n++) {
      const derived = n % 2 === 0
      const admission = world.admission({ derived })
      await admitIn(partitionOf(admission.locator, 4)).admit(link, admission)
      expect(await view.find(admission.id)).toMatchObject({ event_id: admission.id, place: 'unread' })
    }
    expect(await view.find(mintEventId(await redisTime(link)))).toBeUndefined()
    const { partitions, plan: shown } = await view.status()
    expect(shown).toMatchObject({ epoch: 1, partitions: 4 })
    expect(partitions.map(({ ledger }) => ledger.unread).reduce((a, b) => (a ?? 0) + (b ?? 0))).toBe(8)
  })

  it('supersedes a dead letter whose event was redelivered to another partition after a change', async () => {
    const link = await world.link()
    await ensurePlan({ link, keys }, 1)
    const two = [await held(link), await held(link)]
    for (const { entry } of two) await buryNow(link, entry)
    // Of the two, one whose partition changes is redelivered; the other is not.
    let count = 2
    while (partitionOf(two[0]!.admission.locator, count) === 0) count++
    const plan = await changePartitions({ link, keys }, count)
    const { view, admitIn } = viewOf(link, plan)
    const [moved, stayed] = two as [(typeof two)[0], (typeof two)[0]]
    const partition = partitionOf(moved.admission.locator, count)
    expect(await admitIn(partition).admit(link, moved.admission)).toMatchObject({ kind: 'accepted' })
    expect(await view.deadLetters.replayOne(moved.admission.id)).toBe('superseded')
    expect(await view.deadLetters.replayOne(stayed.admission.id)).toBe('replayed')
    expect((await view.ledger()).audit).toMatchObject({
      verdict: 'balanced',
      ledger: { superseded: 1, parked: 1, unread: 1 },
    })
  })
})

describe('the shares of the masters', () => {
  it('are fair when they differ by one at most', () => {
    expect(
      noticesOf([
        ['a:1', 2],
        ['b:1', 1],
        ['c:1', 1],
      ]),
    ).toEqual([])
  })
  it('are told of when one has none, or they are uneven', () => {
    expect(
      noticesOf([
        ['a:1', 1],
        ['b:1', 0],
      ]),
    ).toEqual([expect.stringContaining('b:1 has no partition')])
    expect(
      noticesOf([
        ['a:1', 3],
        ['b:1', 1],
      ]),
    ).toEqual([expect.stringContaining('uneven (a:1 3, b:1 1)')])
  })
})
