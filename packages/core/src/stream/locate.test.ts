import { describe, expect, it } from 'vitest'
import { movesOf } from '../../../../tests/heart/moves.ts'
import { passed, redisTime, useWorld } from '../../../../tests/heart/world.ts'
import { mintEventId } from '../event.ts'
import type { RedisLink } from '../redis/link.ts'
import { findDeadLetter, replayDeadLetter } from './dead-letters.ts'
import { type EventPlace, locateEvent } from './locate.ts'
import { settledKeys, settledMember } from './long-memory.ts'
import type { HeldEntry } from './settle.ts'
import { trimSettled } from './trim.ts'

const SHORT_MS = 200
const world = useWorld({
  windows: { short: { duration: SHORT_MS, maxSize: 1 }, three: { duration: 300_000, maxSize: 3 } },
})
const { keys, memory } = world
const { held, redelivered, settle, parkNow, buryNow, claim } = movesOf(world)
const TOOLS = ['github', 'short', 'three']

const locate = (link: RedisLink, id: string): Promise<EventPlace | undefined> =>
  locateEvent(
    link,
    { keys, memory, evidence: (locator) => TOOLS.map((tool) => world.place(tool, locator)) },
    id,
  )

describe.each([true, false])('an event (derived id: %s)', (derived) => {
  it('is found at every place of its way', async () => {
    const link = await world.link()
    const { admission, streamId } = await world.accept(link, { derived, body: 'bytes \0\x80' })
    const found = async () => {
      const place = await locate(link, admission.id)
      expect(place).toMatchObject({ streamId, record: { id: admission.id, tool: 'github' } })
      expect(place!.record!.packed.toString()).toContain('bytes \0')
      return place!
    }
    expect(await found()).toMatchObject({ place: 'unread' })

    const [entry] = await world.read(link, 'a')
    expect(await found()).toMatchObject({ place: 'pending', consumer: 'a', deliveries: 1 })

    const parkedAt = await redisTime(link)
    await parkNow(link, entry!, { attempts: 2, reason: 'breaker', error: 'the tool is down' })
    const parked = await found()
    expect(parked).toMatchObject({
      place: 'parked',
      state: { attempts: 2, deliveries: 0, reason: 'breaker', error: 'the tool is down' },
    })
    if (parked.place === 'parked') expect(parked.dueAt - parkedAt).toBeLessThan(1_000)

    const [leased] = await claim(link, 'token')
    expect(await found()).toMatchObject({ place: 'parked', state: { deliveries: 1 } })

    await buryNow(link, leased!)
    expect(await found()).toMatchObject({ place: 'dead', letter: { reason: 'handler', streamId } })

    const letter = (await findDeadLetter(link, keys, admission.id))!
    const now = await redisTime(link)
    const settled = {
      keys: settledKeys(memory, now, admission.locator),
      member: settledMember(admission.locator),
    }
    const which = { letterId: letter.letterId, record: letter.record! }
    await replayDeadLetter(link, keys, which, world.place('github', admission.locator), settled, now)
    expect(await found()).toMatchObject({ place: 'parked', state: { reason: 'replay' } })

    await settle(link, await claim(link, 'token'))
    expect(await found()).toMatchObject({ place: 'settled' })
  })

  it('is found among thousands, by its evidence or its time', async () => {
    const link = await world.link()
    const admitted = await Promise.all(Array.from({ length: 3_000 }, () => world.accept(link, { derived })))
    for (const index of [0, 1_500, 2_999]) {
      const { admission, streamId } = admitted[index]!
      expect(await locate(link, admission.id)).toMatchObject({ place: 'unread', streamId })
    }
  })

  it('that nobody knows is nowhere', async () => {
    const link = await world.link()
    expect(await locate(link, world.admission({ derived }).id)).toBeUndefined()
    await Promise.all(Array.from({ length: 1_200 }, () => world.accept(link, { derived })))
    expect(await locate(link, world.admission({ derived }).id)).toBeUndefined()
  })

  it('is pending for the consumer that holds it, also beside others', async () => {
    const link = await world.link()
    const admitted = []
    for (let i = 0; i < 5; i++) admitted.push(await world.accept(link, { derived }))
    await world.read(link, 'a', 2)
    await world.read(link, 'b', 2)
    const places = await Promise.all(admitted.map(({ admission }) => locate(link, admission.id)))
    const consumers = places.map((place) => (place?.place === 'pending' ? place.consumer : place?.place))
    expect(consumers).toEqual(['a', 'a', 'b', 'b', 'unread'])
  })

  it('is unread again while the group is lost', async () => {
    const link = await world.link()
    const { admission, entry } = await held(link, { derived })
    await settle(link, [entry])
    await link.call('XGROUP', 'DESTROY', keys.stream, keys.group)
    expect(await locate(link, admission.id)).toMatchObject({ place: 'unread' })
  })
})

