/** For as long as Redis' clock is behind the ids of its own stream, the ids tell no time. */
import { beforeEach, describe, expect, it } from 'vitest'
import { movesOf } from '../../../../tests/heart/moves.ts'
import { outOfMemory, redisTime, useWorld } from '../../../../tests/heart/world.ts'
import { canShiftClock, DAY_MS } from '../../../../tests/support/clock.ts'
import { useServerClock } from '../../../../tests/support/use-server-clock.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { readLedger } from './ledger.ts'
import { trimSettled } from './trim.ts'

const JUMP_MS = 3 * DAY_MS
const KEEP_MS = 900_000
const MINUTE_MS = 60_000
/** How far a busy machine may make two readings of a clock differ, ms. */
const SLACK_MS = 10_000
// Redis trims whole nodes only.
const NODE_ENTRIES = 5

describe.skipIf(!canShiftClock)("while Redis' clock is behind its ids", () => {
  const clock = useServerClock()
  const world = useWorld({ binary: clock.binary })
  const { keys } = world
  const { settle } = movesOf(world)
  beforeEach(() => world.redis.client().config('SET', 'stream-node-max-entries', String(NODE_ENTRIES)))

  const trim = (link: RedisLink) => trimSettled(link, keys, KEEP_MS)
  const length = async (link: RedisLink) => (await link.call('XLEN', keys.stream)) as number
  /** Accepts and settles so many. */
  const settleSome = async (link: RedisLink, count: number) => {
    for (let i = 0; i < count; i++) await world.accept(link)
    await settle(link, await world.read(link, 'a', count))
  }
  const marks = async (link: RedisLink) =>
    ((await link.call('HMGET', keys.ledger, 'trim_id', 'trim_next', 'trim_at')) as RedisReply[]).filter(
      (mark) => mark !== null,
    )

  describe('the ledger', () => {
    it('says by how much, and balances', async () => {
      const link = await world.link()
      expect(await readLedger(link, keys)).toMatchObject({ clockBehindMs: 0 }) // no stream yet
      await world.accept(link)
      expect(await readLedger(link, keys)).toMatchObject({ clockBehindMs: 0 })
      clock.set(JUMP_MS)
      await world.accept(link)
      expect(await readLedger(link, keys)).toMatchObject({ clockBehindMs: 0 })
      clock.set(0)
      const { clockBehindMs } = await readLedger(link, keys)
      expect(clockBehindMs).toBeGreaterThan(JUMP_MS - SLACK_MS)
      expect(clockBehindMs).toBeLessThanOrEqual(JUMP_MS)
      expect(await world.balanced(link)).toMatchObject({ accepted: 2, unread: 2 })
    })

    it('tells the age of what waits by when the gateway received it', async () => {
      const link = await world.link()
      clock.set(JUMP_MS)
      await world.accept(link)
      await world.accept(link)
      await world.read(link, 'a', 1)
      clock.set(MINUTE_MS)
      const { oldestUnreadMs, oldestPendingMs } = await readLedger(link, keys)
      for (const age of [oldestUnreadMs, oldestPendingMs]) {
        expect(age).toBeGreaterThanOrEqual(MINUTE_MS - 1)
        expect(age).toBeLessThan(MINUTE_MS + SLACK_MS)
      }
    })

    it('tells ages where there is no group, and where an entry is no record', async () => {
      const link = await world.link()
      clock.set(JUMP_MS)
      await link.call('XADD', keys.stream, '*', 'what', 'is this')
      clock.set(MINUTE_MS)
      expect(await readLedger(link, keys)).toMatchObject({ oldestUnreadMs: 0, group: false })
    })
  })

  describe('trimming', () => {
    it('keeps what is settled for keep_settled, and no longer than twice that', async () => {
      const link = await world.link()
      clock.set(JUMP_MS)
      await settleSome(link, 50)
      clock.set(0)
      expect(await trim(link)).toMatchObject({ trimmed: 0 })
      clock.set(KEEP_MS / 2)
      await settleSome(link, 50)
      expect(await trim(link)).toMatchObject({ trimmed: 0 })
      clock.set(KEEP_MS + MINUTE_MS)
      expect((await trim(link)).trimmed).toBeGreaterThan(40)
      expect(await length(link)).toBeGreaterThanOrEqual(50)
      clock.set(2 * KEEP_MS + 2 * MINUTE_MS)
      await settleSome(link, NODE_ENTRIES)
      await trim(link)
      expect(await length(link)).toBeLessThanOrEqual(3 * NODE_ENTRIES)
      expect(await world.balanced(link)).toMatchObject({ accepted: 105, settled: 105, unread: 0 })
    })

    it('by time alone would keep all of it for three days', async () => {
      const link = await world.link()
      clock.set(JUMP_MS)
      await settleSome(link, 50)
      clock.set(JUMP_MS - MINUTE_MS)
      expect(await trim(link)).toMatchObject({ trimmed: 0 })
    })

    it('never touches what is unread or pending', async () => {
      const link = await world.link()
      clock.set(JUMP_MS)
      await settleSome(link, 20)
      for (let i = 0; i < 40; i++) await world.accept(link)
      await world.read(link, 'a', 20)
      clock.set(0)
      for (const later of [0, KEEP_MS, 2 * KEEP_MS, 4 * KEEP_MS]) {
        clock.set(later)
        await trim(link)
      }
      expect(await length(link)).toBeGreaterThanOrEqual(40)
      expect(await world.balanced(link)).toMatchObject({ settled: 20, pending: 20, unread: 20 })
    })

    it('goes by the ids again as soon as they are true', async () => {
      const link = await world.link()
      clock.set(JUMP_MS)
      await settleSome(link, 50)
      clock.set(0)
      await trim(link)
      expect(await marks(link)).toHaveLength(3)
      clock.set(JUMP_MS + KEEP_MS + MINUTE_MS)
      expect((await trim(link)).trimmed).toBeGreaterThan(40)
      expect(await marks(link)).toEqual([])
    })

    it('begins to wait anew when the clock goes back once more', async () => {
      const link = await world.link()
      clock.set(JUMP_MS)
      await settleSome(link, 50)
      clock.set(DAY_MS)
      await trim(link)
      clock.set(0)
      expect(await trim(link)).toMatchObject({ trimmed: 0 })
      clock.set(KEEP_MS + MINUTE_MS)
      expect((await trim(link)).trimmed).toBeGreaterThan(40)
    })

    it('goes on when Redis is out of memory: it is what frees some', async () => {
      const link = await world.link()
      clock.set(JUMP_MS)
      await settleSome(link, 50)
      clock.set(0)
      await trim(link)
      clock.set(KEEP_MS + MINUTE_MS)
      await outOfMemory(link, async () => expect((await trim(link)).trimmed).toBeGreaterThan(40))
    })
  })

  it('limits begin anew, and hold', async () => {
    const link = await world.link()
    for (const limit of [3, 200]) {
      const limits = [{ type: 'tool', name: `t${limit}`, limit, periodMs: MINUTE_MS } as const]
      const passed = async (requests: number) => {
        let count = 0
        for (let i = 0; i < requests; i++) {
          const { kind } = await world.admitter().admit(link, world.admission({ limits }))
          if (kind === 'accepted') count++
        }
        return count
      }
      clock.set(JUMP_MS)
      expect(await passed(limit + 5)).toBe(limit)
      clock.set(0)
      expect(await passed(limit + 5)).toBe(limit)
      expect(await passed(5)).toBe(0)
    }
  })

  it('a jump forward trims early, but only what is settled', async () => {
    const link = await world.link()
    await settleSome(link, 50)
    for (let i = 0; i < 20; i++) await world.accept(link)
    await world.read(link, 'a', 10)
    clock.set(JUMP_MS)
    expect((await trim(link)).trimmed).toBeGreaterThan(40)
    expect(await redisTime(link)).toBeGreaterThan(Date.now() + JUMP_MS - SLACK_MS)
    expect(await world.balanced(link)).toMatchObject({ accepted: 70, settled: 50, pending: 10, unread: 10 })
    expect(await length(link)).toBeGreaterThanOrEqual(20)
  })
})
