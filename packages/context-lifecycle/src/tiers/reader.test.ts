/** Contexts are read whole while somebody moves them. */
import { type Clock, systemClock } from '@weir/core/clock'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { collectOld, type MemoryStore, memoryStore } from '../../../../tests/support/cold.ts'
import { assembled, eventOf, pullRequest, recordOf } from '../../../../tests/support/contexts.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import type { ColdStore } from '../cold/cold-store.ts'
import { contextIdOf } from '../context-id.ts'

const redis = useRedis()
let link: RedisLink
let store: MemoryStore
const SITE_7 = contextIdOf('acme', 'github', 'acme/site#7')

beforeEach(async () => {
  store = memoryStore()
  link = connectRedis({
    url: redis.url,
    commandTimeoutMs: 5_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 100,
    name: 'reader',
  })
  await link.ready()
})
afterEach(() => link.close())

const world = (to: ColdStore = store, through = link) => assembled(through, { store: to })
type World = ReturnType<typeof world>

async function append({ contexts }: World, delivery: string): Promise<string> {
  const { record } = recordOf({ delivery, json: pullRequest(7, 'edited', { body: delivery }) })
  await contexts.append(eventOf(record), record)
  return record.id
}
async function toCold(all: World) {
  await all.mover.cool(SITE_7, 1)
  await all.mover.freeze(SITE_7)
  await collectOld(all)
}

/** A store that does this once, before it is first asked for an object. */
function overtaken(by: () => Promise<unknown>): ColdStore {
  let done = false
  return {
    ...store,
    async get(name) {
      if (!done) {
        done = true
        await by()
      }
      return store.get(name)
    },
  }
}

describe('a context that is read', () => {
  it('while events come has all its events, once, however many', async () => {
    const all = world()
    const ids: string[] = []
    for (let from = 0; from < 2_400; from += 400)
      ids.push(...(await Promise.all(Array.from({ length: 400 }, (_, n) => append(all, `${from + n}`)))))
    let came = 0
    const busy: RedisLink = {
      ...link,
      async call(command, ...args) {
        if (command === 'LRANGE') await append(all, `late ${came++}`)
        return link.call(command, ...args)
      },
    }
    const context = await world(store, busy).contexts.read(SITE_7)
    expect(came).toBeGreaterThan(1)
    expect(context?.timeline.map(({ eventId }) => eventId)).toEqual(expect.arrayContaining(ids))
    const newest = await world(store, busy).contexts.read(SITE_7, { limit: 1_500 })
    expect(newest?.timeline).toHaveLength(1_500)
  })

  it('while its object is superseded and deleted is read from the one that holds its events now', async () => {
    const all = world()
    const first = await append(all, 'a')
    await toCold(all)
    let more = 0
    const supersede = async () => {
      await append(all, `more ${more++}`)
      await toCold(all)
    }
    const context = await world(overtaken(supersede)).contexts.read(SITE_7)
    expect(context).toMatchObject({ events: 2, withheld: undefined })
    expect(context?.timeline).toHaveLength(2)
    expect((await world(overtaken(supersede)).contexts.record(SITE_7, first))?.id).toBe(first)
    // Nor is it stuck for who moves it.
    expect(await world(overtaken(supersede)).mover.thaw(SITE_7, 1 << 20)).toEqual({ kind: 'active' })
    expect(store.objects.size).toBe(
      1 + [...store.objects.keys()].filter((name) => !name.startsWith('contexts')).length,
    )
  })
})

describe('cold storage that does not answer', () => {
  it('keeps nobody waiting who reads: what is hot is shown, the rest is withheld', async () => {
    const all = world()
    await append(all, 'old')
    await toCold(all)
    await append(all, 'new')
    const waits: number[] = []
    const clock: Clock = { ...systemClock, wait: async (ms) => void waits.push(ms) }
    const silent: ColdStore = { ...store, get: () => new Promise(() => undefined) }
    const context = await assembled(link, { store: silent, clock }).contexts.read(SITE_7)
    expect(waits).toEqual([5_000])
    expect(context).toMatchObject({ tier: 'hot', withheld: { events: 1, why: { code: 'COLD_UNAVAILABLE' } } })
    expect(context?.timeline).toHaveLength(1)
  })
})
