/** When contexts leave a tier, and when they stay. */

import { Fault } from '@weir/core/faults'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type MemoryStore, memoryStore } from '../../../../tests/support/cold.ts'
import { assembled, eventOf, pullRequest, recordOf } from '../../../../tests/support/contexts.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import type { ColdStore } from '../cold/cold-store.ts'
import { contextIdOf } from '../context-id.ts'
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

function worldOf(rules: Partial<StayRules> = {}, batch = 3) {
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
    mover: all.mover,
    archive: all.archive,
    read: (id) => all.contexts.read(id),
    rules: { ...RULES, ...rules },
    batch,
    concurrency: 2,
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
    const { all, append, lieStill } = worldOf()
    await append(1, 'a')
    await lieStill(1, HOUR)
    const overtaken = createSweep({
      places: [all.place],
      mover: {
        ...all.mover,
        cool: async (id, since, score) => {
          await append(1, 'b')
          return all.mover.cool(id, since, score)
        },
      },
      archive: all.archive,
      read: (id) => all.contexts.read(id),
      rules: RULES,
      batch: 3,
      concurrency: 2,
      promoteBytes: 8 << 20,
      now: () => Date.now(),
      tell: (_move, result) => expect(result).toBe('active'),
    })
    await overtaken.run()
    expect(await all.contexts.read(idOf(1))).toMatchObject({ tier: 'hot', events: 2 })
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
    const { sweep, append, lieStill, told } = worldOf({}, 100)
    for (let n = 0; n < 40; n++) {
      await append(n, `${n}`)
      await lieStill(n, HOUR)
    }
    const other = worldOf({}, 100)
    await Promise.all([sweep.run(), other.sweep.run()])
    const looked = [...told, ...other.told]
    expect(looked).toHaveLength(40)
    expect(new Set(looked.map(([, result]) => result))).toEqual(new Set(['moved']))
  })
})
