import { describe, expect, it } from 'vitest'
import { movesOf } from '../../../../tests/heart/moves.ts'
import { redisTime, useWorld } from '../../../../tests/heart/world.ts'
import type { RedisLink } from '../redis/link.ts'
import { purgeParked } from './purge-parked.ts'
import type { HeldEntry } from './settle.ts'

const world = useWorld({ windows: { three: { duration: 300_000, maxSize: 3 } } })
const { keys } = world
const { held, redelivered, settle, parkNow, buryNow, claim } = movesOf(world)

async function parked(link: RedisLink, options?: Parameters<typeof held>[1], delayMs = 60_000) {
  const found = await held(link, options)
  await parkNow(link, found.entry, { delayMs })
  return found
}
async function purge(link: RedisLink, { streamId, record }: HeldEntry, dueMs?: number) {
  const redisMs = await redisTime(link)
  const event = { streamId, record, dueMs: dueMs ?? redisMs + 60_000 }
  return purgeParked(link, keys, event, world.place(record.tool, record.locator), redisMs)
}

describe('a parked event that is given up', () => {
  it('leaves nothing behind but a count, and the ledger balances', async () => {
    const link = await world.link()
    const { entry } = await parked(link)
    const other = await parked(link)
    expect(await purge(link, entry)).toBe('purged')
    expect(await world.balanced(link)).toMatchObject({ accepted: 2, parked: 1, purged: 1 })
    for (const key of [keys.parkedRecords, keys.parkedState, keys.parkedIds])
      expect(await link.call('HLEN', key), key).toBe(1)
    // Again it is not there.
    expect(await purge(link, entry)).toBe('absent')
    expect(await world.balanced(link)).toMatchObject({ parked: 1, purged: 1 })
    expect(await purge(link, other.entry)).toBe('purged')
    for (const key of [keys.parkedDue, keys.parkedRecords, keys.parkedState, keys.parkedIds])
      expect(await link.call('EXISTS', key), key).toBe(0)
  })

  it.each([
    ['one occurrence', 'github'],
    ['several', 'three'],
  ])('is accepted again when it is redelivered, of a tool whose window takes %s', async (_, tool) => {
    const link = await world.link()
    const { admission, entry } = await parked(link, { tool })
    if (tool === 'github') expect(await redelivered(link, admission)).toBe('duplicate')
    await purge(link, entry)
    expect(await redelivered(link, admission)).toBe('accepted')
    expect(await world.balanced(link)).toMatchObject({ accepted: 2, unread: 1, purged: 1 })
  })

  it('stays while a consumer has it in hand, who then settles it', async () => {
    const link = await world.link()
    const { entry } = await parked(link, {}, 0)
    const [claimed] = await claim(link, 'token')
    expect(await purge(link, entry)).toBe('held')
    expect(await settle(link, [claimed!])).toBe(1)
    expect(await world.balanced(link)).toMatchObject({ settled: 1, parked: 0, purged: 0 })
  })

  it('goes when the lease is over, and whoever held it changes nothing any more', async () => {
    const link = await world.link()
    const { entry } = await parked(link, {}, 0)
    const [claimed] = await claim(link, 'token')
    await link.call('ZADD', keys.parkedDue, 1, entry.streamId) // as if the lease had ended
    expect(await purge(link, entry)).toBe('purged')
    expect(await settle(link, [claimed!])).toBe(0)
    expect(await buryNow(link, claimed!)).toBe('not-owner')
    expect(await parkNow(link, claimed!)).toBe('not-owner')
    expect(await world.balanced(link)).toMatchObject({ settled: 0, parked: 0, dead: 0, purged: 1 })
  })

  it('goes once when two give it up at the same moment', async () => {
    const link = await world.link()
    const { entry } = await parked(link)
    const outcomes = await Promise.all([purge(link, entry), purge(link, entry), purge(link, entry)])
    expect(outcomes.sort()).toEqual(['absent', 'absent', 'purged'])
    expect(await world.balanced(link)).toMatchObject({ purged: 1 })
  })
})
