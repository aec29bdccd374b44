/** Objects in cold storage: nothing refers to one that is not there, and nothing keeps one that nobody needs. */
import { describe, expect, it } from 'vitest'
import { collectOld } from '../../../../tests/support/cold.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { type TiersWorld, useTiers } from '../../../../tests/support/tiers.ts'

const tiers = useTiers(useRedis())
const { world, idOf } = tiers
const SITE_7 = idOf(7)
const append = (all: TiersWorld, delivery: string) => tiers.append(all, 7, delivery)
const toCold = (all: TiersWorld) => tiers.toCold(all, 7)

const objects = () => [...tiers.store.objects.keys()].filter((name) => name.startsWith('contexts/'))

describe('an object', () => {
  it('that was given up while whoever put it was held up is not switched to', async () => {
    const all = world()
    const id = await append(all, 'a')
    await all.mover.cool(SITE_7, 1)
    const suspended = world({
      ...tiers.store,
      async get(name) {
        const bytes = await tiers.store.get(name)
        await collectOld(all)
        return bytes
      },
    })
    expect(await suspended.mover.freeze(SITE_7)).toEqual({ kind: 'active' })
    await all.archive.collect(all.place)
    expect((await all.contexts.read(SITE_7))?.tier).toBe('warm')
    expect((await all.contexts.record(SITE_7, id))?.id).toBe(id)
    expect(await all.mover.freeze(SITE_7)).toEqual({ kind: 'moved', parts: 1 })
    expect(await tiers.link.call('EXISTS', all.keys.puts)).toBe(0)
    await collectOld(all)
    expect((await all.contexts.record(SITE_7, id))?.id).toBe(id)
    expect(objects()).toHaveLength(1)
  })

  it('that was announced and never switched to is deleted after an hour, and not before', async () => {
    const all = world()
    await append(all, 'a')
    await all.mover.cool(SITE_7, 1)
    const dying = world({
      ...tiers.store,
      async put(name, bytes) {
        await tiers.store.put(name, bytes)
        if (name.startsWith('contexts/')) throw new Error('killed')
      },
    })
    await expect(dying.mover.freeze(SITE_7)).rejects.toThrow('killed')
    expect(await all.archive.collect(all.place)).toBe(0)
    expect(objects()).toHaveLength(1)
    expect(await collectOld(all)).toBe(1)
    expect(objects()).toEqual([])
    expect(await tiers.link.call('EXISTS', all.keys.puts, all.keys.garbage)).toBe(0)
  })

  it('that is gone when its events are to go cold again is written anew', async () => {
    const all = world()
    const id = await append(all, 'a')
    await toCold(all)
    for (const spoil of [
      (name: string) => tiers.store.objects.delete(name),
      (name: string) => tiers.store.objects.set(name, Buffer.from('damaged')),
    ]) {
      await all.mover.thaw(SITE_7, 1 << 20)
      for (const name of objects()) spoil(name)
      await toCold(all)
      expect((await all.contexts.read(SITE_7))?.tier).toBe('cold')
      expect((await all.contexts.record(SITE_7, id))?.id).toBe(id)
      expect(objects()).toHaveLength(1)
    }
  })

  it('that others have superseded is there for an hour more: Redis may lose the switch', async () => {
    const all = world()
    const ids = [await append(all, 'a')]
    await toCold(all)
    ids.push(await append(all, 'b'))
    await all.mover.cool(SITE_7, 1)
    const before = (await tiers.link.call('DUMP', all.keys.parts(SITE_7))) as Buffer
    await all.mover.freeze(SITE_7)
    expect(await all.archive.collect(all.place)).toBe(0)
    // It fails over to a replica that has not heard of it, but for the announcement.
    await tiers.link.call('RESTORE', all.keys.parts(SITE_7), 0, before, 'REPLACE')
    for (const name of objects()) await tiers.link.call('ZADD', all.keys.puts, 1, name)
    expect((await all.contexts.read(SITE_7))?.timeline.map(({ eventId }) => eventId)).toEqual(ids)
    await all.mover.freeze(SITE_7)
    await collectOld(all)
    expect((await all.contexts.read(SITE_7))?.timeline.map(({ eventId }) => eventId)).toEqual(ids)
    expect(objects()).toHaveLength(1)
  })

  it('is not deleted while cold storage cannot say that it is', async () => {
    const all = world()
    await append(all, 'a')
    await toCold(all)
    const [name] = objects()
    await tiers.link.call('SADD', all.keys.garbage, name!)
    const refusing = world({ ...tiers.store, delete: () => Promise.reject(new Error('refused')) })
    await expect(refusing.archive.collect(all.place)).rejects.toThrow('refused')
    expect(await tiers.link.call('SCARD', all.keys.garbage)).toBe(1)
    expect(await all.archive.collect(all.place)).toBe(1)
    expect(objects()).toEqual([])
  })
})

describe('an object in the place of another', () => {
  it('is not taken for it, however sound it is', async () => {
    const all = world()
    await append(all, 'mine')
    await tiers.append(all, 8, 'of another')
    for (const number of [7, 8]) await tiers.toCold(all, number)
    const nameOf = (number: number) => objects().find((name) => name.includes(idOf(number)))!
    tiers.store.objects.set(nameOf(7), tiers.store.objects.get(nameOf(8))!)
    const context = await all.contexts.read(SITE_7)
    expect(context).toMatchObject({ timeline: [], withheld: { events: 1, why: { code: 'RECORD_CORRUPT' } } })
    expect(await all.mover.thaw(SITE_7, 1)).toMatchObject({ kind: 'stuck' })
  })
})

describe('a reference that is none', () => {
  it('leaves every event where it is', async () => {
    const all = world()
    const ids = [await append(all, 'a')]
    await toCold(all)
    await all.mover.thaw(SITE_7, 1 << 20)
    const [field] = ((await tiers.link.call('HKEYS', all.keys.parts(SITE_7))) as Buffer[])
      .map(String)
      .filter((name) => name.endsWith(':cold'))
    await tiers.link.call('HSET', all.keys.parts(SITE_7), field!, '{"n":')
    ids.push(await append(all, 'b'))
    for (const move of [
      () => all.mover.cool(SITE_7, 1),
      () => all.mover.freeze(SITE_7),
      () => all.mover.heat(SITE_7, 1 << 20),
      () => all.mover.thaw(SITE_7, 1 << 20),
    ]) {
      await move().catch(() => undefined)
      expect((await all.contexts.read(SITE_7))?.timeline.map(({ eventId }) => eventId)).toEqual(ids)
      for (const id of ids) expect((await all.contexts.record(SITE_7, id))?.id).toBe(id)
    }
  })
})
