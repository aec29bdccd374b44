import { describe, expect, it } from 'vitest'
import { movesOf } from '../../../../tests/heart/moves.ts'
import { passed, redisTime, useWorld } from '../../../../tests/heart/world.ts'
import { findDeadLetter, purgeDeadLetter } from './dead-letters.ts'
import { ensureGroup } from './group.ts'
import { forgetGateway, type Ledger, readLedger, reportGateway, sumLedgers } from './ledger.ts'

const world = useWorld()
const { keys } = world
const { held, settle, parkNow, buryNow, claim } = movesOf(world)

const EMPTY: Ledger = {
  accepted: 0,
  settled: 0,
  unread: 0,
  pending: 0,
  parked: 0,
  dead: 0,
  superseded: 0,
  purged: 0,
  spooled: 0,
  unaccounted: 0,
}

describe('the ledger', () => {
  it('of nothing is nothing', async () => {
    const link = await world.link()
    const reading = await readLedger(link, keys)
    expect(reading).toMatchObject({
      ledger: EMPTY,
      lastGeneratedId: '0-0',
      witness: '0-0',
      lost: false,
      group: false,
    })
    expect(reading.redisMs).toBeLessThanOrEqual(await redisTime(link))
    await ensureGroup(link, keys)
    expect(await readLedger(link, keys)).toMatchObject({ ledger: EMPTY, group: true })
  })

  it('has every event in one place at every step of its way', async () => {
    const link = await world.link()
    const { streamId, admission } = await world.accept(link)
    const places = async () => {
      const { accepted: _accepted, unaccounted: _unaccounted, ...rest } = await world.balanced(link)
      return Object.fromEntries(Object.entries(rest).filter(([, count]) => count !== 0))
    }
    expect(await places()).toEqual({ unread: 1 })
    const [entry] = await world.read(link, 'a')
    expect(await places()).toEqual({ pending: 1 })
    await parkNow(link, entry!)
    expect(await places()).toEqual({ parked: 1 })
    const [leased] = await claim(link, 't')
    expect(await places()).toEqual({ parked: 1 })
    await buryNow(link, leased!)
    expect(await places()).toEqual({ dead: 1 })
    const letter = (await findDeadLetter(link, keys, admission.id))!
    await purgeDeadLetter(link, keys, { letterId: letter.letterId, eventId: admission.id })
    expect(await places()).toEqual({ purged: 1 })
    expect((await readLedger(link, keys)).lastGeneratedId).toBe(streamId)
  })

  it('counts what is unread also before there is a group, and while it is lost', async () => {
    const link = await world.link()
    await world.accept(link)
    await world.accept(link)
    expect(await readLedger(link, keys)).toMatchObject({
      group: false,
      ledger: { accepted: 2, unread: 2, unaccounted: 0 },
    })
    await settle(link, await world.read(link, 'a', 1))
    await link.call('XGROUP', 'DESTROY', keys.stream, keys.group)
    expect(await readLedger(link, keys)).toMatchObject({
      group: false,
      ledger: { unread: 1, settled: 1, unaccounted: 0 },
    })
  })

  it('counts what is unread beside what is read', async () => {
    const link = await world.link()
    await ensureGroup(link, keys)
    for (let i = 0; i < 5; i++) await world.accept(link)
    expect(await world.balanced(link)).toMatchObject({ unread: 5, pending: 0 })
    await world.read(link, 'a', 2)
    expect(await world.balanced(link)).toMatchObject({ unread: 3, pending: 2 })
    await world.accept(link)
    await settle(link, await world.read(link, 'b', 10))
    expect(await world.balanced(link)).toMatchObject({ accepted: 6, unread: 0, pending: 2, settled: 4 })
  })

  it('shows what somebody acknowledged behind our back', async () => {
    const link = await world.link()
    const { entry } = await held(link)
    await link.call('XACK', keys.stream, keys.group, entry.streamId)
    expect((await readLedger(link, keys)).ledger).toMatchObject({ unaccounted: 1 })
  })

  it('shows a dead letter that somebody deleted', async () => {
    const link = await world.link()
    const { entry } = await held(link)
    await buryNow(link, entry)
    await link.call('DEL', keys.deadLetters)
    expect((await readLedger(link, keys)).ledger).toMatchObject({ dead: 0, unaccounted: 1 })
  })

  it('says "unknown", never 0, when Redis does not know its lag (somebody deleted an unread entry)', async () => {
    const link = await world.link()
    await ensureGroup(link, keys)
    const ids = [await world.accept(link), await world.accept(link), await world.accept(link)].map(
      (a) => a.streamId,
    )
    await settle(link, await world.read(link, 'a', 1))
    await link.call('XDEL', keys.stream, ids[1]!)
    const { ledger } = await readLedger(link, keys)
    expect(ledger).toMatchObject({ accepted: 3, settled: 1, unread: null, unaccounted: null })
    expect(sumLedgers([EMPTY, ledger])).toMatchObject({ accepted: 3, unread: null, unaccounted: null })
  })

  it('tells the age of the oldest unread and pending entry and of the most overdue parked one', async () => {
    const link = await world.link()
    const { entry: parked } = await held(link)
    await parkNow(link, parked)
    const { entry: pending } = await held(link)
    const { streamId: unread } = await world.accept(link)
    const now = await passed(link, Number(unread.split('-')[0]) + 50)
    await world.accept(link)
    const reading = await readLedger(link, keys)
    const age = (id: string) => reading.redisMs - Number(id.split('-')[0])
    expect(reading.oldestUnreadMs).toBe(age(unread))
    expect(reading.oldestPendingMs).toBe(age(pending.streamId))
    expect(reading.oldestParkedMs).toBeGreaterThanOrEqual(50)
    expect(reading.oldestParkedMs).toBeLessThan(reading.redisMs - now + 1_000)
    await claim(link, 't')
    expect((await readLedger(link, keys)).oldestParkedMs).toBe(0)
  })
})

