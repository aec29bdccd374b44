/** Redis' clock goes three days forward and comes back: what is left of it, and what is repaired. */
import { describe, expect, it } from 'vitest'
import { movesOf } from '../../../../tests/heart/moves.ts'
import { outOfMemory, redisTime, useWorld } from '../../../../tests/heart/world.ts'
import { canShiftClock, DAY_MS } from '../../../../tests/support/clock.ts'
import { useServerClock } from '../../../../tests/support/use-server-clock.ts'
import type { RedisLink } from '../redis/link.ts'
import { readBreaker, reportBreaker } from './breaker.ts'
import { type ClockLimits, keepClock } from './clock-repair.ts'
import { claimParked } from './parked.ts'
import { listPending } from './reclaim.ts'

const JUMP_MS = 3 * DAY_MS
const LEASE_MS = 60_000
const limits: ClockLimits = {
  longestDelayMs: 300_000,
  leaseMs: LEASE_MS,
  openDurationMs: 60_000,
  probeLeaseMs: 60_000,
}
/** How far a busy machine may make two readings of a clock differ, ms. */
const SLACK_MS = 10_000

describe.skipIf(!canShiftClock)("Redis' clock", () => {
  const clock = useServerClock()
  const world = useWorld({ binary: clock.binary })
  const { keys } = world
  const { held, settle, parkNow, buryNow, claim, redelivered } = movesOf(world)
  const keep = (link: RedisLink, tools: readonly string[] = []) => keepClock(link, keys, tools, limits)
  const clean = { behindMs: 0, repaired: undefined }
  const idleOf = async (link: RedisLink) =>
    (await listPending(link, keys, { count: 10 })).map((entry) => entry.idleMs)

  describe('that runs as it should', () => {
    it('is noted, and nothing else is changed', async () => {
      const link = await world.link()
      expect(await keep(link)).toEqual(clean) // before there is a stream
      const { entry } = await held(link)
      await parkNow(link, entry, { delayMs: limits.longestDelayMs })
      const before = await redisTime(link)
      expect(await keep(link, ['github'])).toEqual(clean)
      expect(Number(await link.call('HGET', keys.ledger, 'clock'))).toBeGreaterThanOrEqual(before)
      expect((await claimParked(link, keys, 'a', LEASE_MS, 10, 1)).events).toEqual([])
    })

    it('may be set forward: all that was due is due early, nothing is to be repaired', async () => {
      const link = await world.link()
      const { entry } = await held(link)
      await parkNow(link, entry, { delayMs: limits.longestDelayMs })
      await keep(link)
      clock.set(JUMP_MS)
      expect(await keep(link)).toEqual(clean)
      const [early] = await claim(link, 'a')
      expect(early?.streamId).toBe(entry.streamId)
      expect(await settle(link, [early!])).toBe(1)
      expect(await world.balanced(link)).toMatchObject({ settled: 1, parked: 0, dead: 0 })
    })

    it('may differ a little from the one before: after a failover, or when it is slewed', async () => {
      const link = await world.link()
      await held(link)
      clock.set(600)
      await keep(link)
      clock.set(0)
      expect((await keep(link)).repaired).toBeUndefined()
    })
  })

  describe('that went back', () => {
    it('is behind the ids that the stream goes on to give out, by so much', async () => {
      const link = await world.link()
      clock.set(JUMP_MS)
      const first = await world.accept(link)
      clock.set(0)
      const next = await world.accept(link)
      expect(next.streamId.split('-')[0]).toBe(first.streamId.split('-')[0])
      const { behindMs } = await keep(link)
      expect(behindMs).toBeGreaterThan(JUMP_MS - SLACK_MS)
      expect(behindMs).toBeLessThanOrEqual(JUMP_MS)
    })

    it('shows no idle time for what was delivered meanwhile; from the repair on it grows again', async () => {
      const link = await world.link()
      clock.set(JUMP_MS)
      await held(link)
      clock.set(0)
      expect(await idleOf(link)).toEqual([0])
      clock.set(2 * LEASE_MS)
      expect(await idleOf(link)).toEqual([0]) // for three days
      expect((await keep(link)).repaired).toMatchObject({ pending: 1 })
      clock.set(4 * LEASE_MS)
      const [entry] = await listPending(link, keys, { count: 10, idleMs: LEASE_MS })
      expect(entry).toMatchObject({ consumer: 'a', deliveries: 1 })
    })

    it('is repaired once: what a dead consumer left is not kept fresh for ever', async () => {
      const link = await world.link()
      clock.set(JUMP_MS)
      await held(link)
      clock.set(0)
      await keep(link)
      clock.set(LEASE_MS)
      expect((await keep(link)).repaired).toBeUndefined()
      expect((await idleOf(link))[0]).toBeGreaterThanOrEqual(LEASE_MS)
    })

    it('repairs more than one page of pending entries, whoever owns them', async () => {
      const link = await world.link()
      clock.set(JUMP_MS)
      for (let i = 0; i < 450; i++) await world.accept(link)
      await world.read(link, 'a', 250)
      await world.read(link, 'b', 200)
      clock.set(0)
      expect((await keep(link)).repaired).toMatchObject({ pending: 450 })
      clock.set(LEASE_MS)
      const idle = await listPending(link, keys, { count: 1_000, idleMs: LEASE_MS })
      expect(idle.filter(({ consumer }) => consumer === 'a')).toHaveLength(250)
      expect(idle.filter(({ consumer }) => consumer === 'b')).toHaveLength(200)
      expect(await world.balanced(link)).toMatchObject({ pending: 450 })
    })

    it('is noticed where no event was accepted meanwhile, only worked on', async () => {
      const link = await world.link()
      await world.accept(link)
      clock.set(JUMP_MS)
      await keep(link) // some consumer notes the time
      await world.read(link, 'a')
      clock.set(0)
      expect((await keep(link)).repaired).toMatchObject({ pending: 1 })
      expect(await keep(link)).toEqual(clean)
    })

    it('is noticed where no consumer noted the time meanwhile, but events were accepted', async () => {
      const link = await world.link()
      await keep(link)
      clock.set(JUMP_MS)
      await held(link)
      clock.set(0)
      expect((await keep(link)).repaired).toMatchObject({ pending: 1 })
    })

    it('and goes back a second time, is repaired a second time', async () => {
      const link = await world.link()
      for (const aheadMs of [JUMP_MS, DAY_MS, 2 * DAY_MS]) {
        clock.set(aheadMs)
        await keep(link)
        const { entry } = await held(link)
        clock.set(0)
        expect((await keep(link)).repaired).toMatchObject({ pending: 1 })
        await settle(link, [entry])
      }
    })

    it('is repaired by one of many consumers, and by the next one when that one dies', async () => {
      const link = await world.link()
      clock.set(JUMP_MS)
      await held(link)
      clock.set(0)
      const readings = await Promise.all(Array.from({ length: 5 }, () => keep(link)))
      expect(readings.filter(({ repaired }) => repaired !== undefined)).toHaveLength(1)
      // One that began, and died.
      clock.set(JUMP_MS + DAY_MS)
      await held(link)
      clock.set(0)
      await link.call('HSET', keys.ledger, 'clock_repair', await redisTime(link))
      expect((await keep(link)).repaired).toBeUndefined()
      clock.set(60_000)
      expect((await keep(link)).repaired).toMatchObject({ pending: 1 })
    })

    it('leaves retries due in days: they are due now', async () => {
      const link = await world.link()
      clock.set(JUMP_MS)
      for (let i = 0; i < 250; i++) await parkNow(link, (await held(link)).entry, { delayMs: 1_000 })
      clock.set(0)
      expect((await claim(link, 'b')).length).toBe(0)
      expect((await keep(link)).repaired).toMatchObject({ parked: 250 })
      expect((await claim(link, 'b', LEASE_MS, 1_000)).length).toBe(250)
    })

    it('leaves leases that end in days: a dead holder is found out after one lease from now', async () => {
      const link = await world.link()
      clock.set(JUMP_MS)
      await parkNow(link, (await held(link)).entry)
      await claim(link, 'dead', LEASE_MS)
      clock.set(0)
      expect((await keep(link)).repaired).toMatchObject({ parked: 1 })
      expect(await claim(link, 'b')).toEqual([])
      clock.set(LEASE_MS + SLACK_MS)
      expect((await claim(link, 'b')).length).toBe(1)
    })

    it('leaves breakers open for days: they are tried now, and those that are open by right stay open', async () => {
      const link = await world.link()
      const settings = { failureThreshold: 1, openDurationMs: 60_000, probeLeaseMs: 60_000 }
      clock.set(JUMP_MS)
      await reportBreaker(link, keys, 'github', settings, 1, false)
      clock.set(0)
      await reportBreaker(link, keys, 'jira', settings, 1, false)
      const tools = ['github', 'jira', 'gitlab']
      expect((await keep(link, tools)).repaired).toMatchObject({ breakers: 1 })
      const github = await readBreaker(link, keys, 'github')
      expect(github).toMatchObject({ state: 'half-open', waitMs: 0 })
      expect(github.since).toBeLessThanOrEqual(await redisTime(link))
      expect(await readBreaker(link, keys, 'jira')).toMatchObject({ state: 'open' })
      expect((await keep(link, tools)).repaired).toBeUndefined()
    })

    it('leaves evidence for days to come: a dead letter must not then be taken for a duplicate', async () => {
      const link = await world.link()
      clock.set(JUMP_MS)
      const { admission, entry } = await held(link)
      clock.set(0)
      expect((await keep(link)).repaired).toMatchObject({ evidence: 1 })
      expect(await buryNow(link, entry)).toBe('done')
      clock.set(JUMP_MS)
      expect(await redelivered(link, admission)).toBe('accepted')
    })

    it('keeps the evidence that is ahead by right: of an event that waits for its retry', async () => {
      const link = await world.link()
      clock.set(JUMP_MS)
      await held(link)
      clock.set(0)
      const { admission, entry } = await held(link)
      await parkNow(link, entry, { delayMs: limits.longestDelayMs })
      await keep(link)
      expect(await redelivered(link, admission)).toBe('duplicate')
      clock.set(limits.longestDelayMs)
      expect(await redelivered(link, admission)).toBe('duplicate')
    })

    it('is repaired also when Redis is out of memory', async () => {
      const link = await world.link()
      clock.set(JUMP_MS)
      await parkNow(link, (await held(link)).entry, { delayMs: 1_000 })
      await held(link)
      clock.set(0)
      await outOfMemory(link, async () => {
        expect((await keep(link)).repaired).toMatchObject({ parked: 1, pending: 1 })
      })
      expect(await claim(link, 'b')).toHaveLength(1)
    })

    it('forgets which deliveries it has seen: the event comes again, as the same event', async () => {
      const link = await world.link()
      clock.set(JUMP_MS)
      const { admission, entry } = await held(link)
      await settle(link, [entry])
      clock.set(0)
      await keep(link)
      expect(await redelivered(link, admission)).toBe('accepted')
      const [again] = await world.read(link, 'a')
      expect(again?.record.id).toBe(admission.id)
      expect(await redelivered(link, admission)).toBe('duplicate')
    })
  })
})
