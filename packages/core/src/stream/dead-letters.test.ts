import { describe, expect, it } from 'vitest'
import { movesOf } from '../../../../tests/heart/moves.ts'
import { digest, outOfMemory, passed, redisTime, useWorld } from '../../../../tests/heart/world.ts'
import { mintEventId } from '../event.ts'
import type { RedisLink } from '../redis/link.ts'
import {
  type DeadLetter,
  findDeadLetter,
  getDeadLetter,
  listDeadLetters,
  purgeDeadLetter,
  type ReplayOutcome,
  replayDeadLetter,
} from './dead-letters.ts'
import { settledKeys, settledMember } from './long-memory.ts'
import { claimParked } from './parked.ts'

const SHORT_MS = 300
const world = useWorld({
  windows: {
    short: { duration: SHORT_MS, maxSize: 1 },
    three: { duration: 300_000, maxSize: 3 },
  },
})
const { keys } = world
const { held, redelivered, settle, parkNow, buryNow, claim } = movesOf(world)

async function buried(link: RedisLink, options?: Parameters<typeof held>[1]) {
  const { admission, entry } = await held(link, options)
  await buryNow(link, entry)
  const letter = (await findDeadLetter(link, keys, admission.id))!
  return { admission, entry, letter }
}

async function replay(link: RedisLink, letter: DeadLetter): Promise<ReplayOutcome> {
  const record = letter.record!
  const redisMs = await redisTime(link)
  return replayDeadLetter(
    link,
    keys,
    { letterId: letter.letterId, record },
    world.place(record.tool, record.locator),
    { keys: settledKeys(world.memory, redisMs, record.locator), member: settledMember(record.locator) },
    redisMs,
  )
}

describe('listing', () => {
  it('pages through the letters, oldest first', async () => {
    const link = await world.link()
    const letters = [await buried(link), await buried(link), await buried(link)].map(({ letter }) => letter)
    const first = await listDeadLetters(link, keys, { count: 2 })
    expect(first).toEqual(letters.slice(0, 2))
    expect(await listDeadLetters(link, keys, { after: first[1]!.letterId, count: 2 })).toEqual(
      letters.slice(2),
    )
    expect(await listDeadLetters(link, keys, { after: letters[2]!.letterId, count: 2 })).toEqual([])
  })

  it('finds one by its own id and by event id', async () => {
    const link = await world.link()
    const { admission, letter } = await buried(link)
    expect(await getDeadLetter(link, keys, letter.letterId)).toEqual(letter)
    expect(letter.record!.id).toBe(admission.id)
    expect(await getDeadLetter(link, keys, '1-1')).toBeUndefined()
    expect(await findDeadLetter(link, keys, 'evt_AAAAAAAAAAAAAAAAAAAAAA')).toBeUndefined()
  })

  it('shows a letter whose record cannot be read', async () => {
    const link = await world.link()
    await link.call('XADD', keys.deadLetters, '*', 'sid', '5-0', 'reason', 'corrupt', 'body', 'x')
    const [letter] = await listDeadLetters(link, keys, { count: 1 })
    expect(letter).toMatchObject({ streamId: '5-0', reason: 'corrupt', record: undefined, deadAt: 0 })
    expect(letter!.fields.map(String)).toContain('x')
  })
})

