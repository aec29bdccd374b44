/** Contexts made hot before they are asked for, and what becomes of that. */
import { Fault } from '@weir/core/faults'
import { redisTime } from '@weir/core/redis/time'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { useLink } from '../../../../tests/support/ai.ts'
import { type MemoryStore, memoryStore } from '../../../../tests/support/cold.ts'
import { assembled, eventOf, pullRequest, recordOf } from '../../../../tests/support/contexts.ts'
import type { ColdStore } from '../cold/cold-store.ts'
import { contextIdBytes, contextIdOf } from '../context-id.ts'
import { contextKeys } from '../context-keys.ts'
import type { ContextPlace } from '../context-place.ts'
import { removeInactive } from '../removal.ts'
import { claimDue } from '../tiers/due.ts'
import { createAccessLog } from './access-log.ts'
import { outstanding } from './foresights.ts'
import { createPrewarmer, type PrewarmerOptions } from './prewarmer.ts'

const server = useLink()
let memory: MemoryStore
let away = false
let now = 0

const MINUTE = 60_000
const DAY = 1440 * MINUTE
const HOT_MS = 30 * MINUTE
const START = 100 * DAY
/** What is read at the beginning, and what is read after it. */
const ALERT = 1
const RUNBOOK = 2
const TICKET = 3
const RULES = { max: 10, threshold: 0.7, lookbackMs: 15 * MINUTE, historyMs: 14 * DAY }

beforeEach(() => {
  memory = memoryStore()
  away = false
  now = START
})
afterEach(() => server.link.call('CONFIG', 'SET', 'maxmemory', 0))

const idOf = (number: number) => contextIdOf('acme', 'github', `acme/site#${number}`)

/**
 * Two warm contexts that were always read after the alert, which is read just now.
 * @param spread whether they lie in another shard than the alert
 */
async function worldOf(spread = false) {
  const answer = async <T>(act: () => Promise<T>): Promise<T> => {
    if (away) throw new Fault('COLD_UNAVAILABLE', 'cold storage is away')
    return act()
  }
  const store: ColdStore = { ...memory, get: (name) => answer(() => memory.get(name)) }
  const [place, other] = [0, 1].map((shard) => ({
    link: server.link,
    keys: contextKeys('webhook-events', spread, shard),
  })) as [ContextPlace, ContextPlace]
  const places: [ContextPlace, ...ContextPlace[]] = spread ? [place, other] : [place]
  const placeOf = (id: string) => (spread && id !== idOf(ALERT) ? other : place)
  const all = assembled(server.link, { store, places, placeOf })
  const { mover } = all
  const { keys } = place
  const tierOf = async (number: number) => (await all.contexts.read(idOf(number), { limit: 0 }))?.tier
  const read = (number: number, at: number) =>
    server.link.call(
      'XADD',
      placeOf(idOf(number)).keys.accesses,
      `${at}-*`,
      'c',
      contextIdBytes(idOf(number)),
    )
  for (const number of [ALERT, RUNBOOK, TICKET]) {
    const { record } = recordOf({ delivery: `${number}`, json: pullRequest(number, 'edited') })
    await all.contexts.append(eventOf(record), record)
    await mover.cool(idOf(number), 1)
  }
  for (let day = 7; day > 0; day--) {
    // At another hour each day, so that the hour says nothing.
    const at = START - day * DAY + day * 70 * MINUTE
    await read(ALERT, at)
    await read(RUNBOOK, at + 3 * MINUTE)
    await read(TICKET, at + 4 * MINUTE)
  }
  await read(ALERT, START - 1_000)

  const prewarmer = (more: Partial<PrewarmerOptions> = {}) => {
    const told: string[] = []
    const { run } = createPrewarmer({
      places,
      placeOf,
      log: createAccessLog(places, RULES.historyMs),
      mover,
      rules: RULES,
      memoryBytes: 1_000_000,
      promoteBytes: 1_000_000,
      hotMs: HOT_MS,
      now: async () => now,
      tell: (result, id) => void told.push(`${result} ${id}`),
      ...more,
    })
    return { run, told }
  }
  return { all, keys, place, mover, tierOf, read, prewarmer, open: () => outstanding(place) }
}
const both = (result: string) => [RUNBOOK, TICKET].map((number) => `${result} ${idOf(number)}`).sort()

