/** When contexts leave a tier, and when they stay. */

import { Fault } from '@weir/core/faults'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type MemoryStore, memoryStore } from '../../../../tests/support/cold.ts'
import { assembled, eventOf, pullRequest, recordOf } from '../../../../tests/support/contexts.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import type { ColdStore } from '../cold/cold-store.ts'
import { contextIdOf } from '../context-id.ts'
import type { Mover } from './mover.ts'
import { createSweep, type StayRules, type SweepResult } from './sweep.ts'

const redis = useRedis()
let link: RedisLink
let memory: MemoryStore
let away = false

beforeEach(async () => {
  memory = memoryStore()
  away = false
  link = connectRedis({
    url: redis.url,
    commandTimeoutMs: 5_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 100,
    name: 'sweep',
  })
  await link.ready()
})
afterEach(() => link.close())

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const RULES: StayRules = {
  hotMs: 30 * MINUTE,
  warmMs: 24 * HOUR,
  hotImportance: 0.8,
  warmImportance: 0.5,
  accesses: 10,
}
const idOf = (number: number) => contextIdOf('acme', 'github', `acme/site#${number}`)

interface More {
  readonly batch?: number
  readonly concurrency?: number
  /** Does instead what is given of it. */
  readonly mover?: (mover: Mover) => Partial<Mover>
}

function worldOf(rules: Partial<StayRules> = {}, { batch = 3, concurrency = 2, mover }: More = {}) {
  const answer = async <T>(act: () => Promise<T>): Promise<T> => {
    if (away) throw new Fault('COLD_UNAVAILABLE', 'cold storage is away')
    return act()
  }
  const store: ColdStore = {
    ...memory,
    put: (name, bytes) => answer(() => memory.put(name, bytes)),
    get: (name) => answer(() => memory.get(name)),
    delete: (name) => answer(() => memory.delete(name)),
  }
  const all = assembled(link, { store })
  const told: [string, SweepResult, string][] = []
  const sweep = createSweep({
    places: [all.place],
    mover: { ...all.mover, ...mover?.(all.mover) },
    archive: all.archive,
    read: (id, look) => all.contexts.read(id, look && { look }),
    rules: { ...RULES, ...rules },
    batch,
    concurrency,
    promoteBytes: 8 << 20,
    now: () => Date.now(),
    tell: (move, result, id) => void told.push([move, result, id]),
  })
  const append = async (number: number, delivery: string, more: Readonly<Record<string, unknown>> = {}) => {
    const { record } = recordOf({ delivery, json: pullRequest(number, 'edited', more) })
    await all.contexts.append(eventOf(record), record)
  }
  /** As if nothing had happened to it for so long, and it had been looked at as always. */
  const lieStill = async (number: number, ms: number) => {
    for (const zset of [all.keys.active, all.keys.hot, all.keys.warm])
      if ((await link.call('ZSCORE', zset, idOf(number))) !== null)
        await link.call('ZINCRBY', zset, -ms, idOf(number))
  }
  const tiers = async () =>
    Object.fromEntries((await all.contexts.list({ limit: 100 })).map(({ subject, tier }) => [subject, tier]))
  return { all, sweep, told, append, lieStill, tiers }
}

describe('a sweep', () => {
  it('cools eight contexts at once at most, and freezes as many as it is allowed to', async () => {
    const most = { cool: 0, freeze: 0 }
    const under = { cool: 0, freeze: 0 }
    const counted = async <T>(move: 'cool' | 'freeze', act: () => Promise<T>): Promise<T> => {
      most[move] = Math.max(most[move], ++under[move])
      try {
        return await act()
      } finally {
        under[move]--
      }
    }
    const { sweep, append, lieStill, tiers } = worldOf(
      {},
      {
        batch: 20,
        concurrency: 16,
        mover: (mover) => ({
          cool: (...args) => counted('cool', () => mover.cool(...args)),
          freeze: (...args) => counted('freeze', () => mover.freeze(...args)),
        }),
      },
    )
    const numbers = Array.from({ length: 20 }, (_, n) => n)
    for (const n of numbers) await append(n, `${n}`)
    for (const n of numbers) await lieStill(n, 31 * MINUTE)
    await sweep.run()
    for (const n of numbers) await lieStill(n, 24 * HOUR)
    await sweep.run()
    expect(new Set(Object.values(await tiers()))).toEqual(new Set(['cold']))
    expect(most).toEqual({ cool: 8, freeze: 16 })
  })
})

