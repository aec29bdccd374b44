/** Contexts that are large, busy, or made anew, in every tier. */
import { randomBytes } from 'node:crypto'
import { createDictionarySet, loadBundledDictionaries } from '@weir/core/dictionaries'
import { deriveEventId, eventIdBytes, locatorOf } from '@weir/core/event'
import { createUnpacker } from '@weir/core/packing'
import { connectRedis, type RedisArg, type RedisLink } from '@weir/core/redis/link'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { collectOld, type MemoryStore, memoryStore } from '../../../../tests/support/cold.ts'
import {
  assembled,
  eventOf,
  pullRequest,
  recordOf,
  type TestContextsOptions,
} from '../../../../tests/support/contexts.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { contextIdOf } from '../context-id.ts'
import { identityBytes } from '../head.ts'
import { createAppends } from '../hot-append.ts'
import { removeInactive } from '../removal.ts'

const redis = useRedis({ appendfsync: 'no' })
const links: RedisLink[] = []
let link: RedisLink
let store: MemoryStore
const SITE_7 = contextIdOf('acme', 'github', 'acme/site#7')
const EVERYTHING = Number.MAX_SAFE_INTEGER

async function connect(): Promise<RedisLink> {
  const made = connectRedis({
    url: redis.url,
    commandTimeoutMs: 30_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 100,
    name: 'hard-cases',
  })
  links.push(made)
  await made.ready()
  return made
}
beforeEach(async () => {
  store = memoryStore()
  link = await connect()
})
afterEach(() => Promise.all(links.splice(0).map((each) => each.close())))

const world = (through = link, more: TestContextsOptions = {}) => assembled(through, { store, ...more })
/** Every event is a segment by itself. */
const APART = { segmentBytes: 1 }
type World = ReturnType<typeof world>

const MOVES = {
  cool: ({ mover }: World) => mover.cool(SITE_7, 1),
  freeze: ({ mover }: World) => mover.freeze(SITE_7),
  thaw: ({ mover }: World) => mover.thaw(SITE_7, EVERYTHING),
  heat: ({ mover }: World) => mover.heat(SITE_7, EVERYTHING),
}
const ROUND = ['cool', 'freeze', 'thaw', 'heat'] as const

async function append({ contexts }: World, delivery: string, more = {}) {
  const { record, body } = recordOf({ delivery, json: pullRequest(7, 'edited', more) })
  await contexts.append(eventOf(record), record)
  return { id: record.id, body }
}
const objects = () => [...store.objects.keys()].filter((name) => name.startsWith('contexts/'))
const idsOf = async ({ contexts }: World) =>
  (await contexts.read(SITE_7))?.timeline.map(({ eventId }) => eventId)

/** A link that does this before it runs a script of that name, and may change what it is given. */
const before = (
  script: string,
  act: (args: readonly RedisArg[]) => Promise<readonly RedisArg[]>,
): RedisLink => ({
  ...link,
  run: async (asked, keys, args) => link.run(asked, keys, asked.name === script ? await act(args) : args),
})