describe('replay', () => {
  it('parks the event, due now, with all its attempts before it and the same bytes', async () => {
    const link = await world.link()
    const { admission, entry, letter } = await buried(link, { body: 'bytes \0\x80' })
    expect(await replay(link, letter)).toBe('replayed')
    expect(await world.balanced(link)).toMatchObject({ dead: 0, parked: 1 })
    const { events } = await claimParked(link, keys, 't', 60_000, 10, 1)
    expect(events).toHaveLength(1)
    expect(events[0]).toMatchObject({
      streamId: entry.streamId,
      state: { attempts: 0, deliveries: 1, reason: 'replay' },
    })
    expect(events[0]!.state.since).toBe(letter.firstFailedAt)
    expect(events[0]!.fields).toEqual(admission.fields.map((field) => Buffer.from(field as string)))
    expect(await settle(link, [{ ...entry, holding: { kind: 'lease', token: 't' } }])).toBe(1)
    expect(await world.balanced(link)).toMatchObject({ settled: 1, parked: 0, dead: 0 })
  })

  it.each([true, false])(
    'restores the evidence: a redelivery is a duplicate again (derived: %s)',
    async (derived) => {
      const link = await world.link()
      const { admission, letter } = await buried(link, { derived })
      await replay(link, letter)
      expect(await redelivered(link, admission)).toBe('duplicate')
      expect(await world.admitter().admit(link, { ...admission, repeat: true })).toEqual({ kind: 'known' })
    },
  )

  it('keeps the other occurrences where several may pass', async () => {
    const link = await world.link()
    const { admission, letter } = await buried(link, { tool: 'three' })
    const other = { ...admission, id: mintEventId(Date.now()) }
    await world.admitter().admit(link, other)
    expect(await replay(link, letter)).toBe('replayed')
    expect(await world.admitter().admit(link, other)).toEqual({ kind: 'known' })
    expect(await world.admitter().admit(link, admission)).toEqual({ kind: 'known' })
  })

  it('can fail and be buried and replayed again', async () => {
    const link = await world.link()
    let { letter } = await buried(link)
    for (let round = 0; round < 3; round++) {
      expect(await replay(link, letter)).toBe('replayed')
      const [leased] = await claim(link, `t${round}`)
      expect(await buryNow(link, leased!)).toBe('done')
      letter = (await findDeadLetter(link, keys, letter.record!.id))!
      expect(letter.deadAt).toBeGreaterThanOrEqual(letter.firstFailedAt)
      expect(await world.balanced(link)).toMatchObject({ dead: 1, parked: 0 })
    }
    expect(await redelivered(link, (await buried(link)).admission)).toBe('accepted')
  })

  it('is superseded when a redelivery was accepted meanwhile', async () => {
    const link = await world.link()
    const { admission, letter } = await buried(link)
    expect(await redelivered(link, admission)).toBe('accepted')
    expect(await replay(link, letter)).toBe('superseded')
    expect(await link.call('XLEN', keys.deadLetters)).toBe(0)
    expect(await link.call('EXISTS', keys.deadIds)).toBe(0)
    expect(await redelivered(link, admission)).toBe('duplicate')
    expect(await world.balanced(link)).toMatchObject({ accepted: 2, superseded: 1, dead: 0, unread: 1 })
  })

  it('is superseded when a redelivery was settled, even days ago', async () => {
    const link = await world.link()
    const { admission, letter } = await buried(link, { tool: 'short' })
    expect(await redelivered(link, admission)).toBe('accepted')
    await settle(link, await world.read(link, 'a'))
    await passed(link, (await redisTime(link)) + 2 * SHORT_MS)
    expect(await replay(link, letter)).toBe('superseded')
    expect(await world.balanced(link)).toMatchObject({ settled: 1, superseded: 1, dead: 0 })
  })

  it('is superseded when a redelivery waits parked, however long', async () => {
    const link = await world.link()
    const { admission, letter } = await buried(link, { tool: 'short' })
    expect(await redelivered(link, admission)).toBe('accepted')
    const [second] = await world.read(link, 'a')
    await parkNow(link, second!)
    await passed(link, (await redisTime(link)) + 2 * SHORT_MS)
    expect(await replay(link, letter)).toBe('superseded')
    expect(await world.balanced(link)).toMatchObject({ parked: 1, superseded: 1, dead: 0 })
  })

  it('of two letters of one event takes one', async () => {
    const link = await world.link()
    const first = await buried(link)
    expect(await redelivered(link, first.admission)).toBe('accepted')
    await buryNow(link, (await world.read(link, 'a'))[0]!)
    const letters = await listDeadLetters(link, keys, { count: 10 })
    expect(letters).toHaveLength(2)
    expect(await replay(link, letters[0]!)).toBe('replayed')
    expect(await replay(link, letters[1]!)).toBe('superseded')
    expect(await world.balanced(link)).toMatchObject({ accepted: 2, parked: 1, superseded: 1, dead: 0 })
  })

  it('happens once', async () => {
    const link = await world.link()
    const { letter } = await buried(link)
    const outcomes = await Promise.all([replay(link, letter), replay(link, letter), replay(link, letter)])
    expect(outcomes.sort()).toEqual(['absent', 'absent', 'replayed'])
    await world.balanced(link)
  })

  it('changes nothing when Redis is out of memory', async () => {
    const link = await world.link()
    const { letter } = await buried(link)
    const before = await digest(link)
    await outOfMemory(link, () =>
      expect(replay(link, letter)).rejects.toMatchObject({ code: 'REDIS_OUT_OF_MEMORY' }),
    )
    expect(await digest(link)).toBe(before)
    expect(await replay(link, letter)).toBe('replayed')
  })

  it('writes its evidence into the slice of the moment, also across a boundary', async () => {
    const link = await world.link()
    const { admission, letter } = await buried(link, { tool: 'short' })
    const stale = (Math.floor((await redisTime(link)) / SHORT_MS) + 1) * SHORT_MS - 1
    await passed(link, stale + 2) // the caller looked at the clock before the boundary
    const record = letter.record!
    const place = world.place('short', record.locator)
    const outcome = await replayDeadLetter(
      link,
      keys,
      { letterId: letter.letterId, record },
      place,
      { keys: [], member: '0' },
      stale,
    )
    expect(outcome).toBe('replayed')
    expect(await redelivered(link, admission)).toBe('duplicate')
  })
})

describe('purge', () => {
  it('gives the event up and counts it', async () => {
    const link = await world.link()
    const { admission, letter } = await buried(link)
    const which = { letterId: letter.letterId, eventId: admission.id }
    expect(await purgeDeadLetter(link, keys, which)).toBe(true)
    expect(await purgeDeadLetter(link, keys, which)).toBe(false)
    expect(await replay(link, letter)).toBe('absent')
    expect(await findDeadLetter(link, keys, admission.id)).toBeUndefined()
    expect(await world.balanced(link)).toMatchObject({ purged: 1, dead: 0 })
    expect(await redelivered(link, admission)).toBe('accepted')
  })

  it('of an older letter leaves the newer one of the same event findable', async () => {
    const link = await world.link()
    const first = await buried(link)
    await redelivered(link, first.admission)
    await buryNow(link, (await world.read(link, 'a'))[0]!)
    await purgeDeadLetter(link, keys, { letterId: first.letter.letterId, eventId: first.admission.id })
    const found = await findDeadLetter(link, keys, first.admission.id)
    expect(found?.letterId).not.toBe(first.letter.letterId)
    expect(found).toBeDefined()
    expect(await world.balanced(link)).toMatchObject({ dead: 1, purged: 1 })
  })

  it('works when Redis is out of memory', async () => {
    const link = await world.link()
    const { admission, letter } = await buried(link)
    await outOfMemory(link, async () => {
      expect(await purgeDeadLetter(link, keys, { letterId: letter.letterId, eventId: admission.id })).toBe(
        true,
      )
    })
    expect(await world.balanced(link)).toMatchObject({ purged: 1, dead: 0 })
  })
})
