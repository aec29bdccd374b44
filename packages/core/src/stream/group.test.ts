import { describe, expect, it } from 'vitest'
import { movesOf } from '../../../../tests/heart/moves.ts'
import { digest, outOfMemory, useWorld } from '../../../../tests/heart/world.ts'
import type { RedisLink } from '../redis/link.ts'
import { findDeadLetter, purgeDeadLetter } from './dead-letters.ts'
import { ensureGroup } from './group.ts'
import { readLedger } from './ledger.ts'
import type { HeldEntry } from './settle.ts'
import { trimSettled } from './trim.ts'

const world = useWorld()
const { keys } = world
const { settle, parkNow, buryNow, claim } = movesOf(world)

const idsOf = (entries: readonly { streamId: string }[]) => entries.map(({ streamId }) => streamId)
const loseGroup = (link: RedisLink) => link.call('XGROUP', 'DESTROY', keys.stream, keys.group)

async function acceptMany(link: RedisLink, count: number): Promise<string[]> {
  const ids: string[] = []
  for (let i = 0; i < count; i++) ids.push((await world.accept(link)).streamId)
  return ids
}

/** No place has fewer than no events. */
async function balancedForReal(link: RedisLink) {
  const ledger = await world.balanced(link)
  for (const [place, count] of Object.entries(ledger)) expect(count, place).toBeGreaterThanOrEqual(0)
  return ledger
}

/** Reads all there is to read and settles it; everything then is settled, or was given up. */
async function finish(link: RedisLink): Promise<void> {
  await settle(link, await world.read(link, 'z', 1_000))
  await settle(link, await claim(link, 'z'))
  const ledger = await balancedForReal(link)
  expect(ledger).toMatchObject({ unread: 0, pending: 0, parked: 0 })
}

describe('a consumer group', () => {
  it('is created with the stream where there is none', async () => {
    const link = await world.link()
    expect(await ensureGroup(link, keys)).toEqual({ kind: 'created', from: '0', unread: 0 })
    expect(await ensureGroup(link, keys)).toEqual({ kind: 'exists' })
    const ids = await acceptMany(link, 3)
    expect(idsOf(await world.read(link, 'a'))).toEqual(ids)
  })

  it('starts at 0, not at $: what was accepted before the first consumer is read', async () => {
    const link = await world.link()
    const ids = await acceptMany(link, 3)
    expect(await ensureGroup(link, keys)).toEqual({ kind: 'created', from: '0', unread: 3 })
    expect((await readLedger(link, keys)).ledger).toMatchObject({ unread: 3, unaccounted: 0 })
    expect(idsOf(await world.read(link, 'a'))).toEqual(ids)
  })

  it('is made once by consumers that start at the same moment', async () => {
    const links = await Promise.all([world.link(), world.link(), world.link()])
    await acceptMany(links[0]!, 2)
    const states = await Promise.all(
      links.flatMap((link) => [ensureGroup(link, keys), ensureGroup(link, keys)]),
    )
    expect(states.filter(({ kind }) => kind === 'created')).toHaveLength(1)
  })

  it('does not mind the groups of others', async () => {
    const link = await world.link()
    await acceptMany(link, 2)
    await link.call('XGROUP', 'CREATE', keys.stream, 'analytics', '$')
    expect(await ensureGroup(link, keys)).toEqual({ kind: 'created', from: '0', unread: 2 })
  })
})