describe('a context', () => {
  it('of 50,000 events goes through every tier', async () => {
    const all = world()
    const { contexts, keys } = all
    const { id: first } = await append(all, 'first')
    // What a consumer puts there, but for the ids: making it 50,000 times takes longer than all that is tested.
    const [log, raw] = await Promise.all(
      [keys.log(SITE_7), keys.raw(SITE_7)].map(async (key) => (await link.call('LINDEX', key, 0)) as Buffer),
    )
    const ids = [
      first,
      ...Array.from({ length: 49_999 }, (_, n) =>
        deriveEventId(locatorOf('acme', 'github', { kind: 'delivery-id', value: `${n}` })),
      ),
    ]
    const identity = identityBytes((await link.call('GET', keys.head(SITE_7))) as Buffer)
    const appends = createAppends()
    const place = { link, keys }
    for (let from = 1; from < ids.length; from += 1_000) {
      await Promise.all(
        ids.slice(from, from + 1_000).map((id) => {
          const eventId = eventIdBytes(id)
          const [digest, rest] = [log, raw].map((element) => Buffer.concat([eventId, element!.subarray(16)]))
          return appends.append(place, SITE_7, {
            eventId,
            identity,
            digest: digest!,
            record: rest!,
            receivedAt: 1,
          })
        }),
      )
    }
    const sorted = ids.toSorted().join()
    // So many at once at most, as Redis does nothing else while a script makes them hot again.
    const largest = async () => {
      const fields = (await link.call('HKEYS', keys.parts(SITE_7))) as Buffer[]
      return Math.max(0, ...fields.map((field) => Number(String(field).split(':')[1])))
    }
    for (const move of ROUND) {
      expect(await MOVES[move](all), move).toMatchObject({ kind: 'moved' })
      expect((await idsOf(all))?.toSorted().join() === sorted, move).toBe(true)
      expect(await largest(), move).toBeLessThanOrEqual(2_000)
      for (const at of [0, 1_999, 2_000, 49_999])
        expect((await all.contexts.record(SITE_7, ids[at]!))?.id).toBe(ids[at])
    }
    expect(await link.call('EXISTS', all.keys.warm)).toBe(0)
    await append(all, 'first')
    expect((await contexts.read(SITE_7, { limit: 1 }))?.events).toBe(50_000)
  })

  it('with an event of 10 MB that does not pack keeps it, byte for byte', async () => {
    const all = world()
    const before = await append(all, 'before')
    const large = await append(all, 'large', { body: randomBytes(7_500_000).toString('base64') })
    expect(large.body.length).toBeGreaterThan(10_000_000)
    const after = await append(all, 'after')
    const unpacker = createUnpacker(createDictionarySet(loadBundledDictionaries()))
    for (const move of ROUND) {
      expect(await MOVES[move](all), move).toMatchObject({ kind: 'moved' })
      for (const { id, body } of [before, large, after])
        expect(unpacker.unpack((await all.contexts.record(SITE_7, id))!).body.equals(body), move).toBe(true)
    }
  })

  it('to which two consumers append the same events at once, while it moves, has each of them once', async () => {
    const [one, two, mover] = [world(), world(await connect()), world(await connect())]
    const deliveries = Array.from({ length: 60 }, (_, n) => `${n}`)
    let consuming = true
    const consumers = Promise.all([
      Promise.all(deliveries.map((delivery) => append(one, delivery))),
      Promise.all(deliveries.toReversed().map((delivery) => append(two, delivery))),
    ]).finally(() => {
      consuming = false
    })
    while (consuming) for (const move of ROUND) await MOVES[move](mover)
    const [sent] = await consumers
    expect((await idsOf(one))?.toSorted()).toEqual(sent.map(({ id }) => id).toSorted())
    expect((await one.contexts.read(SITE_7))?.events).toBe(60)
    for (const { id } of sent) expect((await two.contexts.record(SITE_7, id))?.id).toBe(id)
  })

  it('whose events arrive in another order than they happened in tells them as they happened, in every tier', async () => {
    const all = world()
    const at = (second: number) => new Date(1_600_000_000_000 + second * 1_000).toISOString()
    const ids: string[] = []
    for (const second of [3, 1, 4, 0, 2]) {
      const { id } = await append(all, `${second}`, { updated_at: at(second) })
      ids[second] = id
      if (second === 4) await MOVES.cool(all)
    }
    for (const move of ROUND) {
      await MOVES[move](all)
      expect(await idsOf(all), move).toEqual(ids)
    }
  })
})

