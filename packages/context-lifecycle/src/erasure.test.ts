import type { RedisLink } from '@weir/core/redis/link'
import { beforeEach, describe, expect, it } from 'vitest'
import { useLink } from '../../../tests/support/ai.ts'
import { type MemoryStore, memoryStore } from '../../../tests/support/cold.ts'
import { assembled, eventOf, pullRequest, recordOf } from '../../../tests/support/contexts.ts'
import type { ColdStore } from './cold/cold-store.ts'
import { type ContextId, contextIdOf, shardCount, shardOf } from './context-id.ts'
import { contextKeys } from './context-keys.ts'
import type { ContextPlace } from './context-place.ts'
import { eraseContexts, eraseObjects, readTenantContexts, readTenantObjects } from './erasure.ts'

const server = useLink()
let link: RedisLink
beforeEach(() => {
  link = server.link
})

const idOf = (number: number, tenant: string) => contextIdOf(tenant, 'github', `acme/site#${number}`)

/** As on a Cluster: 16 shards, each with a hash tag of its own. */
const shardsOn = (through: RedisLink): readonly [ContextPlace, ...ContextPlace[]] =>
  Array.from({ length: shardCount(true) }, (_, shard) => ({
    link: through,
    keys: contextKeys('webhook-events', true, shard),
  })) as unknown as [ContextPlace, ...ContextPlace[]]

function worldOf(sharded = false) {
  const store = memoryStore()
  const single: readonly [ContextPlace] = [{ link, keys: contextKeys('webhook-events', false, 0) }]
  const places = sharded ? shardsOn(link) : single
  const placeOf = (id: ContextId) => places[shardOf(id, places.length)] as ContextPlace
  const all = assembled(link, { store, places, placeOf })
  const append = async (tenant: string, number: number, delivery: string) => {
    const { record } = recordOf({ tenant, delivery, json: pullRequest(number, 'edited', { body: delivery }) })
    await all.contexts.append(eventOf(record), record)
  }
  return { ...all, ...{ store, places, append } }
}
type World = ReturnType<typeof worldOf>

/** Contexts 1 hot, 2 warm, 3 cold, 4 a little of each. */
async function fill({ append, mover }: World, tenant: string) {
  for (const number of [1, 2, 3, 4]) {
    await append(tenant, number, `${number}-a`)
    if (number > 1) await mover.cool(idOf(number, tenant), 1)
    if (number > 2) await mover.freeze(idOf(number, tenant))
  }
  await append(tenant, 4, '4-b')
  await mover.cool(idOf(4, tenant), 1)
  await append(tenant, 4, '4-c')
}

/** Names in cold storage that belong to somebody; the starters that segments are packed with are nobody's. */
const ownedBy = ({ store }: World) => [...store.objects.keys()].filter((name) => name.split('/').length > 2)

const readAll = async ({ places, store }: Pick<World, 'places' | 'store'>, tenant: string) => ({
  ...(await readTenantContexts(places, tenant)),
  ...(await readTenantObjects(store, places, tenant)),
})
async function eraseAll({ places, store, archive }: World, tenant: string) {
  const contexts = await eraseContexts(places, tenant)
  return { ...contexts, ...(await eraseObjects({ store, archive }, places, tenant)) }
}

/** Everything in Redis and in cold storage, byte for byte. */
async function everything(store: MemoryStore): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const key of ((await link.call('KEYS', '*')) as Buffer[]).map(String).sort()) {
    // Members of a hash or zset lie in whatever order they came.
    const type = String(await link.call('TYPE', key))
    const reply =
      type === 'zset'
        ? await link.call('ZRANGE', key, 0, -1, 'WITHSCORES')
        : type === 'hash'
          ? ((await link.call('HGETALL', key)) as Buffer[]).map((each) => each.toString('base64')).sort()
          : await link.call('DUMP', key)
    found[key] = Buffer.isBuffer(reply) ? reply.toString('base64') : String(reply)
  }
  for (const [name, bytes] of store.objects) found[name] = bytes.toString('base64')
  return found
}

