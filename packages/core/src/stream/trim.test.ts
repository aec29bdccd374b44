import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { movesOf } from '../../../../tests/heart/moves.ts'
import { digest, outOfMemory, redisTime, useWorld } from '../../../../tests/heart/world.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { ensureGroup } from './group.ts'
import { compareStreamIds } from './stream-id.ts'
import { trimAllSettled, trimSettled } from './trim.ts'

const world = useWorld()
const { keys } = world
const { settle, parkNow, buryNow } = movesOf(world)

// Redis trims whole nodes only: small ones show what would go.
const NODE_ENTRIES = 5
beforeEach(async () => {
  await world.redis.client().config('SET', 'stream-node-max-entries', String(NODE_ENTRIES))
})

const entriesIn = async (link: RedisLink): Promise<string[]> =>
  ((await link.call('XRANGE', keys.stream, '-', '+')) as RedisReply[][]).map(([id]) => String(id))

/** Appends entries as if they had been accepted so many ms ago, oldest first; returns their ids. */
async function appendAged(link: RedisLink, ages: readonly number[]): Promise<string[]> {
  const now = await redisTime(link)
  const ids: string[] = []
  for (const [index, age] of [...ages].sort((a, b) => b - a).entries()) {
    const { fields } = world.admission()
    ids.push(String(await link.call('XADD', keys.stream, `${now - age}-${index}`, ...fields)))
  }
  return ids
}

async function groupInfo(link: RedisLink, group: string): Promise<Map<string, RedisReply>> {
  for (const flat of (await link.call('XINFO', 'GROUPS', keys.stream)) as RedisReply[][]) {
    const info = new Map<string, RedisReply>()
    for (let i = 0; i < flat.length; i += 2) info.set(String(flat[i]), flat[i + 1]!)
    if (String(info.get('name')) === group) return info
  }
  throw new Error(`no group ${group}`)
}

