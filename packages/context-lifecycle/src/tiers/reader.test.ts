/** Contexts are read whole while somebody moves them. */
import { type Clock, systemClock } from '@weir/core/clock'
import type { RedisLink } from '@weir/core/redis/link'
import { describe, expect, it } from 'vitest'
import { assembled } from '../../../../tests/support/contexts.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { type TiersWorld, useTiers } from '../../../../tests/support/tiers.ts'
import type { ColdStore } from '../cold/cold-store.ts'

const tiers = useTiers(useRedis())
const { world, idOf } = tiers
const SITE_7 = idOf(7)
const append = (all: TiersWorld, delivery: string) => tiers.append(all, 7, delivery)
const toCold = (all: TiersWorld) => tiers.toCold(all, 7)

/** A store that does this once, before it is first asked for an object. */
function overtaken(by: () => Promise<unknown>): ColdStore {
  let done = false
  return {
    ...tiers.store,
    async get(name) {
      if (!done) {
        done = true
        await by()
      }
      return tiers.store.get(name)
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
      ...tiers.link,
      async call(command, ...args) {
        if (command === 'LRANGE') await append(all, `late ${came++}`)
        return tiers.link.call(command, ...args)
      },
    }
    const context = await world(tiers.store, busy).contexts.read(SITE_7)
    expect(came).toBeGreaterThan(1)
    expect(context?.timeline.map(({ eventId }) => eventId)).toEqual(expect.arrayContaining(ids))
    const newest = await world(tiers.store, busy).contexts.read(SITE_7, { limit: 1_500 })
    expect(newest?.timeline).toHaveLength(1_500)
  })

  it('while its events move has them in their places', async () => {
    const all = world()
    const ids = await Promise.all(Array.from({ length: 3 }, (_, n) => append(all, `old ${n}`)))
    await all.mover.cool(SITE_7, 1)
    ids.push(...(await Promise.all(Array.from({ length: 1_050 }, (_, n) => append(all, `${n}`)))))
    const moved = (command: string, move: () => Promise<unknown>) => {
      let done = false
      const link: RedisLink = {
        ...tiers.link,
        async call(asked, ...args) {
          if (asked === command && !done) {
            done = true
            await move()
          }
          return tiers.link.call(asked, ...args)
        },
      }
      return world(tiers.store, link).contexts
    }
    const read = await moved('LRANGE', () => all.mover.heat(SITE_7, 1 << 20)).read(SITE_7)
    expect(read?.timeline.map(({ eventId }) => eventId).toSorted()).toEqual(ids.toSorted())
    const record = await moved('LINDEX', () => all.mover.cool(SITE_7, 1)).record(SITE_7, ids[700]!)
    expect(record?.id).toBe(ids[700])
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
    expect(tiers.store.objects.size).toBe(
      1 + [...tiers.store.objects.keys()].filter((name) => !name.startsWith('contexts')).length,
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
    const silent: ColdStore = { ...tiers.store, get: () => new Promise(() => undefined) }
    const context = await assembled(tiers.link, { store: silent, clock }).contexts.read(SITE_7)
    expect(waits).toEqual([5_000])
    expect(context).toMatchObject({ tier: 'hot', withheld: { events: 1, why: { code: 'COLD_UNAVAILABLE' } } })
    expect(context?.timeline).toHaveLength(1)
  })
})
