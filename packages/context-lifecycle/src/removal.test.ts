import { eventIdBytes } from '@weir/core/event'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { memoryStore } from '../../../tests/support/cold.ts'
import { assembled, eventOf, pullRequest, recordOf } from '../../../tests/support/contexts.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { contextIdBytes, contextIdOf } from './context-id.ts'
import { contextKeys } from './context-keys.ts'
import type { ContextPlace } from './context-place.ts'
import type { Contexts } from './contexts.ts'
import { type RemovalQuery, removeInactive } from './removal.ts'

const redis = useRedis()
const keys = contextKeys('webhook-events', false, 0)
let link: RedisLink
let place: ContextPlace
let contexts: Contexts
beforeEach(async () => {
  link = connectRedis({
    url: redis.url,
    commandTimeoutMs: 5_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 100,
    name: 'removal',
  })
  await link.ready()
  const all = assembled(link)
  place = all.place
  contexts = all.contexts
})
afterEach(() => link.close())

const DAY_MS = 86_400_000
const idOf = (number: number, tenant = 'acme') => contextIdOf(tenant, 'github', `acme/site#${number}`)

async function append(number: number, delivery: string, tenant = 'acme'): Promise<string> {
  const { record } = recordOf({ delivery, json: pullRequest(number, 'edited'), tenant })
  await contexts.append(eventOf(record), record)
  return record.id
}
/** Nothing has happened to it for so many days. */
const lieStill = async (number: number, days: number, tenant = 'acme') => {
  await link.call('ZINCRBY', keys.active, -days * DAY_MS, idOf(number, tenant))
}
const remove = (query: Partial<RemovalQuery> = {}, places: readonly ContextPlace[] = [place]) =>
  removeInactive(places, { inactiveMs: 30 * DAY_MS, dryRun: false, ...query })
const left = async () => (await contexts.list({ limit: 100 })).map(({ subject }) => subject).sort()