describe('a context', () => {
  it('goes warm after hot_duration and cold after warm_duration, both counted from its last event', async () => {
    const { sweep, append, lieStill, tiers } = worldOf()
    for (const n of [1, 2, 3, 4, 5]) await append(n, `${n}`)
    for (const n of [1, 2, 3, 4]) await lieStill(n, 31 * MINUTE)
    expect(await sweep.run()).toMatchObject({ coldAway: undefined })
    expect(Object.values(await tiers()).sort()).toEqual(['hot', 'warm', 'warm', 'warm', 'warm'])
    for (const n of [1, 2]) await lieStill(n, 24 * HOUR)
    await sweep.run()
    expect(Object.values(await tiers()).sort()).toEqual(['cold', 'cold', 'hot', 'warm', 'warm'])
    expect(memory.objects.size).toBeGreaterThanOrEqual(2)
    await append(1, 'again')
    expect((await tiers())['acme/site#1']).toBe('hot')
  })

  it('stays hot for one more period at a time while it is important enough, and no longer', async () => {
    const { all, sweep, append, lieStill, tiers, told } = worldOf({ hotImportance: 0.2 })
    await append(1, 'a')
    await lieStill(1, 31 * MINUTE)
    await sweep.run()
    expect(told).toEqual([['cool', 'extended', idOf(1)]])
    await sweep.run()
    expect(told).toHaveLength(1)
    await lieStill(1, 30 * MINUTE)
    await sweep.run()
    expect(told).toHaveLength(2)
    const strict = worldOf({ hotImportance: 0.99 })
    await lieStill(1, 30 * MINUTE)
    await strict.sweep.run()
    expect(strict.told).toEqual([['cool', 'moved', idOf(1)]])
    expect(await tiers()).toEqual({ 'acme/site#1': 'warm' })
    expect((await all.contexts.read(idOf(1)))?.timeline).toHaveLength(1)
  })

  it('is frozen when it is due, however fast others become due for cooling meanwhile', async () => {
    let flowing = false
    let number = 10
    const world = worldOf(
      {},
      {
        batch: 1,
        mover: ({ cool }) => ({
          async cool(...args) {
            if (flowing && number < 30) {
              await world.append(++number, `${number}`)
              await world.lieStill(number, 30 * MINUTE)
            }
            return cool(...args)
          },
        }),
      },
    )
    await world.append(1, '1')
    await world.lieStill(1, 31 * MINUTE)
    await world.sweep.run()
    await world.lieStill(1, 24 * HOUR)
    await world.append(2, '2')
    await world.lieStill(2, 31 * MINUTE)
    flowing = true
    await world.sweep.run()
    expect(world.told.slice(1)).toEqual([
      ['cool', 'moved', idOf(2)],
      ['freeze', 'moved', idOf(1)],
    ])
    await world.sweep.run()
    expect(world.told.slice(3)).toEqual([['cool', 'moved', idOf(11)]])
  })

  it('stays while it is read often, and an access counts as an event does', async () => {
    const { all, sweep, append, lieStill, told } = worldOf({ accesses: 3 })
    await append(1, 'a')
    for (let n = 0; n < 3; n++) await all.contexts.read(idOf(1), { access: true })
    await lieStill(1, 31 * MINUTE)
    await sweep.run()
    expect(told).toEqual([['cool', 'extended', idOf(1)]])
    await append(2, 'b')
    await lieStill(2, 31 * MINUTE)
    await all.contexts.read(idOf(2), { access: true })
    await sweep.run()
    expect(told).toHaveLength(1)
  })

  it('is brought nearer by an access: cold to warm, warm to hot', async () => {
    const { all, sweep, append, tiers, told } = worldOf({ warmMs: 24 * HOUR })
    await append(1, 'a')
    await all.mover.cool(idOf(1), Date.now())
    await all.mover.freeze(idOf(1))
    await all.contexts.read(idOf(1))
    await sweep.run()
    expect(await tiers()).toEqual({ 'acme/site#1': 'cold' })
    await all.contexts.read(idOf(1), { access: true })
    await sweep.run()
    expect(await tiers()).toEqual({ 'acme/site#1': 'warm' })
    await all.contexts.read(idOf(1), { access: true })
    await sweep.run()
    expect(await tiers()).toEqual({ 'acme/site#1': 'hot' })
    expect(told.map(([move, result]) => `${move} ${result}`)).toEqual(['thaw moved', 'heat moved'])
    expect(await link.call('ZCARD', all.keys.wanted)).toBe(0)
  })

  it('that gets an event while it is being cooled stays hot', async () => {
    const { all, append, lieStill, sweep, told } = worldOf(
      {},
      {
        mover: ({ cool }) => ({
          cool: async (...args) => {
            await append(1, 'b')
            return cool(...args)
          },
        }),
      },
    )
    await append(1, 'a')
    await lieStill(1, HOUR)
    await sweep.run()
    expect(told).toEqual([['cool', 'active', idOf(1)]])
    expect(await all.contexts.read(idOf(1))).toMatchObject({ tier: 'hot', events: 2 })
  })

  it('of which an event is damaged goes on as it is', async () => {
    const { all, append, lieStill, sweep, told } = worldOf()
    await append(1, 'a')
    await link.call('LSET', all.keys.log(idOf(1)), 0, '1234567890123456[not JSON')
    await lieStill(1, 31 * MINUTE)
    await sweep.run()
    expect(told).toEqual([['cool', 'moved', idOf(1)]])
  })

  it('that gets an event while it is given one more period stays from that event on', async () => {
    const { all, append, lieStill, sweep, told } = worldOf(
      { hotImportance: 0 },
      {
        mover: ({ cool }) => ({
          cool: async (...args) => {
            const outcome = await cool(...args)
            await append(1, 'b')
            return outcome
          },
        }),
      },
    )
    await append(1, 'a')
    await lieStill(1, 31 * MINUTE)
    await sweep.run()
    expect(told).toEqual([['cool', 'active', idOf(1)]])
    expect(await link.call('ZSCORE', all.keys.hot, idOf(1))).toEqual(
      await link.call('ZSCORE', all.keys.active, idOf(1)),
    )
  })

  it('that becomes hot while nothing of it is found there is looked at again later', async () => {
    const { all, append, sweep, told } = worldOf(
      {},
      {
        mover: ({ cool }) => ({
          cool: async (...args) => {
            const outcome = await cool(...args)
            await append(1, 'b')
            return outcome
          },
        }),
      },
    )
    await append(1, 'a')
    await all.mover.cool(idOf(1), Date.now())
    await link.call('ZADD', all.keys.hot, 1, idOf(1))
    await sweep.run()
    expect(told).toEqual([['cool', 'nothing', idOf(1)]])
    expect(Number(await link.call('ZSCORE', all.keys.hot, idOf(1)))).toBeGreaterThan(1)
  })

  it('that becomes warm while nothing of it is found there is looked at again later', async () => {
    const { all, append, sweep, told } = worldOf(
      {},
      {
        mover: ({ freeze }) => ({
          freeze: async (...args) => {
            const outcome = await freeze(...args)
            await append(1, 'b')
            await all.mover.cool(idOf(1), 7)
            return outcome
          },
        }),
      },
    )
    await append(1, 'a')
    await all.mover.cool(idOf(1), 1)
    await all.mover.freeze(idOf(1))
    await link.call('ZADD', all.keys.warm, 1, idOf(1))
    await link.call('ZADD', all.keys.active, 1, idOf(1))
    await sweep.run()
    expect(told).toEqual([['freeze', 'nothing', idOf(1)]])
    expect(String(await link.call('ZSCORE', all.keys.warm, idOf(1)))).toBe('7')
  })

  it('of which nothing is there any more is looked at no more', async () => {
    const { all, sweep } = worldOf()
    for (const zset of [all.keys.hot, all.keys.warm]) await link.call('ZADD', zset, 1, idOf(1))
    await sweep.run()
    expect(await link.call('DBSIZE')).toBe(0)
  })
})