describe('a context that is removed and made anew while somebody moves it', () => {
  it.each([
    ['cool', 'cool-context', []],
    ['freeze', 'freeze-context', ['cool']],
    ['thaw', 'thaw-context', ['cool', 'freeze']],
    ['heat', 'heat-context', ['cool']],
  ] as const)('%s: has its new events, and none of the old', async (move, script, before) => {
    for (const then of [[], before]) {
      await link.call('FLUSHALL')
      const all = world()
      for (const n of [1, 2]) await append(all, `old ${n}`)
      for (const step of before) await MOVES[step](all)
      const fresh: string[] = []
      const overtaken: RedisLink = {
        ...link,
        async run(asked, keys, args) {
          if (asked.name === script && fresh.length === 0) {
            await link.call('ZADD', all.keys.active, 1, SITE_7)
            expect(await removeInactive([all.place], { inactiveMs: 0, dryRun: false })).toMatchObject({
              contexts: 1,
            })
            for (const n of [1, 2]) fresh.push((await append(all, `new ${n}`)).id)
            for (const step of then) await MOVES[step](all)
          }
          return link.run(asked, keys, args)
        },
      }
      expect(await MOVES[move](world(overtaken))).toEqual({ kind: 'active' })
      expect(fresh).toHaveLength(2)
      await collectOld(all)
      expect(await idsOf(all)).toEqual(fresh)
      for (const id of fresh) expect((await all.contexts.record(SITE_7, id))?.id).toBe(id)
    }
  })
})

describe('a move whose script', () => {
  it.each([
    ['cool', 'cool-context', []],
    ['thaw', 'thaw-context', ['cool', 'freeze']],
  ] as const)('%s: gets other bytes than were sent changes nothing', async (move, script, steps) => {
    const all = world()
    const ids = [(await append(all, 'a')).id, (await append(all, 'b')).id]
    for (const step of steps) await MOVES[step](all)
    const damaging = before(script, async (args) =>
      args.map((arg) =>
        Buffer.isBuffer(arg) && arg.length > 60 ? Buffer.concat([arg, Buffer.from('!')]) : arg,
      ),
    )
    expect(await MOVES[move](world(damaging))).toEqual({ kind: 'active' })
    expect(await idsOf(all)).toEqual(ids)
    expect(await MOVES[move](all)).toMatchObject({ kind: 'moved' })
    expect(await idsOf(all)).toEqual(ids)
  })

  it('finds the part before frozen by another changes nothing', async () => {
    const all = world()
    const ids = [(await append(all, 'a')).id]
    await MOVES.cool(all)
    ids.push((await append(all, 'b')).id)
    const overtaken = before('cool-context', async (args) => {
      await MOVES.freeze(all)
      return args
    })
    expect(await MOVES.cool(world(overtaken))).toEqual({ kind: 'active' })
    expect((await all.contexts.read(SITE_7))?.tier).toBe('hot')
    expect(await idsOf(all)).toEqual(ids)
  })

  it('cools some of many events leaves the others to be looked at again', async () => {
    const all = world()
    await append(all, 'a')
    const overtaken = before('cool-context', async (args) => {
      await append(all, 'b')
      return args
    })
    expect(await MOVES.cool(world(overtaken))).toEqual({ kind: 'moved', parts: 1 })
    expect(await link.call('ZCARD', all.keys.hot)).toBe(1)
    expect((await all.contexts.list({ limit: 1 })).map(({ tier }) => tier)).toEqual(['hot'])
  })
})