describe('the witness', () => {
  it('above the last generated id means that Redis lost what it had acknowledged', async () => {
    const link = await world.link()
    const { streamId } = await world.accept(link)
    await reportGateway(link, keys, 'gw-1', streamId, { spooled: 0, at: 1 })
    expect(await readLedger(link, keys)).toMatchObject({ witness: streamId, lost: false })
    const [ms, seq] = streamId.split('-')
    await reportGateway(link, keys, 'gw-2', `${ms}-${Number(seq) + 1}`, { spooled: 0, at: 1 })
    expect(await readLedger(link, keys)).toMatchObject({ witness: `${ms}-${Number(seq) + 1}`, lost: true })
  })

  it('stays when its gateway leaves, and is not overwritten by one that has seen nothing', async () => {
    const link = await world.link()
    await reportGateway(link, keys, 'gw-1', '5-5', { spooled: 3, at: 1 })
    await reportGateway(link, keys, 'gw-1', '', { spooled: 4, at: 2 })
    await reportGateway(link, keys, 'gw-2', '', { spooled: 1, at: 2 })
    expect(await readLedger(link, keys)).toMatchObject({ witness: '5-5', ledger: { spooled: 5 } })
    await forgetGateway(link, keys, 'gw-1')
    expect(await readLedger(link, keys)).toMatchObject({ witness: '5-5', lost: true, ledger: { spooled: 1 } })
  })

  it('is not disturbed by reports that are none', async () => {
    const link = await world.link()
    for (const [name, text] of Object.entries({
      a: 'no JSON',
      b: 'null',
      c: '{"spooled":"7"}',
      d: '[]',
      e: '{"spooled":2}',
    })) {
      await link.call('HSET', keys.gateways, name, text)
    }
    expect((await readLedger(link, keys)).ledger.spooled).toBe(2)
  })
})

describe('sumLedgers', () => {
  it('adds every column', () => {
    const one: Ledger = {
      ...EMPTY,
      accepted: 9,
      settled: 1,
      unread: 2,
      pending: 1,
      parked: 1,
      dead: 2,
      superseded: 1,
      purged: 1,
    }
    expect(sumLedgers([one, one])).toEqual({
      ...EMPTY,
      accepted: 18,
      settled: 2,
      unread: 4,
      pending: 2,
      parked: 2,
      dead: 4,
      superseded: 2,
      purged: 2,
    })
    expect(sumLedgers([])).toEqual(EMPTY)
  })
})
