import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LONGEST_DELAY_MS, movesOf } from '../../../../tests/heart/moves.ts'
import { digest, outOfMemory, passed, redisTime, useWorld } from '../../../../tests/heart/world.ts'
import { mintEventId } from '../event.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { listDeadLetters } from './dead-letters.ts'
import { claimParked } from './parked.ts'
import { listPending } from './reclaim.ts'
import type { HeldEntry } from './settle.ts'

const SHORT_MS = 300
const LEASE_MS = 60_000

const world = useWorld({
  windows: {
    short: { duration: SHORT_MS, maxSize: 1 },
    short3: { duration: SHORT_MS, maxSize: 3 },
    three: { duration: 300_000, maxSize: 3 },
  },
})
const { keys } = world
const { held, redelivered, settle, parkNow, buryNow, claim, takeOver } = movesOf(world)

describe('parked', () => {
  it('holds a copy with all its bytes until it is due, and acknowledges the entry', async () => {
    const link = await world.link()
    const { admission, entry } = await held(link, { body: 'bytes \0\x80\xff\r\n' })
    const parkedAt = await redisTime(link)
    expect(await parkNow(link, entry, { delayMs: 200, attempts: 2, error: 'boom' })).toBe('done')
    expect(await listPending(link, keys, { count: 1 })).toEqual([])
    expect(await world.balanced(link)).toMatchObject({ parked: 1, pending: 0 })

    const early = await claimParked(link, keys, 't', LEASE_MS, 10, 1)
    expect(early.events).toEqual([])
    expect(early.nextDueMs).toBeGreaterThanOrEqual(parkedAt + 200)
    await passed(link, early.nextDueMs!)
    const { events } = await claimParked(link, keys, 't', LEASE_MS, 10, 1)
    expect(events).toHaveLength(1)
    expect(events[0]).toMatchObject({
      streamId: entry.streamId,
      fields: admission.fields.map((field) => Buffer.from(field as string)),
      state: { attempts: 2, deliveries: 1, reason: 'retry', error: 'boom' },
    })
    expect(events[0]!.state.since).toBeGreaterThanOrEqual(parkedAt)
    expect(events[0]!.state.since).toBeLessThanOrEqual(parkedAt + 100)
  })

  it('outlives the trimming of the stream', async () => {
    const link = await world.link()
    const { admission, entry } = await held(link)
    await parkNow(link, entry)
    await link.call('XTRIM', keys.stream, 'MAXLEN', 0)
    const [leased] = await claim(link, 'token')
    expect(leased?.record.id).toBe(admission.id)
  })

  it('keeps the time of its first failure through all retries, and counts hand-outs anew after each outcome', async () => {
    const link = await world.link()
    const { entry } = await held(link)
    await parkNow(link, entry, { attempts: 1 })
    const { events } = await claimParked(link, keys, 't1', LEASE_MS, 1, 1)
    const { since } = events[0]!.state
    await passed(link, since + 20)
    const leased: HeldEntry = { ...entry, holding: { kind: 'lease', token: 't1' } }
    expect(await parkNow(link, leased, { attempts: 2, error: 'again' })).toBe('done')
    const second = await claimParked(link, keys, 't2', LEASE_MS, 1, 1)
    expect(second.events[0]!.state).toEqual({
      attempts: 2,
      deliveries: 1,
      reason: 'retry',
      error: 'again',
      since,
    })
    await world.balanced(link)
  })

  it.each<[string, (link: RedisLink, entry: HeldEntry) => Promise<HeldEntry>]>([
    [
      'another consumer took the entry over',
      async (link, entry) => {
        await takeOver(link, entry, 'b')
        return entry
      },
    ],
    [
      'another consumer took it over and settled it',
      async (link, entry) => {
        await settle(link, [await takeOver(link, entry, 'b')])
        return entry
      },
    ],
    [
      'another consumer took it over and parked it',
      async (link, entry) => {
        await parkNow(link, await takeOver(link, entry, 'b'))
        return entry
      },
    ],
    [
      'another consumer took it over and buried it',
      async (link, entry) => {
        await buryNow(link, await takeOver(link, entry, 'b'))
        return entry
      },
    ],
    [
      'its lease went to another token',
      async (link, entry) => {
        await parkNow(link, entry)
        const [leased] = await claim(link, 'mine', 0)
        await claim(link, 'theirs')
        return leased!
      },
    ],
    [
      'it holds a lease that was settled',
      async (link, entry) => {
        await parkNow(link, entry)
        const [leased] = await claim(link, 'mine')
        await settle(link, [leased!])
        return leased!
      },
    ],
    [
      'it never had a lease',
      async (link, entry) => {
        await parkNow(link, entry)
        return { ...entry, holding: { kind: 'lease', token: 'made-up' } }
      },
    ],
  ])('does nothing for a zombie: %s', async (_case, prepare) => {
    const link = await world.link()
    const { admission, entry } = await held(link)
    const zombie = await prepare(link, entry)
    const before = await digest(link)
    expect(await parkNow(link, zombie, { delayMs: 1_000 })).toBe('not-owner')
    expect(await buryNow(link, zombie)).toBe('not-owner')
    expect(await digest(link)).toBe(before)
    const { dead } = await world.balanced(link)
    expect(await redelivered(link, admission)).toBe(dead === 1 ? 'accepted' : 'duplicate')
  })

  it('leaves the entry pending when Redis is out of memory, and can be repeated', async () => {
    const link = await world.link()
    const { entry } = await held(link)
    const before = await digest(link)
    await outOfMemory(link, () =>
      expect(parkNow(link, entry)).rejects.toMatchObject({ code: 'REDIS_OUT_OF_MEMORY' }),
    )
    expect(await digest(link)).toBe(before)
    expect(await world.balanced(link)).toMatchObject({ pending: 1, parked: 0 })
    expect(await parkNow(link, entry)).toBe('done')
    expect(await world.balanced(link)).toMatchObject({ pending: 0, parked: 1 })
  })

  it('leaves a lease as it was when Redis is out of memory', async () => {
    const link = await world.link()
    const { entry } = await held(link)
    await parkNow(link, entry)
    const [leased] = await claim(link, 'token')
    const before = await digest(link)
    await outOfMemory(link, () =>
      expect(parkNow(link, leased!)).rejects.toMatchObject({ code: 'REDIS_OUT_OF_MEMORY' }),
    )
    expect(await digest(link)).toBe(before)
    expect(await parkNow(link, leased!)).toBe('done')
  })

  it('says so when the entry is gone from the stream', async () => {
    const link = await world.link()
    const { entry } = await held(link)
    await link.call('XDEL', keys.stream, entry.streamId)
    expect(await parkNow(link, entry)).toBe('gone')
    expect(await buryNow(link, entry)).toBe('gone')
  })

  it('fails loudly and changes nothing when the group is lost', async () => {
    const link = await world.link()
    const { entry } = await held(link)
    await link.call('XGROUP', 'DESTROY', keys.stream, keys.group)
    const before = await digest(link)
    await expect(parkNow(link, entry)).rejects.toThrow('NOGROUP')
    await expect(buryNow(link, entry)).rejects.toThrow('NOGROUP')
    expect(await digest(link)).toBe(before)
  })

  it('keeps any record and any error text', async () => {
    const link = await world.link()
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom(
        '\0',
        '"\\/\b\f\n\r\t\x7f',
        '\ud800',
        '1e999',
        '\u2028',
        '{"id":"x"}',
        'é'.repeat(2_000),
      ),
    )
    // The lengths at which cmsgpack changes its encoding, and those around them.
    const size = fc.constantFrom(0, 1, 31, 32, 33, 255, 256, 257, 65_535, 65_536, 65_537)
    await fc.assert(
      fc.asyncProperty(
        text,
        size,
        fc.nat(),
        fc.integer({ min: 0, max: 1e9 }),
        async (error, bytes, seed, attempts) => {
          const body = Buffer.alloc(bytes, Buffer.from([seed & 255, (seed >> 8) & 255, 0xff, 0]))
          const { admission, entry } = await held(link, { body: body.toString('latin1') })
          expect(await parkNow(link, entry, { error, attempts })).toBe('done')
          const { events } = await claimParked(link, keys, 't', LEASE_MS, 10, 1)
          expect(events).toHaveLength(1)
          expect(events[0]!.fields).toEqual(admission.fields.map((field) => Buffer.from(field as string)))
          expect(events[0]!.state).toMatchObject({ attempts, error: error.toWellFormed() })
          const leased: HeldEntry = { ...entry, holding: { kind: 'lease', token: 't' } }
          expect(await buryNow(link, leased, { error })).toBe('done')
          const [letter] = (await listDeadLetters(link, keys, { count: 1_000 })).slice(-1)
          expect(letter).toMatchObject({ streamId: entry.streamId, error: error.toWellFormed() })
          expect(letter!.record!.packed).toEqual(entry.record.packed)
        },
      ),
      { numRuns: 60 },
    )
    await world.balanced(link)
  })

  it('survives error bytes that are no text at all', async () => {
    const link = await world.link()
    const { entry } = await held(link)
    // A handler's error reaches Redis as UTF-8; should bytes come another way, they must not break the state.
    await parkNow(link, entry, {
      error: Buffer.from([0xff, 0xc3, 0x28, 0x00, 0x22, 0x5c]) as unknown as string,
    })
    const { events } = await claimParked(link, keys, 't', LEASE_MS, 1, 1)
    expect(events).toHaveLength(1)
    expect(await settle(link, [{ ...entry, holding: { kind: 'lease', token: 't' } }])).toBe(1)
  })

  it.each([true, false])(
    'keeps its evidence until one window after it is due (derived: %s)',
    async (derived) => {
      const link = await world.link()
      const { admission, entry } = await held(link, { tool: derived ? 'short' : 'short3', derived })
      const delayMs = 3 * SHORT_MS
      const parkedAt = await redisTime(link)
      expect(await parkNow(link, entry, { delayMs })).toBe('done')
      const own = { ...admission, repeat: true }
      for (;;) {
        const asked = await redisTime(link)
        const { kind } = await world.admitter().admit(link, own)
        if (kind === 'accepted') break
        expect(kind).toBe('known')
        expect(asked).toBeLessThan(parkedAt + delayMs + SHORT_MS + 50)
      }
      expect(await redisTime(link)).toBeGreaterThanOrEqual(parkedAt + delayMs + SHORT_MS)
    },
  )
})