describe.each([
  ['in one place', false],
  ['in the 16 shards of a Cluster', true],
] as const)('the contexts of a tenant, %s', (_, sharded) => {
  it('go from every tier, and leave what others have as it is', async () => {
    const world = worldOf(sharded)
    await fill(world, 'globex')
    const others = await everything(world.store)
    await fill(world, 'acme')
    expect(await readAll(world, 'acme')).toMatchObject({ contexts: 4, events: 6, objects: 2, ownerless: 0 })
    expect(await eraseAll(world, 'acme')).toMatchObject({ contexts: 4, events: 6, complete: true, busy: 0 })
    expect(await readAll(world, 'acme')).toMatchObject({ contexts: 0, objects: 0, announced: 0 })
    expect(await everything(world.store)).toEqual(others)
    expect((await world.contexts.read(idOf(4, 'globex')))?.timeline).toHaveLength(3)
    await eraseAll(world, 'globex')
    expect(await link.call('DBSIZE')).toBe(0)
    expect(ownedBy(world)).toEqual([])
  })

  it('go once when two erase at the same moment', async () => {
    const world = worldOf(sharded)
    await fill(world, 'acme')
    const both = await Promise.all([eraseAll(world, 'acme'), eraseAll(world, 'acme')])
    expect(both[0].contexts + both[1].contexts).toBe(4)
    expect(await link.call('DBSIZE')).toBe(0)
    expect(ownedBy(world)).toEqual([])
  })
})

/** Whatever is asked of Redis and cold storage fails from the n-th time on: before it is done, or after. */
function dying({ places, store }: World, at: number, when: 'before' | 'after') {
  let asked = 0
  const around = async <T>(work: () => Promise<T>): Promise<T> => {
    asked++
    if (asked > at || (asked === at && when === 'before')) throw new Error('killed')
    const result = await work()
    if (asked >= at) throw new Error('killed')
    return result
  }
  const link = (real: RedisLink): RedisLink => ({
    ...real,
    call: (...command) => around(() => real.call(...command)),
    run: (script, names, args) => around(() => real.run(script, names, args)),
  })
  const cold: ColdStore = { ...store, delete: (name) => around(() => store.delete(name)) }
  return {
    places: places.map((place) => ({ ...place, link: link(place.link) })),
    store: cold,
    died: () => asked >= at,
  }
}

describe('an erasure that is killed', () => {
  it.each(['before', 'after'] as const)('%s any step is finished by another one', async (when) => {
    for (let at = 1; ; at++) {
      const world = worldOf()
      await fill(world, 'acme')
      const { places, store, died } = dying(world, at, when)
      const { archive } = assembled(link, { store })
      await eraseContexts(places, 'acme')
        .then(() => eraseObjects({ store, archive }, places, 'acme'))
        .catch((error: Error) => expect(error.message).toBe('killed'))
      await eraseAll(world, 'acme')
      expect([at, await link.call('DBSIZE'), ownedBy(world)]).toEqual([at, 0, []])
      if (!died()) return expect(at).toBeGreaterThan(10)
    }
  })
})

describe('a context', () => {
  it('goes also when an event comes just then', async () => {
    const world = worldOf()
    await world.append('acme', 1, 'a')
    let came = false
    const overtaken: RedisLink = {
      ...link,
      async run(script, names, args) {
        if (!came && script.name === 'remove-context') {
          came = true
          await world.append('acme', 1, 'b')
        }
        return link.run(script, names, args)
      },
    }
    const places = world.places.map((place) => ({ ...place, link: overtaken }))
    expect(await eraseContexts(places, 'acme')).toMatchObject({ contexts: 1, events: 2, busy: 0 })
    expect(await link.call('DBSIZE')).toBe(0)
  })

  it('is not taken for that of a tenant whose name begins so', async () => {
    const world = worldOf()
    await fill(world, 'acme-2')
    await eraseAll(world, 'acme')
    expect(await readAll(world, 'acme-2')).toMatchObject({ contexts: 4, objects: 2 })
  })
})

describe('objects in cold storage', () => {
  it('that nothing in Redis knows go too', async () => {
    const world = worldOf()
    await fill(world, 'acme')
    await link.call('FLUSHALL')
    expect(await readAll(world, 'acme')).toMatchObject({ contexts: 0, objects: 2 })
    expect(await eraseAll(world, 'acme')).toMatchObject({ orphans: 2 })
    expect(await readAll(world, 'acme')).toMatchObject({ objects: 0 })
  })

  it('that somebody is writing are told, and stay announced until they are given up', async () => {
    const world = worldOf()
    const name = `contexts/acme/2026/01/02/${idOf(1, 'acme')}.0-1-00112233`
    await link.call('ZADD', world.keys.puts, 1, name)
    // It is an hour old, so a first look makes garbage of it; a young one stays.
    await link.call('ZADD', world.keys.puts, Number.MAX_SAFE_INTEGER, `${name}4`)
    await eraseAll(world, 'acme')
    expect(await readAll(world, 'acme')).toMatchObject({ announced: 1, objects: 0 })
  })
})
