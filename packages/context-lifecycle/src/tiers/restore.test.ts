/** Contexts come back from cold storage when Redis has lost them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@weir/core/clock'
import {
  createDictionarySet,
  dictionaryOf,
  loadBundledDictionaries,
  publishDictionary,
} from '@weir/core/dictionaries'
import { NO_KEYRING } from '@weir/core/keyring/keyring'
import { partitionKeys } from '@weir/core/keys'
import { createPacker, createUnpacker } from '@weir/core/packing'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { collectOld } from '../../../../tests/support/cold.ts'
import {
  assembled,
  eventOf,
  pullRequest,
  recordOf,
  type TestContextsOptions,
} from '../../../../tests/support/contexts.ts'
import { useKeyrings } from '../../../../tests/support/keyring.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import type { ColdStore } from '../cold/cold-store.ts'
import { createDirectoryStore } from '../cold/directory-store.ts'
import { contextIdOf } from '../context-id.ts'
import { removeInactive } from '../removal.ts'
import { decodeContextObject, encodeContextObject } from './context-object.ts'
import { covering, type RestoreOptions, restoreContexts } from './restore.ts'
import { createSegmentCodec } from './segment.ts'

const redis = useRedis()
const keyrings = useKeyrings()
let link: RedisLink
let directory = ''
let store: ColdStore

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'weir-cold-'))
  store = createDirectoryStore(directory, { clock: systemClock })
  link = connectRedis({
    url: redis.url,
    commandTimeoutMs: 5_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 100,
    name: 'restore',
  })
  await link.ready()
})
afterEach(async () => {
  store.close()
  await link.close()
  rmSync(directory, { recursive: true, force: true })
})

const PARTITION = partitionKeys({
  stream: 'webhook-events',
  deadLetters: 'webhook-events-dlq',
  group: 'webhook-processors',
  cluster: false,
})
const idOf = (number: number, tenant = 'acme') => contextIdOf(tenant, 'github', `acme/site#${number}`)
const world = (options: TestContextsOptions = {}) => assembled(link, { store, ...options })
type World = ReturnType<typeof world>

async function append(
  { contexts }: World,
  number: number,
  delivery: string,
  options: TestContextsOptions = {},
) {
  const { keyring } = options
  const json = pullRequest(number, 'edited', { body: `delivery ${delivery}` })
  const sent = { delivery, json, ...(keyring && { keyring }) }
  const { record, body } = recordOf(sent)
  await contexts.append(eventOf(record, keyring), record)
  return { id: record.id, body }
}
async function toCold(all: World, number: number) {
  await all.mover.cool(idOf(number), 1)
  await all.mover.freeze(idOf(number))
  await collectOld(all)
}
function restore(all: World, more: Partial<RestoreOptions> = {}, options: TestContextsOptions = {}) {
  const opener = options.keyring ?? NO_KEYRING
  const { dictionaries } = all.library
  const codec = createSegmentCodec({
    dictionaries,
    level: 6,
    packer: createPacker(dictionaries, 3),
    unpacker: createUnpacker(dictionaries, { opener }),
    maxBytes: 64 << 20,
    opener,
    sealing: options.keyring,
    encrypts: false,
  })
  return restoreContexts({
    store,
    places: [all.place],
    placeOf: () => all.place,
    partitions: [{ link, keys: PARTITION }],
    library: all.library,
    codec,
    opener,
    concurrency: 3,
    dryRun: false,
    onProgress: () => undefined,
    ...more,
  })
}
async function objectNames(): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of store.list('contexts/')) names.push(name)
  return names
}

describe('a Redis that has lost everything', () => {
  it('gets back all contexts that were cold, with their events, byte for byte', async () => {
    const all = world()
    const written = new Map<string, Map<string, Buffer>>()
    for (let n = 1; n <= 5; n++) {
      const events = new Map<string, Buffer>()
      for (let k = 0; k < n; k++) {
        const { id, body } = await append(all, n, `${n}-${k}`)
        events.set(id, body)
      }
      await all.contexts.read(idOf(n), { access: true })
      await toCold(all, n)
      written.set(idOf(n), events)
    }
    const before = await Promise.all([1, 2, 3, 4, 5].map((n) => all.contexts.read(idOf(n))))
    await link.call('FLUSHALL')
    const steps: number[] = []
    const report = await restore(all, { onProgress: (done) => void steps.push(done) })
    expect(report).toMatchObject({ contexts: 5, events: 15, there: 0, objects: 5, missing: 0, problems: [] })
    expect(steps).toEqual([1, 2, 3, 4, 5])
    const again = world()
    expect(await Promise.all([1, 2, 3, 4, 5].map((n) => again.contexts.read(idOf(n))))).toEqual(
      before.map((context) => ({ ...context, rawBytes: expect.any(Number) })),
    )
    const unpacker = createUnpacker(createDictionarySet(loadBundledDictionaries()))
    for (const [context, events] of written) {
      for (const [event, body] of events) {
        expect(await again.contexts.contextOf(event)).toBe(context)
        expect(unpacker.unpack((await again.contexts.record(context, event))!).body.equals(body)).toBe(true)
      }
    }
    expect((await again.contexts.list({ limit: 9 })).map(({ tier }) => tier)).toEqual(Array(5).fill('cold'))
    expect(await restore(again)).toMatchObject({ contexts: 0, there: 5, problems: [] })
  })

  it('gets back no event twice, whatever moves there were, and what is sent again completes it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('append', 'cool', 'freeze', 'thaw', 'heat', 'collect'), { maxLength: 14 }),
        fc.boolean(),
        async (steps, began) => {
          await link.call('FLUSHALL')
          for (const name of await objectNames()) await store.delete(name)
          const all = world()
          const sent: string[] = []
          const send = async (to: World, delivery: string) => (await append(to, 7, delivery)).id
          sent.push(await send(all, '0'))
          for (const step of steps) {
            if (step === 'append') sent.push(await send(all, `${sent.length}`))
            else if (step === 'cool') await all.mover.cool(idOf(7), 1)
            else if (step === 'freeze') await all.mover.freeze(idOf(7))
            else if (step === 'collect') await collectOld(all)
            else await all.mover[step](idOf(7), 8 << 20)
          }
          const frozen = steps.lastIndexOf('freeze')
          await link.call('FLUSHALL')
          const again = world()
          // Some of it may come again before anybody restores.
          if (began) await send(again, '0')
          const report = await restore(again)
          expect(report).toMatchObject({ missing: 0, problems: [] })
          if (frozen < 0) expect(report.contexts).toBe(0)
          for (const n of sent.keys()) await send(again, `${n}`)
          const context = await again.contexts.read(idOf(7))
          expect(context?.events).toBe(sent.length)
          expect(context?.timeline.map(({ eventId }) => eventId).sort()).toEqual([...sent].sort())
          for (const id of sent) expect((await again.contexts.record(idOf(7), id))?.id).toBe(id)
        },
      ),
      { numRuns: 40 },
    )
  })

  it('is restored by whoever goes on, when the first one died', async () => {
    const all = world()
    for (let n = 1; n <= 6; n++) {
      await append(all, n, `${n}`)
      await toCold(all, n)
    }
    await link.call('FLUSHALL')
    let reads = 0
    const dying: ColdStore = {
      ...store,
      get: async (name) => {
        if (++reads > 4) throw new Error('killed')
        return store.get(name)
      },
    }
    await expect(restore(all, { store: dying, concurrency: 1 })).rejects.toThrow('killed')
    const rest = await restore(all)
    expect(rest.there + rest.contexts).toBe(6)
    expect(rest.there).toBeGreaterThan(0)
    for (let n = 1; n <= 6; n++) expect((await all.contexts.read(idOf(n)))?.timeline).toHaveLength(1)
  })

  it('is restored once by two at once', async () => {
    const all = world()
    const ids = [(await append(all, 1, 'a')).id, (await append(all, 1, 'b')).id]
    await toCold(all, 1)
    await link.call('FLUSHALL')
    const sums = await Promise.all([restore(all), restore(world())])
    expect(sums.map(({ contexts, there }) => contexts + there)).toEqual([1, 1])
    expect(sums.reduce((sum, { contexts }) => sum + contexts, 0)).toBe(1)
    expect((await all.contexts.read(idOf(1)))?.timeline.map(({ eventId }) => eventId).sort()).toEqual(
      ids.sort(),
    )
  })

  it('is only looked at in a dry run, and one tenant can be asked for', async () => {
    const all = world()
    await append(all, 1, 'a')
    await toCold(all, 1)
    await link.call('FLUSHALL')
    expect(await restore(all, { dryRun: true })).toMatchObject({ contexts: 1, events: 1, problems: [] })
    expect(await link.call('DBSIZE')).toBe(0)
    expect(await restore(all, { tenant: 'other' })).toMatchObject({ contexts: 0 })
  })
})

describe('cold storage with', () => {
  it('objects of contexts that were removed and are about to be deleted: does not bring these back', async () => {
    const all = world()
    for (const n of [1, 2]) {
      await append(all, n, `${n}`)
      await toCold(all, n)
      await link.call('ZINCRBY', all.keys.active, -1_000_000, idOf(n))
    }
    await removeInactive([all.place], { inactiveMs: 1_000, dryRun: false })
    const since = await append(all, 2, 'since')
    expect(await restore(all)).toMatchObject({ contexts: 0, events: 0, problems: [] })
    expect(await all.archive.collect(all.place)).toBe(2)
    expect(await all.contexts.read(idOf(1))).toBeUndefined()
    const context = await all.contexts.read(idOf(2))
    expect(context).toMatchObject({ events: 1, withheld: undefined })
    expect(context?.timeline.map(({ eventId }) => eventId)).toEqual([since.id])
  })

  it('an object of a gap: keeps the one behind it, which has another place now', async () => {
    const all = world()
    await append(all, 1, 'a')
    await all.mover.cool(idOf(1), 1)
    await all.mover.freeze(idOf(1))
    const [first] = await objectNames()
    await link.call('FLUSHALL')
    const kept = await append(all, 1, 'b')
    await all.mover.cool(idOf(1), 1)
    await all.mover.freeze(idOf(1))
    const bytes = (await store.get((await objectNames()).find((name) => name !== first)!))!
    // As if it had been the second event.
    const behind = encodeContextObject({ ...decodeContextObject('', bytes), from: 1 })
    const name = first!.replace('.0-1-', '.1-1-')
    for (const each of await objectNames()) await store.delete(each)
    await store.put(name, behind)
    await link.call('FLUSHALL')
    expect(await restore(all)).toMatchObject({ contexts: 1, events: 1, missing: 1 })
    await link.call('ZADD', all.keys.puts, 1, name)
    await all.archive.collect(all.place)
    expect((await all.contexts.record(idOf(1), kept.id))?.id).toBe(kept.id)
  })

  it('a segment that was packed by another process with a dictionary of its own: keeps that beside it', async () => {
    const own = dictionaryOf(
      Buffer.from('"pull_request":{"number":,"title":"Change ","html_url":"https://github.com/'.repeat(9)),
    )
    const all = world({ dictionaries: createDictionarySet(new Map([['github', own]])) })
    await append(all, 1, 'a')
    for (const dictionary of loadBundledDictionaries().values()) all.library.dictionaries.add(dictionary)
    await all.mover.cool(idOf(1), 1)
    await publishDictionary(link, PARTITION, own)
    await toCold(world(), 1)
    await link.call('FLUSHALL')
    const later = world()
    expect(await restore(later)).toMatchObject({ contexts: 1, dictionaries: 1, unreadable: 0, problems: [] })
    expect((await later.contexts.read(idOf(1)))?.timeline).toHaveLength(1)
  })

  it('an object of another context under its name: tells it, and takes nothing of it', async () => {
    const all = world()
    for (const n of [1, 2]) {
      await append(all, n, `${n}`)
      await toCold(all, n)
    }
    const names = await objectNames()
    const nameOf = (number: number) => names.find((name) => name.includes(idOf(number)))!
    await store.put(nameOf(1), (await store.get(nameOf(2)))!)
    await link.call('FLUSHALL')
    const report = await restore(all)
    expect(report).toMatchObject({ contexts: 1, problems: [{ what: nameOf(1) }] })
    expect(await all.contexts.read(idOf(1))).toBeUndefined()
  })

  it('an object whose name says that it holds nothing: passes over it', async () => {
    const all = world()
    await append(all, 1, 'a')
    await toCold(all, 1)
    const [name] = await objectNames()
    await store.put(name!.replace('.0-1-', '.0-0-'), Buffer.from('nothing'))
    await link.call('FLUSHALL')
    expect(await restore(all)).toMatchObject({
      contexts: 1,
      events: 1,
      problems: [{ problem: expect.any(String) }],
    })
  })

  it('a damaged, a cut-off and a foreign object: tells each, and gives back the rest', async () => {
    const all = world()
    for (let n = 1; n <= 4; n++) {
      await append(all, n, `${n}`)
      await toCold(all, n)
    }
    const names = await objectNames()
    const damaged = (await store.get(names[0]!))!
    damaged[damaged.length >> 1]! ^= 4
    await store.put(names[0]!, damaged)
    await store.put(names[1]!, (await store.get(names[1]!))!.subarray(0, 100))
    await store.put('contexts/what-is-this.txt', Buffer.from('hello'))
    await link.call('FLUSHALL')
    const report = await restore(all)
    expect(report).toMatchObject({ contexts: 2, events: 2 })
    expect(report.problems.map(({ what }) => what).sort()).toEqual(
      ['contexts/what-is-this.txt', names[0], names[1]].sort(),
    )
  })

  it('a dictionary that nobody bundles any more: brings it back, and reads with it', async () => {
    const old = dictionaryOf(
      Buffer.from('"pull_request":{"number":,"title":"Change ","html_url":"https://github.com/'.repeat(9)),
    )
    const dictionaries = createDictionarySet(new Map([['github', old]]))
    for (const dictionary of loadBundledDictionaries().values()) dictionaries.add(dictionary)
    const all = world({ dictionaries })
    await append(all, 1, 'a')
    await toCold(all, 1)
    await link.call('FLUSHALL')
    const later = world()
    expect(await restore(later)).toMatchObject({ contexts: 1, dictionaries: 1, unreadable: 0, problems: [] })
    expect((await later.contexts.read(idOf(1)))?.timeline).toHaveLength(1)
  })

  it('encrypted objects: opens them for who has the key, and tells who has not', async () => {
    const keyring = keyrings.open()
    await keyring.prepare('acme')
    const all = world({ keyring })
    await append(all, 1, 'a', { keyring })
    await toCold(all, 1)
    const before = await all.contexts.read(idOf(1))
    await link.call('FLUSHALL')
    const without = await restore(world(), { dryRun: true })
    expect(without).toMatchObject({ contexts: 1, unreadable: 1 })
    const later = keyrings.open()
    const again = world({ keyring: later })
    expect(await restore(again, {}, { keyring: later })).toMatchObject({
      contexts: 1,
      unreadable: 0,
      problems: [],
    })
    expect(await again.contexts.read(idOf(1))).toEqual({ ...before, rawBytes: expect.any(Number) })
  })
})

describe('the objects that a context is restored from', () => {
  it('hold as many of its events as can be, none twice', () => {
    const range = fc.record({ from: fc.nat(12), count: fc.integer({ min: 1, max: 6 }) })
    fc.assert(
      fc.property(fc.array(range, { maxLength: 10 }), (objects) => {
        const chosen = covering(objects)
        let end = 0
        for (const { from, count } of chosen) {
          expect(from).toBeGreaterThanOrEqual(end)
          end = from + count
        }
        // By trying every choice.
        let most = 0
        for (let set = 0; set < 1 << objects.length; set++) {
          const some = objects.filter((_, n) => set & (1 << n)).sort((a, b) => a.from - b.from)
          if (some.every(({ from }, n) => n === 0 || from >= some[n - 1]!.from + some[n - 1]!.count))
            most = Math.max(
              most,
              some.reduce((sum, { count }) => sum + count, 0),
            )
        }
        expect(chosen.reduce((sum, { count }) => sum + count, 0)).toBe(most)
      }),
    )
  })
})