describe('a move that another one has overtaken', () => {
  it('cool: takes no event that came since', async () => {
    const all = world()
    const ids = [(await append(all, 'a')).id, (await append(all, 'b')).id]
    const overtaken = before('cool-context', async (args) => {
      await MOVES.cool(all)
      ids.push((await append(all, 'c')).id)
      return args
    })
    expect(await MOVES.cool(world(overtaken))).toEqual({ kind: 'active' })
    expect(await idsOf(all)).toEqual(ids)
  })

  it('heat: puts nothing behind what is newer', async () => {
    const all = world(link, APART)
    const ids = [(await append(all, 'a')).id]
    await MOVES.cool(all)
    const overtaken = before('heat-context', async (args) => {
      if (ids.length === 1) {
        ids.push((await append(all, 'b')).id)
        await MOVES.cool(all)
      }
      return args
    })
    expect(await MOVES.heat(world(overtaken, APART))).toEqual({ kind: 'active' })
    for (const id of ids) expect((await all.contexts.record(SITE_7, id))?.id).toBe(id)
    expect(await idsOf(all)).toEqual(ids)
  })

  it('freeze: leaves the object of the other one, and no object that nothing refers to', async () => {
    const all = world()
    const ids = [(await append(all, 'a')).id]
    await MOVES.cool(all)
    const overtaken = before('freeze-context', async (args) => {
      await MOVES.freeze(all)
      await MOVES.thaw(all)
      return args
    })
    expect(await MOVES.freeze(world(overtaken))).toEqual({ kind: 'active' })
    await collectOld(all)
    expect(objects()).toHaveLength(1)
    await MOVES.freeze(all)
    expect(await idsOf(all)).toEqual(ids)
  })

  it('freeze: by somebody who reads it leaves it warm', async () => {
    const all = world()
    await append(all, 'a')
    await MOVES.cool(all)
    const active = String(await link.call('ZSCORE', all.keys.active, SITE_7))
    const overtaken = before('freeze-context', async (args) => {
      // Later than it was, by any clock.
      await link.call('ZINCRBY', all.keys.active, 1, SITE_7)
      return args
    })
    expect(await world(overtaken).mover.freeze(SITE_7, active)).toEqual({ kind: 'active' })
    expect((await all.contexts.read(SITE_7))?.tier).toBe('warm')
  })
})

describe('a context of several parts', () => {
  it('of which one is made hot, or cold, is looked at again for the other', async () => {
    const all = world(link, APART)
    const ids = [(await append(all, 'a')).id, (await append(all, 'b')).id]
    await MOVES.cool(all)
    const warm = () => link.call('ZCARD', all.keys.warm)
    expect(await all.mover.heat(SITE_7, 1)).toEqual({ kind: 'moved', parts: 1 })
    expect(await warm()).toBe(1)
    await MOVES.cool(all)
    let puts = 0
    const failing = world(link, {
      ...APART,
      store: {
        ...store,
        async put(name, bytes) {
          if (name.startsWith('contexts/') && ++puts > 1) throw new Error('killed')
          await store.put(name, bytes)
        },
      },
    })
    await expect(MOVES.freeze(failing)).rejects.toThrow('killed')
    expect(await warm()).toBe(1)
    expect(await MOVES.freeze(all)).toEqual({ kind: 'moved', parts: 1 })
    expect(await warm()).toBe(0)
    expect(await idsOf(all)).toEqual(ids)
  })

  it('keeps the object of one that is hot while another one goes cold again', async () => {
    const all = world(link, APART)
    const ids = [(await append(all, 'a')).id, (await append(all, 'b')).id]
    for (const step of ['cool', 'freeze', 'thaw'] as const) await MOVES[step](all)
    await all.mover.heat(SITE_7, 1)
    expect(await MOVES.freeze(all)).toEqual({ kind: 'moved', parts: 1 })
    await collectOld(all)
    expect(objects()).toHaveLength(2)
    expect(await idsOf(all)).toEqual(ids)
  })
})

describe('an object', () => {
  it('that is not read from any more is kept until others hold its events', async () => {
    const all = world()
    const ids = [(await append(all, 'a')).id]
    for (const step of ['cool', 'freeze', 'thaw'] as const) await MOVES[step](all)
    ids.push((await append(all, 'b')).id)
    // One segment of both, in Redis alone.
    await MOVES.cool(all)
    await collectOld(all)
    const [before] = objects()
    expect(objects()).toHaveLength(1)
    await MOVES.freeze(all)
    await collectOld(all)
    expect(objects()).toHaveLength(1)
    expect(objects()).not.toEqual([before])
    expect(await idsOf(all)).toEqual(ids)
  })
})