describe('a context that will be read', () => {
  it('is made hot, from wherever it is; once', async () => {
    const { mover, tierOf, prewarmer, all, open } = await worldOf()
    await mover.freeze(idOf(TICKET))
    expect([await tierOf(RUNBOOK), await tierOf(TICKET)]).toEqual(['warm', 'cold'])
    const { run, told } = prewarmer()
    expect(await run()).toEqual({ warmed: 2, coldAway: undefined })
    expect([await tierOf(RUNBOOK), await tierOf(TICKET)]).toEqual(['hot', 'hot'])
    expect((await all.contexts.read(idOf(TICKET)))?.timeline).toHaveLength(1)
    expect(told.toSorted()).toEqual(both('warmed'))
    expect(await run()).toEqual({ warmed: 0, coldAway: undefined })
    expect(await open()).toHaveLength(2)
  })

  it('is made hot in another shard than the one whose access speaks for it', async () => {
    const { tierOf, prewarmer, open, read } = await worldOf(true)
    const { run, told } = prewarmer()
    expect(await run()).toMatchObject({ warmed: 2 })
    expect([await tierOf(RUNBOOK), await tierOf(TICKET)]).toEqual(['hot', 'hot'])
    await read(RUNBOOK, now + MINUTE)
    now += 16 * MINUTE
    await run()
    expect(told.slice(2).toSorted()).toEqual([`hit ${idOf(RUNBOOK)}`, `miss ${idOf(TICKET)}`].sort())
    expect(await open()).toEqual([])
  })

  it('is left where it is while it is too uncertain, hot already, or there are enough', async () => {
    const { prewarmer, mover, tierOf } = await worldOf()
    expect(await prewarmer({ rules: { ...RULES, threshold: 0.9 } }).run()).toMatchObject({ warmed: 0 })
    expect(await prewarmer({ rules: { ...RULES, max: 0 } }).run()).toMatchObject({ warmed: 0 })
    // One that is hot takes nobody's place.
    await mover.heat(idOf(RUNBOOK), 1_000_000)
    expect(await prewarmer({ rules: { ...RULES, max: 1 } }).run()).toMatchObject({ warmed: 1 })
    expect(await tierOf(TICKET)).toBe('hot')
  })

  it('and is not there any more is passed over', async () => {
    const { prewarmer, place, keys, tierOf } = await worldOf()
    await server.link.call('ZINCRBY', keys.active, -DAY, idOf(RUNBOOK))
    expect(await removeInactive([place], { inactiveMs: DAY / 2, dryRun: false })).toMatchObject({
      contexts: 1,
    })
    const { run, told } = prewarmer()
    expect(await run()).toMatchObject({ warmed: 1 })
    expect(told).toEqual([`warmed ${idOf(TICKET)}`])
    expect(await tierOf(RUNBOOK)).toBeUndefined()
  })

  it('is made hot from cold only while cold storage is there; warm ones go on', async () => {
    const { prewarmer, mover, tierOf, open } = await worldOf()
    await mover.freeze(idOf(RUNBOOK))
    const { run, told } = prewarmer()
    away = true
    expect((await run()).coldAway?.message).toContain('away')
    expect(told).toEqual([`warmed ${idOf(TICKET)}`])
    expect(await open()).toHaveLength(1)
    away = false
    expect(await run()).toEqual({ warmed: 1, coldAway: undefined })
    expect(await tierOf(RUNBOOK)).toBe('hot')
  })

  it('and is damaged is passed over, and the others are not', async () => {
    const { prewarmer, keys, tierOf } = await worldOf()
    await server.link.call('HSET', keys.parts(idOf(RUNBOOK)), '0:7:warm', 'nonsense')
    expect(await prewarmer().run()).toMatchObject({ warmed: 1 })
    expect(await tierOf(TICKET)).toBe('hot')
  })

  it('and cannot be moved is told, and not tried again at once', async () => {
    const { prewarmer, mover } = await worldOf()
    const why = new Fault('KEY_MISSING', 'no key')
    const { run, told } = prewarmer({ mover: { ...mover, heat: async () => ({ kind: 'stuck', why }) } })
    await run()
    await run()
    expect(told.toSorted()).toEqual(both('stuck'))
    now += 2 * MINUTE + 1
    await run()
    // It was given up, and nobody counts that; now it is tried again.
    expect(told).toHaveLength(4)
  })
})

describe('the memory limit', () => {
  it('holds for all that is outstanding', async () => {
    const { prewarmer, open, read, tierOf } = await worldOf()
    await prewarmer().run()
    const [{ bytes } = { bytes: 0 }] = await open()
    expect(bytes).toBeGreaterThan(100)
    await server.link.call('FLUSHALL')
    const again = await worldOf()
    const memoryBytes = Math.floor(bytes * 1.5)
    const { run } = again.prewarmer({ memoryBytes })
    expect(await run()).toMatchObject({ warmed: 1 })
    expect(await again.prewarmer({ memoryBytes }).run()).toMatchObject({ warmed: 0 })
    // What was read is no foresight any more, and makes room.
    const [first] = await again.open()
    now += MINUTE
    await read(first?.id === idOf(RUNBOOK) ? RUNBOOK : TICKET, now)
    expect(await run()).toMatchObject({ warmed: 1 })
    expect([await tierOf(RUNBOOK), await tierOf(TICKET)]).toEqual(['hot', 'hot'])
    expect(await again.prewarmer({ memoryBytes: 10 }).run()).toMatchObject({ warmed: 0 })
  })
})