describe('contexts to which nothing has happened for so long', () => {
  it('are removed with all that belongs to them; others stay', async () => {
    const old = await append(1, 'a')
    await append(1, 'b')
    const young = await append(2, 'c')
    await lieStill(1, 31)
    await lieStill(2, 29)
    expect(await remove()).toMatchObject({ contexts: 1, events: 2, complete: true })
    expect(await left()).toEqual(['acme/site#2'])
    expect(await contexts.read(idOf(1))).toBeUndefined()
    expect(await contexts.contextOf(old)).toBeUndefined()
    expect(await contexts.contextOf(young)).toBe(idOf(2))
    // Nothing is left of it anywhere.
    expect(await remove({ inactiveMs: 0 })).toMatchObject({ contexts: 1, events: 1 })
    expect(await link.call('DBSIZE')).toBe(0)
  })

  it('are removed from every tier: their objects in cold storage are deleted', async () => {
    const store = memoryStore()
    const all = assembled(link, { store })
    for (const n of [1, 2]) {
      const event = await append(n, `${n}-a`)
      await all.mover.cool(idOf(n), 1)
      await all.mover.freeze(idOf(n))
      await append(n, `${n}-b`)
      await all.mover.cool(idOf(n), 1)
      expect(await contexts.contextOf(event)).toBe(idOf(n))
    }
    await lieStill(1, 40)
    expect(await remove()).toMatchObject({ contexts: 1, events: 2 })
    expect(await all.archive.collect(place)).toBe(1)
    expect([...store.objects.keys()].filter((name) => name.startsWith('contexts/'))).toHaveLength(1)
    expect(await remove({ inactiveMs: 0 })).toMatchObject({ contexts: 1 })
    await all.archive.collect(place)
    expect([...store.objects.keys()].filter((name) => name.startsWith('contexts/'))).toEqual([])
    expect(await link.call('DBSIZE')).toBe(0)
  })

  it('are removed from a Redis that is out of memory, to make room', async () => {
    const all = assembled(link, { store: memoryStore() })
    await append(1, 'a')
    await all.mover.cool(idOf(1), 1)
    await all.mover.freeze(idOf(1))
    await lieStill(1, 40)
    const client = redis.client()
    await client.config('SET', 'maxmemory', '1')
    try {
      expect(await remove()).toMatchObject({ contexts: 1 })
      expect(await all.archive.collect(place)).toBe(1)
      expect(await link.call('DBSIZE')).toBe(0)
    } finally {
      await client.config('SET', 'maxmemory', '0')
    }
  })

  it('are told apart by tenant and tool, and only counted in a dry run', async () => {
    for (const tenant of ['acme', 'other']) {
      await append(1, 'a', tenant)
      await lieStill(1, 40, tenant)
    }
    expect(await remove({ dryRun: true })).toMatchObject({ contexts: 2, events: 2 })
    expect(await remove({ tool: 'jira' })).toMatchObject({ contexts: 0 })
    expect(await remove({ tenant: 'other', tool: 'github' })).toMatchObject({ contexts: 1 })
    expect((await contexts.list({ limit: 9 })).map(({ tenant }) => tenant)).toEqual(['acme'])
  })

  it('stay when they are read, for as long again', async () => {
    await append(1, 'a')
    await lieStill(1, 40)
    await contexts.read(idOf(1), { access: true })
    expect(await remove()).toMatchObject({ contexts: 0 })
  })

  it('stay when an event comes while they are being removed', async () => {
    await append(1, 'a')
    await lieStill(1, 40)
    let came = false
    const overtaken: RedisLink = {
      ...link,
      async run(script, names, args) {
        if (!came && script.name === 'remove-context') {
          came = true
          await append(1, 'b')
        }
        return link.run(script, names, args)
      },
    }
    expect(await remove({}, [{ link: overtaken, keys }])).toMatchObject({ contexts: 0 })
    expect((await contexts.read(idOf(1)))?.timeline).toHaveLength(2)
  })

  it('stay when somebody reads them while they are being removed', async () => {
    await append(1, 'a')
    await lieStill(1, 40)
    const overtaken: RedisLink = {
      ...link,
      async run(script, names, args) {
        if (script.name === 'remove-context') await contexts.read(idOf(1), { access: true })
        return link.run(script, names, args)
      },
    }
    expect(await remove({}, [{ link: overtaken, keys }])).toMatchObject({ contexts: 0 })
    expect(await left()).toEqual(['acme/site#1'])
  })

  it('leave what the index says of others', async () => {
    const event = await append(1, 'a')
    await append(2, 'b')
    const index = keys.events(eventIdBytes(event))
    await link.call('HSET', index, eventIdBytes(event).subarray(0, 8), contextIdBytes(idOf(2)))
    await lieStill(1, 40)
    await remove()
    expect(await contexts.contextOf(event)).toBe(idOf(2))
  })

  it('begin anew with the next event of their subject', async () => {
    await append(1, 'a')
    await lieStill(1, 40)
    await remove()
    await append(1, 'b')
    expect((await contexts.read(idOf(1)))?.events).toBe(1)
  })

  it('take in again what is sent again, and know it then, also where the index was not cleared in time', async () => {
    const first = await append(1, 'a')
    const index = keys.events(eventIdBytes(first))
    const entry = (await link.call('HGETALL', index)) as Buffer[]
    await lieStill(1, 40)
    await remove()
    await append(1, 'b')
    await link.call('HSET', index, ...entry)
    for (let times = 0; times < 2; times++) await append(1, 'a')
    expect(await contexts.read(idOf(1))).toMatchObject({ events: 2 })
    expect((await contexts.record(idOf(1), first))?.id).toBe(first)
  })

  it('that are made anew while the index of a very large one is cleared know their events', async () => {
    for (let from = 0; from < 1_100; from += 550)
      await Promise.all(Array.from({ length: 550 }, (_, i) => append(1, `large ${from + i}`)))
    await lieStill(1, 40)
    const overtaken: RedisLink = {
      ...link,
      async run(script, names, args) {
        if (script.name === 'forget-events') for (let n = 0; n < 1_100; n += 50) await append(1, `large ${n}`)
        return link.run(script, names, args)
      },
    }
    expect(await remove({}, [{ link: overtaken, keys }])).toMatchObject({ contexts: 1 })
    for (let n = 0; n < 1_100; n += 50) await append(1, `large ${n}`)
    expect((await contexts.read(idOf(1)))?.events).toBe(22)
  })

  it('are many, or very large: all are found, page by page', async () => {
    for (let from = 0; from < 2_500; from += 500)
      await Promise.all(Array.from({ length: 500 }, (_, i) => append(1, `large ${from + i}`)))
    for (let from = 2; from < 1_202; from += 300)
      await Promise.all(Array.from({ length: 300 }, (_, i) => append(from + i, `many ${from + i}`)))
    // Every third stays because it is another tool's: it must not hide those behind it.
    expect(await remove({ inactiveMs: 0, tenant: 'nobody' })).toMatchObject({ contexts: 0, complete: true })
    expect(await remove({ inactiveMs: 0 })).toMatchObject({ contexts: 1_201, events: 3_700 })
    expect(await link.call('DBSIZE')).toBe(0)
  }, 120_000)

  it('wait for the next run when it is stopped', async () => {
    for (const n of [1, 2, 3]) await append(n, `${n}`)
    expect(await remove({ inactiveMs: 0, signal: AbortSignal.abort() })).toEqual({
      contexts: 0,
      events: 0,
      rawBytes: 0,
      complete: false,
    })
  })
})