describe('a lost group', () => {
  /** Six events: settled, parked, dead, superseded, purged, pending; and two nobody has read. */
  async function oneOfEach(link: RedisLink): Promise<HeldEntry[]> {
    await ensureGroup(link, keys)
    await acceptMany(link, 6)
    const entries = await world.read(link, 'a')
    await settle(link, [entries[0]!])
    await parkNow(link, entries[1]!)
    await buryNow(link, entries[2]!)
    await settle(link, [entries[3]!], 'superseded')
    await buryNow(link, entries[4]!)
    const letter = (await findDeadLetter(link, keys, entries[4]!.record.id))!
    await purgeDeadLetter(link, keys, { letterId: letter.letterId, eventId: entries[4]!.record.id })
    await acceptMany(link, 2)
    return entries
  }

  it('without a floor is made again at 0; everything comes again and the ledger balances', async () => {
    const link = await world.link()
    const entries = await oneOfEach(link)
    await balancedForReal(link)
    await loseGroup(link)
    expect(await ensureGroup(link, keys)).toEqual({ kind: 'created', from: '0', unread: 8 })
    expect(await balancedForReal(link)).toMatchObject({
      accepted: 8,
      unread: 8,
      settled: 0,
      parked: 0,
      dead: 0,
    })
    const again = await world.read(link, 'b')
    expect(idsOf(again).slice(0, 6)).toEqual(idsOf(entries))
    await settle(link, again)
    await finish(link)
    expect(await balancedForReal(link)).toMatchObject({ settled: 8 })
  })

  it('with a floor is made again there: what lies below keeps its place, what lies above comes again', async () => {
    const link = await world.link()
    const below = await oneOfEach(link)
    await settle(link, [below[5]!, ...(await world.read(link, 'a'))])
    const { floor } = await trimSettled(link, keys, 3_600_000)
    const ledgerBelow = await balancedForReal(link)
    expect(ledgerBelow).toMatchObject({ settled: 4, parked: 1, dead: 1, superseded: 1, purged: 1 })

    const above = await oneOfEach(link)
    await loseGroup(link)
    expect(await ensureGroup(link, keys)).toEqual({ kind: 'created', from: floor, unread: 8 })
    const ledger = await balancedForReal(link)
    expect(ledger).toMatchObject({ accepted: 16, unread: 8, pending: 0, parked: 1, dead: 1 })
    expect(ledger.settled + ledger.superseded + ledger.purged).toBe(6)
    expect(await findDeadLetter(link, keys, below[2]!.record.id)).toBeDefined()
    expect(await findDeadLetter(link, keys, above[2]!.record.id)).toBeUndefined()

    const again = await world.read(link, 'b')
    expect(idsOf(again).slice(0, 6)).toEqual(idsOf(above))
    expect(idsOf(await claim(link, 'b'))).toEqual([below[1]!.streamId])
    await settle(link, [...again, below[1]!])
    await finish(link)
    expect(await balancedForReal(link)).toMatchObject({ accepted: 16, dead: 1 })
  })

  it('with a pending entry below others that are settled comes back at that entry', async () => {
    const link = await world.link()
    await ensureGroup(link, keys)
    await acceptMany(link, 5)
    const entries = await world.read(link, 'a')
    await settle(link, [entries[0]!, entries[1]!, entries[3]!])
    await trimSettled(link, keys, 3_600_000)
    await loseGroup(link)
    expect(await ensureGroup(link, keys)).toMatchObject({ kind: 'created', unread: 3 })
    expect(await balancedForReal(link)).toMatchObject({ settled: 2, unread: 3 })
    expect(idsOf(await world.read(link, 'b'))).toEqual(idsOf(entries.slice(2)))
    await settle(link, entries)
    await finish(link)
  })

  it('behind a trimmed stream counts what is gone as read', async () => {
    const link = await world.link()
    await link.call('CONFIG', 'SET', 'stream-node-max-entries', 5)
    await ensureGroup(link, keys)
    await acceptMany(link, 40)
    await settle(link, await world.read(link, 'a'))
    expect((await trimSettled(link, keys, 0)).trimmed).toBeGreaterThanOrEqual(30)
    await acceptMany(link, 4)
    await loseGroup(link)
    expect(await ensureGroup(link, keys)).toMatchObject({ kind: 'created', unread: 4 })
    expect(await balancedForReal(link)).toMatchObject({ accepted: 44, settled: 40, unread: 4 })
    await finish(link)
  })

  it('with everything settled has nothing to read again', async () => {
    const link = await world.link()
    await ensureGroup(link, keys)
    await acceptMany(link, 3)
    await settle(link, await world.read(link, 'a'))
    await trimSettled(link, keys, 3_600_000)
    await loseGroup(link)
    expect(await ensureGroup(link, keys)).toMatchObject({ kind: 'created', unread: 0 })
    expect(await world.read(link, 'b')).toEqual([])
    await finish(link)
  })

  it('again and again keeps the ledger balanced', async () => {
    const link = await world.link()
    for (let round = 0; round < 4; round++) {
      await oneOfEach(link)
      if (round % 2 === 0) await trimSettled(link, keys, 0)
      await loseGroup(link)
      await ensureGroup(link, keys)
      await balancedForReal(link)
    }
    await finish(link)
  })

  it('leaves a lease that was held over it without effect', async () => {
    const link = await world.link()
    await ensureGroup(link, keys)
    await acceptMany(link, 1)
    const [entry] = await world.read(link, 'a')
    await parkNow(link, entry!)
    const [leased] = await claim(link, 'token')
    await loseGroup(link)
    await ensureGroup(link, keys)
    expect(await parkNow(link, leased!)).toBe('not-owner')
    expect(await buryNow(link, leased!)).toBe('not-owner')
    expect(await settle(link, [leased!])).toBe(0)
    await finish(link)
  })

  it('does not hide what was unaccounted for before', async () => {
    const link = await world.link()
    await ensureGroup(link, keys)
    await acceptMany(link, 5)
    const entries = await world.read(link, 'a')
    await settle(link, entries.slice(0, 3))
    await link.call('XACK', keys.stream, keys.group, entries[3]!.streamId, entries[4]!.streamId) // by nobody of ours
    await trimSettled(link, keys, 3_600_000)
    expect((await readLedger(link, keys)).ledger.unaccounted).toBe(2)
    await loseGroup(link)
    await ensureGroup(link, keys)
    expect((await readLedger(link, keys)).ledger).toMatchObject({ settled: 3, unaccounted: 2 })
  })

  it('is made again although a foreign dead letter cannot be understood', async () => {
    const link = await world.link()
    await oneOfEach(link)
    await trimSettled(link, keys, 0)
    for (const fields of [
      ['a', 'b'],
      ['sid', 'not an id', 'id', 'x'],
      ['sid', '99999999999999-0'],
    ]) {
      await link.call('XADD', keys.deadLetters, '*', ...fields)
    }
    await loseGroup(link)
    expect(await ensureGroup(link, keys)).toMatchObject({ kind: 'created' })
  })

  it('changes nothing when Redis is out of memory, and can be repeated', async () => {
    const link = await world.link()
    await ensureGroup(link, keys)
    await acceptMany(link, 3)
    await settle(link, await world.read(link, 'a', 2))
    await trimSettled(link, keys, 3_600_000)
    await loseGroup(link)
    const before = await digest(link)
    await outOfMemory(link, () =>
      expect(ensureGroup(link, keys)).rejects.toMatchObject({ code: 'REDIS_OUT_OF_MEMORY' }),
    )
    expect(await digest(link)).toBe(before)
    expect(await ensureGroup(link, keys)).toMatchObject({ kind: 'created', unread: 1 })
  })
})
