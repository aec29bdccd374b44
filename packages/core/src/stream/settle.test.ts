import { describe, expect, it } from 'vitest'
import { movesOf } from '../../../../tests/heart/moves.ts'
import { digest, outOfMemory, passed, redisTime, useWorld } from '../../../../tests/heart/world.ts'
import type { RedisLink } from '../redis/link.ts'
import type { Admission } from './admit.ts'
import { wasSettled } from './long-memory.ts'
import { listPending } from './reclaim.ts'
import { settleDone } from './settle.ts'

const SHORT_MS = 300

const world = useWorld({
  windows: {
    short: { duration: SHORT_MS, maxSize: 1 },
    short3: { duration: SHORT_MS, maxSize: 3 },
    three: { duration: 300_000, maxSize: 3 },
  },
})
const { keys } = world
const { held, redelivered, settle, parkNow, buryNow, claim, takeOver } = movesOf(world)

const remembered = async (link: RedisLink, admission: Admission) =>
  wasSettled(link, world.memory, await redisTime(link), admission.locator)

describe('settled', () => {
  it('acknowledges, counts and remembers', async () => {
    const link = await world.link()
    const { admission, entry } = await held(link)
    expect(await settle(link, [entry])).toBe(1)
    expect(await listPending(link, keys, { count: 10 })).toEqual([])
    expect(await remembered(link, admission)).toBe(true)
    expect(await world.balanced(link)).toMatchObject({ accepted: 1, settled: 1, pending: 0, superseded: 0 })
  })

  it('counts once, however often it is said', async () => {
    const link = await world.link()
    const { entry } = await held(link)
    expect(await settle(link, [entry, entry])).toBe(1)
    const before = await digest(link)
    expect(await settle(link, [entry])).toBe(0)
    expect(await digest(link)).toBe(before)
    expect(await world.balanced(link)).toMatchObject({ settled: 1 })
  })

  it('by a zombie counts too where the entry is still pending: the work is done', async () => {
    const link = await world.link()
    const { entry } = await held(link)
    const theirs = await takeOver(link, entry, 'b')
    expect(await settle(link, [entry])).toBe(1)
    expect(await settle(link, [theirs])).toBe(0)
    expect(await parkNow(link, theirs)).toBe('not-owner')
    expect(await world.balanced(link)).toMatchObject({ settled: 1, parked: 0, dead: 0 })
  })

  it('takes an event out of the parked ones, whoever holds it', async () => {
    const link = await world.link()
    const { admission, entry } = await held(link)
    await parkNow(link, entry)
    const [leased] = await claim(link, 'token')
    expect(await settle(link, [leased!])).toBe(1)
    expect(await remembered(link, admission)).toBe(true)
    for (const key of [keys.parkedDue, keys.parkedRecords, keys.parkedState, keys.parkedIds]) {
      expect(await link.call('EXISTS', key), key).toBe(0)
    }
    expect(await world.balanced(link)).toMatchObject({ settled: 1, parked: 0 })
  })

  it('changes nothing for an event that went to the dead letters, and does not remember it as done', async () => {
    const link = await world.link()
    const { admission, entry } = await held(link)
    const theirs = await takeOver(link, entry, 'b')
    expect(await buryNow(link, theirs)).toBe('done')
    const before = await digest(link)
    expect(await settle(link, [{ ...entry, renew: world.place('github', admission.locator) }])).toBe(0)
    expect(await digest(link)).toBe(before)
    expect(await remembered(link, admission)).toBe(false)
    expect(await redelivered(link, admission)).toBe('accepted')
    expect(await world.balanced(link)).toMatchObject({ accepted: 2, dead: 1, settled: 0, unread: 1 })
  })

  it('settles of a batch what is there to settle, and only that', async () => {
    const link = await world.link()
    for (let i = 0; i < 6; i++) await world.accept(link)
    const entries = await world.read(link, 'a')
    await parkNow(link, entries[1]!)
    await settle(link, [entries[2]!])
    await buryNow(link, entries[3]!)
    const unknown = { ...entries[0]!, streamId: '1-1' }
    expect(await settle(link, [...entries.slice(0, 5), unknown])).toBe(3) // 0 and 4 pending, 1 parked
    const now = await redisTime(link)
    const memory = await Promise.all(
      entries.map(({ record }) => wasSettled(link, world.memory, now, record.locator)),
    )
    expect(memory).toEqual([true, true, true, false, true, false])
    expect(await world.balanced(link)).toMatchObject({
      accepted: 6,
      settled: 4,
      pending: 1,
      dead: 1,
      parked: 0,
    })
  })

  it('takes batches far larger than a Lua stack', async () => {
    const link = await world.link()
    const count = 9_000
    await Promise.all(Array.from({ length: count }, () => world.accept(link)))
    const entries = await world.read(link, 'a', count)
    expect(await settle(link, entries)).toBe(count)
    expect(await world.balanced(link)).toMatchObject({ settled: count, pending: 0 })
  })

  it('remembers derived ids only; with a horizon of 0 none', async () => {
    const link = await world.link()
    const minted = await held(link, { derived: false })
    await settle(link, [minted.entry])
    expect(await remembered(link, minted.admission)).toBe(false)
    const derived = await held(link)
    const off = { ...world.memory, horizonMs: 0 }
    expect(await settleDone(link, keys, off, [derived.entry], 'settled', await redisTime(link))).toBe(1)
    expect(await remembered(link, derived.admission)).toBe(false)
    expect(await link.call('KEYS', `${keys.bloom}:*`)).toEqual([])
    await world.balanced(link)
  })

  it('superseded is counted apart and not remembered', async () => {
    const link = await world.link()
    const { admission, entry } = await held(link)
    expect(await settle(link, [entry], 'superseded')).toBe(1)
    expect(await remembered(link, admission)).toBe(false)
    expect(await world.balanced(link)).toMatchObject({ settled: 0, superseded: 1 })
  })

  it('late in its window renews the evidence for one window', async () => {
    const link = await world.link()
    const { admission, entry } = await held(link, { tool: 'short' })
    const before = await passed(link, Number(entry.streamId.split('-')[0]) + SHORT_MS / 2)
    expect(await settle(link, [{ ...entry, renew: world.place('short', admission.locator) }])).toBe(1)
    const after = await redisTime(link)
    for (;;) {
      const asked = await redisTime(link)
      if ((await redelivered(link, admission)) === 'accepted') break
      expect(asked).toBeLessThan(after + SHORT_MS)
    }
    expect(await redisTime(link)).toBeGreaterThanOrEqual(before + SHORT_MS)
  })

  it('works when Redis is out of memory: a backlog that filled it must drain', async () => {
    const link = await world.link()
    const first = await held(link)
    const second = await held(link)
    await parkNow(link, second.entry)
    await outOfMemory(link, async () => {
      expect(await settle(link, [first.entry, second.entry])).toBe(2)
    })
    expect(await remembered(link, first.admission)).toBe(true)
    expect(await remembered(link, second.admission)).toBe(true)
    expect(await world.balanced(link)).toMatchObject({ settled: 2, pending: 0, parked: 0 })
  })

  it('changes nothing when the group is lost: the entries come again', async () => {
    const link = await world.link()
    const { admission, entry } = await held(link)
    await link.call('XGROUP', 'DESTROY', keys.stream, keys.group)
    const before = await digest(link)
    expect(await settle(link, [entry])).toBe(0)
    expect(await digest(link)).toBe(before)
    expect(await remembered(link, admission)).toBe(false)
  })

  it('leaves the index of another parked entry of the same event alone', async () => {
    const link = await world.link()
    const { admission, entry } = await held(link, { tool: 'short' })
    await parkNow(link, entry)
    await passed(link, Number(entry.streamId.split('-')[0]) + 2 * SHORT_MS)
    expect(await redelivered(link, admission)).toBe('accepted')
    const [second] = await world.read(link, 'a')
    await parkNow(link, second!)
    expect(await settle(link, [entry])).toBe(1)
    expect(String(await link.call('HGET', keys.parkedIds, admission.id))).toBe(second!.streamId)
    await world.balanced(link)
  })

  it('settles nothing for an empty batch without asking Redis', async () => {
    const link = await world.link()
    await link.close()
    expect(await settleDone(link, keys, world.memory, [], 'settled', 0)).toBe(0)
  })
})