describe('trimming', () => {
  it('removes what is settled and old enough', async () => {
    const link = await world.link()
    await appendAged(
      link,
      Array.from({ length: 50 }, (_, i) => 10_000 + i),
    )
    const fresh = await appendAged(link, [100, 90])
    await settle(link, await world.read(link, 'a'))
    const { trimmed, floor } = await trimSettled(link, keys, 5_000)
    expect(trimmed).toBe(50)
    expect(floor).toBe(fresh[1])
    expect(await entriesIn(link)).toEqual(fresh)
    expect(await world.balanced(link)).toMatchObject({ accepted: 52, settled: 52, unread: 0 })
  })

  it('keeps everything while nothing has been read', async () => {
    const link = await world.link()
    const ids = await appendAged(
      link,
      Array.from({ length: 50 }, (_, i) => 10_000 + i),
    )
    await ensureGroup(link, keys)
    expect(await trimSettled(link, keys, 0)).toEqual({ trimmed: 0, floor: '0-0' })
    expect(await entriesIn(link)).toEqual(ids)
    expect(await link.call('HGET', keys.ledger, 'floor')).toBeNull()
  })

  it('stops before the oldest pending entry, and saves the place before it as the floor', async () => {
    const link = await world.link()
    const ids = await appendAged(
      link,
      Array.from({ length: 40 }, (_, i) => 10_000 + i),
    )
    const entries = await world.read(link, 'a')
    await settle(
      link,
      entries.filter((_, index) => index !== 17),
    )
    const { floor } = await trimSettled(link, keys, 0)
    expect(compareStreamIds(floor, ids[16]!)).toBeGreaterThanOrEqual(0)
    expect(compareStreamIds(floor, ids[17]!)).toBeLessThan(0)
    expect(await entriesIn(link)).toEqual(ids.slice(15))
    expect(String(await link.call('HGET', keys.ledger, 'floor'))).toBe(floor)
  })

  it('saves a floor before an entry whose sequence number is 0', async () => {
    const link = await world.link()
    await link.call('XADD', keys.stream, '5000-0', ...world.admission().fields)
    await world.read(link, 'a')
    expect((await trimSettled(link, keys, 0)).floor).toBe('4999-18446744073709551615')
  })

  it('leaves parked and dead events alone: they hold their own copies', async () => {
    const link = await world.link()
    await appendAged(
      link,
      Array.from({ length: 20 }, (_, i) => 10_000 + i),
    )
    const entries = await world.read(link, 'a')
    await parkNow(link, entries[0]!)
    await buryNow(link, entries[1]!)
    await settle(link, entries.slice(2))
    expect((await trimSettled(link, keys, 0)).trimmed).toBeGreaterThanOrEqual(15)
    expect(await world.balanced(link)).toMatchObject({ parked: 1, dead: 1, settled: 18 })
  })

  it('waits for every group, also those of others', async () => {
    const link = await world.link()
    const ids = await appendAged(
      link,
      Array.from({ length: 30 }, (_, i) => 10_000 + i),
    )
    await link.call('XGROUP', 'CREATE', keys.stream, 'analytics', 0)
    await settle(link, await world.read(link, 'a'))
    expect((await trimSettled(link, keys, 0)).trimmed).toBe(0)
    await link.call('XREADGROUP', 'GROUP', 'analytics', 'x', 'COUNT', 12, 'STREAMS', keys.stream, '>')
    await link.call('XACK', keys.stream, 'analytics', ...ids.slice(0, 12))
    await trimSettled(link, keys, 0)
    expect(await entriesIn(link)).toEqual(ids.slice(10))
  })

  it('trims nothing while our own group is lost, whatever others have read', async () => {
    const link = await world.link()
    const ids = await appendAged(
      link,
      Array.from({ length: 30 }, (_, i) => 10_000 + i),
    )
    await link.call('XGROUP', 'CREATE', keys.stream, 'analytics', '$')
    expect(await trimSettled(link, keys, 0)).toEqual({ trimmed: 0, floor: '' })
    await world.read(link, 'a')
    await link.call('XGROUP', 'DESTROY', keys.stream, keys.group)
    expect((await trimSettled(link, keys, 0)).trimmed).toBe(0)
    expect(await entriesIn(link)).toEqual(ids)
  })

  it('does nothing without a stream or without groups', async () => {
    const link = await world.link()
    expect(await trimSettled(link, keys, 0)).toEqual({ trimmed: 0, floor: '' })
    await appendAged(link, [10_000])
    const before = await digest(link)
    expect(await trimSettled(link, keys, 0)).toEqual({ trimmed: 0, floor: '' })
    expect(await digest(link)).toBe(before)
  })

  it('works when Redis is out of memory: it is what frees memory', async () => {
    const link = await world.link()
    const ids = await appendAged(
      link,
      Array.from({ length: 50 }, (_, i) => 10_000 + i),
    )
    await settle(link, await world.read(link, 'a'))
    await outOfMemory(link, async () => {
      expect((await trimSettled(link, keys, 0)).trimmed).toBeGreaterThanOrEqual(45)
    })
    expect(String(await link.call('HGET', keys.ledger, 'floor'))).toBe(ids.at(-1))
  })

  it('never removes what is unread, pending or young, and the lag stays right behind it', async () => {
    const link = await world.link()
    const step = fc.oneof(
      fc.record({
        do: fc.constant('add' as const),
        ages: fc.array(fc.integer({ min: 0, max: 2_000 }), { minLength: 1, maxLength: 15 }),
      }),
      fc.record({
        do: fc.constant('read' as const),
        count: fc.integer({ min: 1, max: 20 }),
        foreign: fc.boolean(),
      }),
      fc.record({
        do: fc.constant('settle' as const),
        share: fc.integer({ min: 1, max: 4 }),
        foreign: fc.boolean(),
      }),
      fc.record({ do: fc.constant('trim' as const), keepMs: fc.constantFrom(0, 500, 1_000, 100_000) }),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.array(step, { minLength: 4, maxLength: 25 }),
        async (withForeign, steps) => {
          await link.call('FLUSHALL')
          await ensureGroup(link, keys)
          if (withForeign) await link.call('XGROUP', 'CREATE', keys.stream, 'foreign', 0)
          let base = (await redisTime(link)) - 100_000
          const all: string[] = []
          const groups = new Map(
            [keys.group, ...(withForeign ? ['foreign'] : [])].map((name) => [
              name,
              { read: 0, pending: [] as string[] },
            ]),
          )
          for (const each of steps) {
            const name = 'foreign' in each && each.foreign && withForeign ? 'foreign' : keys.group
            const group = groups.get(name)!
            if (each.do === 'add') {
              // Older than the trims' longest keeping here, or younger, as the property chose; ids only ever grow.
              for (const age of each.ages) {
                base = Math.max(base + 1, base + 3 * age)
                all.push(
                  String(await link.call('XADD', keys.stream, `${base}-1`, ...world.admission().fields)),
                )
              }
            } else if (each.do === 'read') {
              await link.call(
                'XREADGROUP',
                'GROUP',
                name,
                'a',
                'COUNT',
                each.count,
                'STREAMS',
                keys.stream,
                '>',
              )
              const upTo = Math.min(all.length, group.read + each.count)
              group.pending.push(...all.slice(group.read, upTo))
              group.read = upTo
            } else if (each.do === 'settle') {
              const gone = group.pending.filter((_, index) => index % each.share === 0)
              if (gone.length > 0) await link.call('XACK', keys.stream, name, ...gone)
              group.pending = group.pending.filter((_, index) => index % each.share !== 0)
            } else {
              const before = await redisTime(link)
              const there = await entriesIn(link)
              const { floor } = await trimSettled(link, keys, each.keepMs)
              const left = new Set(await entriesIn(link))
              for (const { read, pending } of groups.values()) {
                for (const id of [...all.slice(read), ...pending])
                  expect(left.has(id), `${id} was needed`).toBe(true)
              }
              for (const id of there) {
                if (Number(id.split('-')[0]) >= before - each.keepMs)
                  expect(left.has(id), `${id} is young`).toBe(true)
              }
              const own = groups.get(keys.group)!
              for (const id of own.pending) expect(compareStreamIds(id, floor)).toBeGreaterThan(0)
              for (const id of all.slice(own.read)) expect(compareStreamIds(id, floor)).toBeGreaterThan(0)
            }
            for (const [groupName, { read, pending }] of groups) {
              const info = await groupInfo(link, groupName)
              expect(info.get('lag')).toBe(all.length - read)
              expect(info.get('pending')).toBe(pending.length)
            }
          }
        },
      ),
      { numRuns: 60 },
    )
  })
})