describe('a sweep', () => {
  it('while cold storage is away moves what needs none, tells it, and goes on when it is back', async () => {
    const { sweep, append, lieStill, tiers } = worldOf()
    for (const n of [1, 2, 3, 4]) await append(n, `${n}`)
    for (const n of [1, 2, 3, 4]) await lieStill(n, 31 * MINUTE)
    await sweep.run()
    for (const n of [1, 2, 3, 4]) await lieStill(n, 24 * HOUR)
    await append(5, 'e')
    await lieStill(5, HOUR)
    away = true
    expect((await sweep.run()).coldAway?.message).toContain('away')
    expect(Object.values(await tiers())).toEqual(Array(5).fill('warm'))
    away = false
    // Those that were claimed come up again when their claim is over.
    for (const n of [1, 2, 3, 4]) await lieStill(n, HOUR)
    expect(await sweep.run()).toMatchObject({ coldAway: undefined })
    expect(Object.values(await tiers()).sort()).toEqual(['cold', 'cold', 'cold', 'cold', 'warm'])
  })

  it('does not look at what another one has claimed', async () => {
    const { sweep, append, lieStill, told } = worldOf({}, { batch: 100 })
    for (let n = 0; n < 40; n++) {
      await append(n, `${n}`)
      await lieStill(n, HOUR)
    }
    const other = worldOf({}, { batch: 100 })
    await Promise.all([sweep.run(), other.sweep.run()])
    const looked = [...told, ...other.told]
    expect(looked).toHaveLength(40)
    expect(new Set(looked.map(([, result]) => result))).toEqual(new Set(['moved']))
  })

  it('passes over a context that cannot be opened, and over one at which it fails: the others are moved', async () => {
    const { all, sweep, append, lieStill, tiers, told } = worldOf(
      {},
      {
        mover: ({ cool }) => ({
          cool: async (id, ...args) => {
            if (id === idOf(2)) throw new TypeError('a mistake')
            return cool(id, ...args)
          },
        }),
      },
    )
    for (const n of [1, 2, 3, 4, 5]) await append(n, `${n}`)
    for (const n of [1, 2, 3, 4, 5]) await lieStill(n, (40 - n) * MINUTE)
    await link.call('SETRANGE', all.keys.head(idOf(1)), 35, 'no identity')
    await sweep.run()
    const stuck = told.filter(([, result]) => result === 'stuck').map(([, , id]) => id)
    expect(stuck.sort()).toEqual([idOf(1), idOf(2)].sort())
    expect(await tiers()).toEqual({
      'acme/site#2': 'hot',
      ...Object.fromEntries([3, 4, 5].map((n) => [`acme/site#${n}`, 'warm'])),
    })
  })

  it('relieves a Redis that is out of memory, whatever is wanted', async () => {
    const { all, sweep, append, lieStill, tiers } = worldOf({ hotImportance: 0.99 })
    for (const n of [1, 2, 3, 4, 5]) await append(n, `${n}`)
    for (const n of [1, 2]) await all.mover.cool(idOf(n), 1)
    await all.mover.freeze(idOf(1))
    for (const n of [1, 2]) await all.contexts.read(idOf(n), { access: true })
    for (const n of [3, 4, 5]) await lieStill(n, HOUR)
    const client = redis.client()
    const memory = (bytes: number) => client.config('SET', 'maxmemory', bytes)
    try {
      await memory(1)
      await expect(append(3, 'more')).rejects.toMatchObject({ code: 'REDIS_OUT_OF_MEMORY' })
      await sweep.run()
      expect(Object.values(await tiers()).sort()).toEqual(['cold', 'warm', 'warm', 'warm', 'warm'])
      await memory(0)
      for (const n of [2, 3, 4, 5]) await lieStill(n, 25 * HOUR)
      await memory(1)
      await sweep.run()
      expect(Object.values(await tiers())).toEqual(Array(5).fill('cold'))
    } finally {
      await memory(0)
    }
    await sweep.run()
    expect(Object.values(await tiers()).sort()).toEqual(['cold', 'cold', 'cold', 'warm', 'warm'])
  })

  it('does all that is wanted, also behind what cannot be thawed', async () => {
    const { all, sweep, append, tiers } = worldOf()
    for (const n of [1, 2, 3, 4, 5, 6, 7, 8]) {
      await append(n, `${n}`)
      await all.mover.cool(idOf(n), Date.now())
      await all.mover.freeze(idOf(n))
      if (n < 4) for (const name of memory.objects.keys()) memory.objects.set(name, Buffer.from('damaged'))
      await all.contexts.read(idOf(n), { access: true })
    }
    await sweep.run()
    expect(Object.values(await tiers()).sort()).toEqual([...Array(3).fill('cold'), ...Array(5).fill('warm')])
    expect(await link.call('ZCARD', all.keys.wanted)).toBe(0)
  })

  it('that fails has no move under way any more', async () => {
    const slow = Promise.withResolvers<void>()
    let moving = 0
    const { sweep, append, lieStill } = worldOf(
      {},
      {
        mover: ({ cool }) => ({
          cool: async (id, ...args) => {
            if (id === idOf(1)) throw new Fault('REDIS_UNAVAILABLE', 'away')
            moving++
            await slow.promise
            const outcome = await cool(id, ...args)
            moving--
            return outcome
          },
        }),
      },
    )
    for (const n of [1, 2, 3]) {
      await append(n, `${n}`)
      await lieStill(n, (40 - n) * MINUTE)
    }
    const run = sweep.run()
    setImmediate(slow.resolve)
    await expect(run).rejects.toThrow('away')
    expect(moving).toBe(0)
  })
})