describe('a context that was made hot', () => {
  it('is a hit when it is read within the lookback window, and a miss when it is not: each once', async () => {
    const { prewarmer, read, open } = await worldOf()
    const { run, told } = prewarmer()
    await run()
    now += 14 * MINUTE
    await read(RUNBOOK, now - MINUTE)
    await run()
    expect(told.slice(2)).toEqual([`hit ${idOf(RUNBOOK)}`])
    now += 2 * MINUTE
    await read(TICKET, now)
    await run()
    await run()
    expect(told.slice(3)).toEqual([`miss ${idOf(TICKET)}`])
    expect(await open()).toEqual([])
  })

  it('and was read in time is a hit also when nobody looked until much later', async () => {
    const { prewarmer, read } = await worldOf()
    const { run, told } = prewarmer()
    await run()
    await read(RUNBOOK, now + MINUTE)
    await read(RUNBOOK, now + DAY)
    now += 2 * DAY
    await run()
    expect(told.slice(2).toSorted()).toEqual([`hit ${idOf(RUNBOOK)}`, `miss ${idOf(TICKET)}`].sort())
  })

  it('in vain is cooled with the next sweep, unless something has happened to it since', async () => {
    const { prewarmer, place, keys, all } = await worldOf()
    const { run } = prewarmer()
    await run()
    const { record } = recordOf({ delivery: 'new', json: pullRequest(TICKET, 'closed') })
    await all.contexts.append(eventOf(record), record)
    now += 16 * MINUTE
    await run()
    const due = await claimDue(
      place,
      keys.hot,
      { stayMs: HOT_MS, by: await redisTime(place.link), claimMs: MINUTE },
      10,
    )
    expect(due.map(({ id }) => id)).toEqual([idOf(RUNBOOK)])
  })
})

describe('several prewarmers', () => {
  it('share the work, the limit and the counts', async () => {
    const { prewarmer, read } = await worldOf()
    const all = [prewarmer(), prewarmer(), prewarmer()]
    const run = () => Promise.all(all.map((each) => each.run()))
    const told = () => all.flatMap((each) => each.told).sort()
    const warmed = (await run()).reduce((sum, each) => sum + each.warmed, 0)
    expect(warmed).toBe(2)
    expect(told()).toEqual(both('warmed'))
    now += MINUTE
    await read(RUNBOOK, now)
    await run()
    now += 15 * MINUTE
    await run()
    expect(told()).toEqual([...both('warmed'), `hit ${idOf(RUNBOOK)}`, `miss ${idOf(TICKET)}`].sort())
  })

  it('take over what one of them left half done, and count nothing for it', async () => {
    const { prewarmer, mover } = await worldOf()
    const begun = Promise.withResolvers<void>()
    const { run, told } = prewarmer()
    const waiting = prewarmer({
      mover: {
        ...mover,
        heat: () => {
          begun.resolve()
          return new Promise(() => undefined)
        },
      },
    })
    void waiting.run()
    await begun.promise
    expect(await run()).toMatchObject({ warmed: 1 })
    now += 2 * MINUTE + 1
    expect(await run()).toMatchObject({ warmed: 1 })
    expect([...told, ...waiting.told].sort()).toEqual(both('warmed'))
  })
})

describe('a Redis that is full', () => {
  it('leaves things as they were, and it is done when there is room', async () => {
    const { prewarmer, mover, tierOf, open, all } = await worldOf()
    const full = prewarmer({
      mover: {
        ...mover,
        async heat(id, maxBytes) {
          await server.link.call('CONFIG', 'SET', 'maxmemory', 1)
          return mover.heat(id, maxBytes)
        },
      },
    })
    await expect(full.run()).rejects.toMatchObject({ code: 'REDIS_OUT_OF_MEMORY' })
    expect(full.told).toEqual([])
    expect([await tierOf(RUNBOOK), await tierOf(TICKET)]).toEqual(['warm', 'warm'])
    expect((await all.contexts.read(idOf(RUNBOOK)))?.timeline).toHaveLength(1)
    expect(await open()).toEqual([])
    await server.link.call('CONFIG', 'SET', 'maxmemory', 0)
    expect(await prewarmer().run()).toMatchObject({ warmed: 2 })
  })
})