describe('trimming all that is settled', () => {
  it('takes every entry behind what all groups have settled, the last one too, and the ledger balances', async () => {
    const link = await world.link()
    await appendAged(link, [3, 2, 1])
    const entries = await world.read(link, 'a')
    await settle(link, entries)
    expect(await trimAllSettled(link, keys)).toMatchObject({ trimmed: 3, floor: entries[2]!.streamId })
    expect(await entriesIn(link)).toEqual([])
    expect(await world.balanced(link)).toMatchObject({ accepted: 3, settled: 3, unread: 0 })
    // And the stream goes on as before.
    await world.accept(link)
    await settle(link, await world.read(link, 'a'))
    expect(await world.balanced(link)).toMatchObject({ accepted: 4, settled: 4, unread: 0, pending: 0 })
  })

  it('leaves what waits, what is in hand, and what another group has not read', async () => {
    const link = await world.link()
    const [one, two, three] = await appendAged(link, [30, 20, 10])
    await ensureGroup(link, keys)
    const [first] = await world.read(link, 'a', 1)
    const [second] = await world.read(link, 'a', 1)
    await settle(link, [first!])
    await trimAllSettled(link, keys)
    expect(await entriesIn(link)).toEqual([two, three])
    await settle(link, [second!])
    await link.call('XGROUP', 'CREATE', keys.stream, 'others', '0')
    expect(await trimAllSettled(link, keys)).toMatchObject({ trimmed: 0 })
    expect(await entriesIn(link)).toEqual([two, three])
    expect(one).toBe(first!.streamId)
    expect(await world.balanced(link)).toMatchObject({ accepted: 3, settled: 2, unread: 1 })
  })
})