describe('a settled event', () => {
  it('is remembered when its entry has left the stream', async () => {
    const link = await world.link()
    await link.call('CONFIG', 'SET', 'stream-node-max-entries', 1)
    const { admission, entry } = await held(link)
    const minted = await held(link, { derived: false })
    await settle(link, [entry, minted.entry])
    await passed(link, (await redisTime(link)) + 2)
    await held(link)
    await trimSettled(link, keys, 0)
    expect(await link.call('XLEN', keys.stream)).toBe(1)
    expect(await locate(link, admission.id)).toEqual({
      place: 'settled',
      streamId: undefined,
      record: undefined,
    })
    expect(await locate(link, minted.admission.id)).toBeUndefined()
  })

  it('is found after retries, which stamp its evidence anew', async () => {
    const link = await world.link()
    const { admission, entry } = await held(link)
    await parkNow(link, entry, { delayMs: 1_500 })
    await settle(link, [entry])
    expect(await locate(link, admission.id)).toMatchObject({ place: 'settled', streamId: entry.streamId })
  })

  it('is found when its window is over', async () => {
    const link = await world.link()
    const { admission, entry } = await held(link, { tool: 'short' })
    await settle(link, [entry])
    await passed(link, (await redisTime(link)) + 3 * SHORT_MS)
    expect(await locate(link, admission.id)).toMatchObject({ place: 'settled', streamId: entry.streamId })
  })
})

describe('a dead event that was redelivered', () => {
  it('is where the redelivery is', async () => {
    const link = await world.link()
    const { admission, entry } = await held(link)
    await buryNow(link, entry)
    expect(await redelivered(link, admission)).toBe('accepted')
    expect(await locate(link, admission.id)).toMatchObject({ place: 'unread' })
    const [second] = (await world.read(link, 'b')) as [HeldEntry]
    expect(await locate(link, admission.id)).toMatchObject({ place: 'pending', streamId: second.streamId })
    await parkNow(link, second)
    expect(await locate(link, admission.id)).toMatchObject({ place: 'parked', streamId: second.streamId })
    await settle(link, [second])
    expect(await locate(link, admission.id)).toMatchObject({ place: 'settled', streamId: second.streamId })
  })

  it('is dead when the redelivery is dead too', async () => {
    const link = await world.link()
    const { admission, entry } = await held(link)
    await buryNow(link, entry)
    await redelivered(link, admission)
    const [second] = (await world.read(link, 'b')) as [HeldEntry]
    await buryNow(link, second)
    expect(await locate(link, admission.id)).toMatchObject({ place: 'dead', streamId: second.streamId })
  })
})

describe('an id', () => {
  it('is refused when it is none', async () => {
    const link = await world.link()
    await expect(locate(link, 'evt_../../x')).rejects.toThrow(RangeError)
  })

  it('of a mint with a clock a little off is found all the same', async () => {
    const link = await world.link()
    for (const skew of [-45_000, 45_000]) {
      const admission = {
        ...world.admission({ derived: false }),
        id: mintEventId((await redisTime(link)) + skew),
      }
      const fields = admission.fields.map((field, index) =>
        admission.fields[index - 1] === 'id' ? admission.id : field,
      )
      await world.admitter().admit(link, { ...admission, fields })
      expect(await locate(link, admission.id)).toMatchObject({ place: 'unread' })
    }
  })
})
