import { describe, expect, it } from 'vitest'
import { movesOf } from '../../../../tests/heart/moves.ts'
import { outOfMemory, passed, redisTime, useWorld } from '../../../../tests/heart/world.ts'
import type { RedisLink } from '../redis/link.ts'
import { claimParked, renewLeases, renewPending, wakeParked } from './parked.ts'
import { listPending } from './reclaim.ts'
import type { HeldEntry } from './settle.ts'

const LEASE_MS = 60_000
const world = useWorld()
const { keys } = world
const { held, settle, parkNow, buryNow, claim, takeOver } = movesOf(world)

async function parkSome(link: RedisLink, count: number, delayMs = 0): Promise<HeldEntry[]> {
  const entries: HeldEntry[] = []
  for (let i = 0; i < count; i++) {
    const { entry } = await held(link)
    await parkNow(link, entry, { delayMs })
    entries.push(entry)
  }
  return entries
}

const idsOf = (entries: readonly { streamId: string }[]) => entries.map(({ streamId }) => streamId)

describe('claiming', () => {
  it('leases what is due, the longest overdue first, up to the number asked for', async () => {
    const link = await world.link()
    const entries = await parkSome(link, 5)
    await link.call('ZADD', keys.parkedDue, 1, entries[4]!.streamId, 2, entries[2]!.streamId)
    const first = await claim(link, 'a', LEASE_MS, 3)
    expect(idsOf(first)).toEqual(idsOf([entries[4]!, entries[2]!, entries[0]!]))
    expect(idsOf(await claim(link, 'b', LEASE_MS, 10))).toEqual(idsOf([entries[1]!, entries[3]!]))
    expect(await claim(link, 'c')).toEqual([])
    expect(await world.balanced(link)).toMatchObject({ parked: 5 })
  })

  it('hands nothing out twice to consumers that ask at the same moment', async () => {
    const links = await Promise.all([world.link(), world.link(), world.link()])
    await parkSome(links[0]!, 30)
    const claims = await Promise.all(
      Array.from({ length: 12 }, (_, i) => claim(links[i % 3]!, `token-${i}`, LEASE_MS, 5)),
    )
    const ids = claims.flatMap(idsOf)
    expect(ids).toHaveLength(30)
    expect(new Set(ids).size).toBe(30)
  })

  it('says when the next one is due, leased ones included', async () => {
    const link = await world.link()
    expect(await claimParked(link, keys, 't', LEASE_MS, 10, 1)).toMatchObject({
      nextDueMs: undefined,
      events: [],
    })
    const before = await redisTime(link)
    await parkSome(link, 1, 5_000)
    const waiting = await claimParked(link, keys, 't', LEASE_MS, 10, 1)
    expect(waiting.nextDueMs).toBeGreaterThanOrEqual(before + 5_000)
    expect(waiting.nextDueMs).toBeLessThan(before + 6_000)
    await parkSome(link, 1)
    const leasing = await claimParked(link, keys, 't', 1_000, 10, 1)
    expect(leasing.events).toHaveLength(1)
    expect(leasing.nextDueMs! - leasing.redisMs).toBe(1_000)
  })

  it('brings an event back when its claimer died, as one that was handed out before', async () => {
    const link = await world.link()
    const [entry] = await parkSome(link, 1)
    const first = await claimParked(link, keys, 'dead', 400, 1, 1)
    expect(first.events[0]!.state.deliveries).toBe(1)
    expect((await claimParked(link, keys, 'b', 400, 1, 1)).events).toEqual([])
    await passed(link, first.redisMs + 401)
    const second = await claimParked(link, keys, 'b', LEASE_MS, 1, 1)
    expect(second.events[0]!.state.deliveries).toBe(2)
    const zombie: HeldEntry = { ...entry!, holding: { kind: 'lease', token: 'dead' } }
    expect(await parkNow(link, zombie)).toBe('not-owner')
    expect(await buryNow(link, zombie)).toBe('not-owner')
    expect(await renewLeases(link, keys, 'dead', LEASE_MS, [entry!.streamId])).toEqual(new Set())
  })

  it('takes no more suspects than allowed, and the others behind them all the same', async () => {
    const link = await world.link()
    const suspects = await parkSome(link, 3)
    await claim(link, 'dead', 0)
    const fresh = await parkSome(link, 2)
    const none = await claimParked(link, keys, 'a', 0, 10, 0)
    expect(idsOf(none.events)).toEqual(idsOf(fresh))
    const one = await claimParked(link, keys, 'b', LEASE_MS, 10, 1)
    expect(one.events).toHaveLength(1)
    expect(idsOf(suspects)).toContain(one.events[0]!.streamId)
  })

  it('does not let many suspects hide what waits behind them', async () => {
    const link = await world.link()
    await parkSome(link, 120)
    await claim(link, 'dead', 0, 200)
    const [fresh] = await parkSome(link, 1)
    const claimed = await claimParked(link, keys, 'a', LEASE_MS, 10, 1)
    expect(idsOf(claimed.events)).toContain(fresh!.streamId)
  })

  it('works when Redis is out of memory: retries that fill it must drain', async () => {
    const link = await world.link()
    const [entry] = await parkSome(link, 1)
    await outOfMemory(link, async () => {
      const claimed = await claim(link, 'a')
      expect(idsOf(claimed)).toEqual([entry!.streamId])
      expect(await renewLeases(link, keys, 'a', LEASE_MS, [entry!.streamId])).toEqual(
        new Set([entry!.streamId]),
      )
      expect(await settle(link, claimed)).toBe(1)
    })
    expect(await world.balanced(link)).toMatchObject({ settled: 1, parked: 0 })
  })
})

