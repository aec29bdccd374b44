import { describe, expect, it } from 'vitest'
import { movesOf } from '../../../../tests/heart/moves.ts'
import { passed, redisTime, useWorld } from '../../../../tests/heart/world.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { ensureGroup } from './group.ts'
import { claimPending, entriesOf, listPending, removeConsumers } from './reclaim.ts'

const world = useWorld()
const { keys } = world
const { held, settle, takeOver } = movesOf(world)

async function consumersOf(link: RedisLink): Promise<string[]> {
  const reply = (await link.call('XINFO', 'CONSUMERS', keys.stream, keys.group)) as RedisReply[][]
  return reply.map((flat) => String(flat[1])).sort()
}

const waitMs = async (link: RedisLink, ms: number) => passed(link, (await redisTime(link)) + ms)

describe('listPending', () => {
  it('pages through the pending entries, oldest first, of one consumer or of all', async () => {
    const link = await world.link()
    await ensureGroup(link, keys)
    for (let i = 0; i < 5; i++) await world.accept(link)
    const mine = await world.read(link, 'a', 3)
    const theirs = await world.read(link, 'b', 2)
    const ids = [...mine, ...theirs].map(({ streamId }) => streamId)
    const first = await listPending(link, keys, { count: 2 })
    expect(first.map(({ streamId }) => streamId)).toEqual(ids.slice(0, 2))
    expect(first[0]).toMatchObject({ consumer: 'a', deliveries: 1 })
    const rest = await listPending(link, keys, { count: 10, after: first[1]!.streamId })
    expect(rest.map(({ streamId }) => streamId)).toEqual(ids.slice(2))
    expect(
      (await listPending(link, keys, { count: 10, consumer: 'b' })).map(({ streamId }) => streamId),
    ).toEqual(ids.slice(3))
    expect(await listPending(link, keys, { count: 10, consumer: 'nobody' })).toEqual([])
  })

  it('leaves out those that are not idle long enough', async () => {
    const link = await world.link()
    const old = await held(link)
    await waitMs(link, 350)
    const fresh = await held(link)
    const idle = await listPending(link, keys, { count: 10, idleMs: 300 })
    expect(idle.map(({ streamId }) => streamId)).toEqual([old.entry.streamId])
    expect(await listPending(link, keys, { count: 10 })).toHaveLength(2)
    expect(fresh.entry.streamId).not.toBe(old.entry.streamId)
  })
})

describe('claimPending', () => {
  it('takes entries over with their fields, and counts the delivery', async () => {
    const link = await world.link()
    const { admission, entry } = await held(link, { body: 'bytes \0\x80' })
    const [claimed] = await claimPending(link, keys, 'b', 0, [entry.streamId])
    expect(claimed).toEqual({
      streamId: entry.streamId,
      fields: admission.fields.map((field) => Buffer.from(field as string)),
    })
    expect(await listPending(link, keys, { count: 1 })).toMatchObject([{ consumer: 'b', deliveries: 2 }])
  })

  it('leaves entries alone that were renewed or settled meanwhile', async () => {
    const link = await world.link()
    const busy = await held(link)
    const done = await held(link)
    await settle(link, [done.entry])
    expect(await claimPending(link, keys, 'b', 60_000, [busy.entry.streamId, done.entry.streamId])).toEqual(
      [],
    )
    expect(await listPending(link, keys, { count: 10 })).toMatchObject([{ consumer: 'a' }])
  })

  it('is won by one of two consumers that claim at the same moment', async () => {
    const [one, two] = [await world.link(), await world.link()]
    const { entry } = await held(one)
    await waitMs(one, 30)
    const claims = await Promise.all([
      claimPending(one, keys, 'b', 25, [entry.streamId]),
      claimPending(two, keys, 'c', 25, [entry.streamId]),
    ])
    expect(claims.flat()).toHaveLength(1)
  })

  it('drops entries that no longer exist, and the ledger says that they are missing', async () => {
    const link = await world.link()
    const { entry } = await held(link)
    await link.call('XDEL', keys.stream, entry.streamId)
    expect(await claimPending(link, keys, 'b', 0, [entry.streamId])).toEqual([])
    expect(await listPending(link, keys, { count: 10 })).toEqual([])
  })

  it('asks for nothing when there is nothing to ask for', async () => {
    const link = await world.link()
    expect(await claimPending(link, keys, 'b', 0, [])).toEqual([])
  })
})

describe('entriesOf', () => {
  it('keeps entries whose fields are gone, and skips empty places', () => {
    const fields = [Buffer.from('a'), Buffer.from('b')]
    expect(entriesOf([[Buffer.from('1-0'), fields], null, [Buffer.from('2-0'), null]])).toEqual([
      { streamId: '1-0', fields },
      { streamId: '2-0', fields: null },
    ])
  })

  it('reads what a history read says of a trimmed entry', async () => {
    const link = await world.link()
    const { entry } = await held(link)
    await link.call('XTRIM', keys.stream, 'MAXLEN', 0)
    const args = ['GROUP', keys.group, 'a', 'COUNT', 10, 'STREAMS', keys.stream, '0']
    const reply = (await link.call('XREADGROUP', ...args)) as RedisReply[][]
    expect(entriesOf(reply[0]![1] as RedisReply[])).toEqual([{ streamId: entry.streamId, fields: null }])
  })
})

describe('removeConsumers', () => {
  it('removes the one that leaves, if it owns nothing', async () => {
    const link = await world.link()
    const { entry } = await held(link)
    await link.call('HSET', keys.consumers, 'a', '{}')
    expect(await removeConsumers(link, keys, { name: 'a' })).toEqual([])
    expect(await listPending(link, keys, { count: 10 })).toHaveLength(1)
    await settle(link, [entry])
    expect(await removeConsumers(link, keys, { name: 'a' })).toEqual(['a'])
    expect(await consumersOf(link)).toEqual([])
    expect(await link.call('HEXISTS', keys.consumers, 'a')).toBe(0)
    expect(await removeConsumers(link, keys, { name: 'a' })).toEqual([])
  })

  it('removes those that were idle for so long and own nothing; never what is pending', async () => {
    const link = await world.link()
    const { entry: dead } = await held(link)
    await link.call('XGROUP', 'CREATECONSUMER', keys.stream, keys.group, 'gone')
    await waitMs(link, 350)
    await link.call('XGROUP', 'CREATECONSUMER', keys.stream, keys.group, 'new')
    expect(await removeConsumers(link, keys, { idleMs: 300 })).toEqual(['gone'])
    expect(await consumersOf(link)).toEqual(['a', 'new'])
    await takeOver(link, dead, 'new')
    expect(await removeConsumers(link, keys, { idleMs: 300 })).toEqual(['a'])
    expect(await listPending(link, keys, { count: 10 })).toMatchObject([{ consumer: 'new' }])
  })

  it('has nothing to do without a stream, or while the group is lost', async () => {
    const link = await world.link()
    expect(await removeConsumers(link, keys, { idleMs: 0 })).toEqual([])
    await held(link)
    await link.call('XGROUP', 'DESTROY', keys.stream, keys.group)
    expect(await removeConsumers(link, keys, { idleMs: 0 })).toEqual([])
    expect(await removeConsumers(link, keys, { name: 'a' })).toEqual([])
  })
})