describe('dead', () => {
  it('is a letter with a copy of the record, what happened and when', async () => {
    const link = await world.link()
    const { admission, entry } = await held(link, { body: 'bytes \0\x80\xff' })
    const at = await redisTime(link)
    expect(await buryNow(link, entry, { attempts: 4, reason: 'timeout', error: 'too slow' })).toBe('done')
    const [letter] = await listDeadLetters(link, keys, { count: 10 })
    expect(letter).toMatchObject({
      streamId: entry.streamId,
      reason: 'timeout',
      error: 'too slow',
      record: { ...entry.record, attempts: 4 },
    })
    expect(letter!.deadAt).toBeGreaterThanOrEqual(at)
    expect(letter!.firstFailedAt).toBe(letter!.deadAt)
    expect(String(await link.call('HGET', keys.deadIds, admission.id))).toBe(letter!.letterId)
    expect(await world.balanced(link)).toMatchObject({ dead: 1, pending: 0 })
  })

  it('from a lease keeps the time of the first failure and leaves nothing parked', async () => {
    const link = await world.link()
    const { entry } = await held(link)
    await parkNow(link, entry)
    const [leased] = await claim(link, 'token')
    await passed(link, (await redisTime(link)) + 20)
    expect(await buryNow(link, leased!)).toBe('done')
    const [letter] = await listDeadLetters(link, keys, { count: 10 })
    expect(letter!.deadAt).toBeGreaterThanOrEqual(letter!.firstFailedAt + 20)
    for (const key of [keys.parkedDue, keys.parkedRecords, keys.parkedState, keys.parkedIds]) {
      expect(await link.call('EXISTS', key), key).toBe(0)
    }
    expect(await world.balanced(link)).toMatchObject({ dead: 1, parked: 0 })
  })

  it('lets a redelivery in again, under the same id', async () => {
    const link = await world.link()
    const { admission, entry } = await held(link)
    expect(await redelivered(link, admission)).toBe('duplicate')
    await buryNow(link, entry)
    expect(await redelivered(link, admission)).toBe('accepted')
    const [second] = await world.read(link, 'a')
    expect(second!.record.id).toBe(admission.id)
    expect(await redelivered(link, admission)).toBe('duplicate')
    expect(await world.balanced(link)).toMatchObject({ accepted: 2, dead: 1, pending: 1 })
  })

  it('lets one more in where several may pass, and still knows the others', async () => {
    const link = await world.link()
    const first = world.admission({ tool: 'three' })
    const others = [1, 2].map(() => ({ ...first, id: mintEventId(Date.now()) }))
    for (const admission of [first, ...others]) await world.admitter().admit(link, admission)
    expect(await redelivered(link, first)).toBe('duplicate')
    const entries = await world.read(link, 'a')
    await buryNow(link, entries.find(({ record }) => record.id === first.id)!)
    for (const admission of others)
      expect(await world.admitter().admit(link, admission)).toEqual({ kind: 'known' })
    expect(await redelivered(link, first)).toBe('accepted')
    expect(await redelivered(link, first)).toBe('duplicate')
    await world.balanced(link)
  })

  it.each([true, false])(
    'removes evidence that was stamped far ahead, in every slice (derived: %s)',
    async (derived) => {
      const link = await world.link()
      const { admission, entry } = await held(link, { tool: derived ? 'short' : 'short3', derived })
      await parkNow(link, entry, { delayMs: LONGEST_DELAY_MS })
      await link.call('ZADD', keys.parkedDue, 0, entry.streamId) // woken early
      const [leased] = await claim(link, 'token')
      expect(await buryNow(link, leased!)).toBe('done')
      const shards = (await link.call('KEYS', `${keys.evidence}:*`)) as RedisReply[]
      expect(shards.map(String)).toEqual([])
      expect((await world.admitter().admit(link, { ...admission, repeat: true })).kind).toBe('accepted')
    },
  )

  it('leaves entry and evidence as they are when Redis is out of memory, and can be repeated', async () => {
    const link = await world.link()
    const { admission, entry } = await held(link)
    const before = await digest(link)
    await outOfMemory(link, () =>
      expect(buryNow(link, entry)).rejects.toMatchObject({ code: 'REDIS_OUT_OF_MEMORY' }),
    )
    expect(await digest(link)).toBe(before)
    expect(await redelivered(link, admission)).toBe('duplicate')
    expect(await buryNow(link, entry)).toBe('done')
    expect(await world.balanced(link)).toMatchObject({ dead: 1, pending: 0 })
  })

  it('takes a foreign entry too, with far more fields than a script may pass on', async () => {
    const link = await world.link()
    const values = Array.from({ length: 10_000 }, (_, index) => `value ${index}`)
    const streamId = String(await link.call('XADD', keys.stream, '*', ...values))
    await link.call('XGROUP', 'CREATE', keys.stream, keys.group, 0)
    await link.call('XREADGROUP', 'GROUP', keys.group, 'a', 'STREAMS', keys.stream, '>')
    const { entry } = { entry: { ...(await held(link)).entry, streamId } }
    expect(await buryNow(link, entry, { reason: 'corrupt' })).toBe('done')
    const [letter] = await listDeadLetters(link, keys, { count: 10 })
    expect(letter).toMatchObject({ streamId, reason: 'corrupt', record: undefined })
    expect(Buffer.concat(letter!.fields).includes('value 9999')).toBe(true)
    expect(await world.balanced(link)).toMatchObject({ dead: 1, pending: 1 })
  })

  it('happens once: the second time it is no longer ours', async () => {
    const link = await world.link()
    const { entry } = await held(link)
    expect(await buryNow(link, entry)).toBe('done')
    expect(await buryNow(link, entry)).toBe('not-owner')
    expect(await world.balanced(link)).toMatchObject({ dead: 1 })
  })
})