describe('renewing', () => {
  it('extends the leases that are held under the token, and says which', async () => {
    const link = await world.link()
    const [mine, lost, settled] = await parkSome(link, 3)
    await claim(link, 'a', 0)
    await link.call('ZADD', keys.parkedDue, 1, lost!.streamId)
    await claim(link, 'b', LEASE_MS, 1)
    await settle(link, [{ ...settled!, holding: { kind: 'lease', token: 'a' } }])
    const now = await redisTime(link)
    const ids = [...idsOf([mine!, lost!, settled!]), '1-1']
    expect(await renewLeases(link, keys, 'a', 10_000, ids)).toEqual(new Set([mine!.streamId]))
    expect(Number(String(await link.call('ZSCORE', keys.parkedDue, mine!.streamId)))).toBeGreaterThanOrEqual(
      now + 10_000,
    )
    expect(await renewLeases(link, keys, 'a', 10_000, [])).toEqual(new Set())
  })

  it('resets the idle time of pending entries that are still owned, without counting a delivery', async () => {
    const link = await world.link()
    const { entry } = await held(link)
    await passed(link, Number(entry.streamId.split('-')[0]) + 260)
    expect(await renewPending(link, keys, 'a', [entry.streamId])).toEqual(new Set([entry.streamId]))
    const [pending] = await listPending(link, keys, { count: 1 })
    expect(pending).toMatchObject({ consumer: 'a', deliveries: 1 })
    expect(pending!.idleMs).toBeLessThan(250)
  })

  it('never takes an entry back', async () => {
    const link = await world.link()
    const { entry } = await held(link)
    const settled = await held(link)
    await settle(link, [settled.entry])
    await takeOver(link, entry, 'b')
    expect(await renewPending(link, keys, 'a', [entry.streamId, settled.entry.streamId, '1-1'])).toEqual(
      new Set(),
    )
    expect(await listPending(link, keys, { count: 10 })).toMatchObject([
      { streamId: entry.streamId, consumer: 'b' },
    ])
    expect(await renewPending(link, keys, 'a', [])).toEqual(new Set())
  })
})

describe('waking', () => {
  it('makes what waits for this reason due now, leased ones excepted', async () => {
    const link = await world.link()
    const [open, retry, leased] = [await held(link), await held(link), await held(link)].map(
      ({ entry }) => entry,
    )
    await parkNow(link, leased!, { reason: 'breaker' })
    await claim(link, 'a')
    await parkNow(link, open!, { reason: 'breaker', delayMs: 60_000 })
    await parkNow(link, retry!, { reason: 'retry', delayMs: 60_000 })
    expect(await wakeParked(link, keys, 'breaker')).toBe(1)
    expect(idsOf(await claim(link, 'b'))).toEqual([open!.streamId])
  })

  it('wakes what a dead claimer held and nobody has taken up yet', async () => {
    const link = await world.link()
    const { entry } = await held(link)
    await parkNow(link, entry, { reason: 'breaker' })
    await claim(link, 'dead', 0)
    await parkNow(link, (await claim(link, 'b', 0))[0]!, { reason: 'breaker', delayMs: 60_000 })
    expect(await wakeParked(link, keys, 'breaker')).toBe(1)
    expect(await wakeParked(link, keys, 'dictionary')).toBe(0)
  })
})
