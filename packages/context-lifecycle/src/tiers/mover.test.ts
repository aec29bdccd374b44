/** Moves of contexts between the tiers: nothing lost, nothing doubled, whoever dies and whoever else moves. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@weir/core/clock'
import { createDictionarySet, loadBundledDictionaries } from '@weir/core/dictionaries'
import { destroyKeys } from '@weir/core/keyring/changes'
import { createUnpacker } from '@weir/core/packing'
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

const redis = useRedis()
const keyrings = useKeyrings()
let link: RedisLink
let directory = ''
let store: ColdStore
const SITE_7 = contextIdOf('acme', 'github', 'acme/site#7')
const PROMOTE = 64 << 20

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'weir-cold-'))
  store = createDirectoryStore(directory, { clock: systemClock })
  link = connectRedis({
    url: redis.url,
    commandTimeoutMs: 5_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 100,
    name: 'mover',
  })
  await link.ready()
})
afterEach(async () => {
  store.close()
  await link.close()
  rmSync(directory, { recursive: true, force: true })
})

const world = (options: TestContextsOptions = {}, to = link) => assembled(to, { store, ...options })
type World = ReturnType<typeof world>

/** What was appended: the ids and the bytes. */
type Written = Map<string, Buffer>

async function append(
  { contexts }: World,
  written: Written,
  count: number,
  options: TestContextsOptions = {},
) {
  const { keyring, encrypts = keyring !== undefined } = options
  for (let n = 0; n < count; n++) {
    const number = written.size
    const action = number === 0 ? 'opened' : 'edited'
    const json = pullRequest(7, action, { body: `text ${number} `.repeat(20), updated_at: timeOf(number) })
    const { record, body } = recordOf({
      delivery: `d-${number}`,
      json,
      receivedAt: 1_700_000_000_000 + number,
      ...(encrypts && keyring !== undefined && { keyring }),
    })
    await contexts.append(eventOf(record, keyring), record)
    written.set(record.id, body)
  }
}
const timeOf = (number: number) => new Date(1_600_000_000_000 + number * 1000).toISOString()

/** Every event is there, once, in its order, with its bytes. */
async function expectWhole({ contexts }: World, written: Written, options: TestContextsOptions = {}) {
  const context = await contexts.read(SITE_7)
  expect(context?.withheld).toBeUndefined()
  expect(context?.timeline.map(({ eventId }) => eventId)).toEqual([...written.keys()])
  expect(context?.events).toBe(written.size)
  const opener = options.keyring
  const unpacker = createUnpacker(createDictionarySet(loadBundledDictionaries()), opener && { opener })
  for (const [id, body] of written) {
    const record = await contexts.record(SITE_7, id)
    expect(record?.id).toBe(id)
    expect(unpacker.unpack(record!).body.equals(body)).toBe(true)
  }
}

async function tierOf({ contexts }: World) {
  const [listed] = await contexts.list({ limit: 1 })
  const read = await contexts.read(SITE_7)
  expect(listed?.tier).toBe(read?.tier)
  return read?.tier
}

async function objects(): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of store.list('contexts/')) names.push(name)
  return names
}

async function referredTo({ keys }: World): Promise<string[]> {
  const fields = (await link.call('HGETALL', keys.parts(SITE_7))) as Buffer[]
  const refs = fields.filter((_, at) => at % 2 === 1 && !String(fields[at - 1]).endsWith(':warm'))
  return refs.map((ref) => (JSON.parse(String(ref)) as { n: string }).n).sort()
}

const MOVES = {
  cool: ({ mover }: World) => mover.cool(SITE_7, 1),
  freeze: ({ mover }: World) => mover.freeze(SITE_7),
  thaw: ({ mover }: World) => mover.thaw(SITE_7, PROMOTE),
  heat: ({ mover }: World) => mover.heat(SITE_7, PROMOTE),
}
type MoveName = keyof typeof MOVES

describe('a context', () => {
  it('goes from hot to warm to cold and back, with all its events, and is cold at no cost the second time', async () => {
    const all = world()
    const written: Written = new Map()
    await append(all, written, 5)
    expect(await tierOf(all)).toBe('hot')
    for (const [move, tier, then] of [
      ['cool', 'warm', { kind: 'moved', parts: 1 }],
      ['freeze', 'cold', { kind: 'moved', parts: 1 }],
      ['thaw', 'warm', { kind: 'moved', parts: 1 }],
      ['freeze', 'cold', { kind: 'moved', parts: 1 }],
      ['freeze', 'cold', { kind: 'nothing' }],
      ['heat', 'cold', { kind: 'nothing' }],
      ['thaw', 'warm', { kind: 'moved', parts: 1 }],
      ['heat', 'hot', { kind: 'moved', parts: 1 }],
    ] as const) {
      expect(await MOVES[move](all), move).toEqual(then)
      expect(await tierOf(all), move).toBe(tier)
      await expectWhole(all, written)
      if (move !== 'cool') expect(await objects()).toHaveLength(1)
    }
    // Redis' copy is all that there is now, but for the object, which stays until another holds the same.
    await append(all, written, 2)
    await MOVES.cool(all)
    await MOVES.freeze(all)
    expect(await collectOld(all)).toBe(1)
    expect(await objects()).toEqual(await referredTo(all))
    await expectWhole(all, written)
  })

  it('that gets events while it is cold is hot with these, and is one object again later', async () => {
    const all = world()
    const written: Written = new Map()
    for (let round = 0; round < 4; round++) {
      await append(all, written, 3)
      expect(await tierOf(all)).toBe('hot')
      await expectWhole(all, written)
      await MOVES.cool(all)
      await MOVES.freeze(all)
      await collectOld(all)
      expect(await objects()).toHaveLength(1)
    }
    await expectWhole(all, written)
    const newest = await all.contexts.read(SITE_7, { limit: 2 })
    expect(newest?.timeline).toHaveLength(2)
  })

  it('knows an event that comes again, in whatever tier it is', async () => {
    const all = world()
    const written: Written = new Map()
    await append(all, written, 2)
    for (const move of ['cool', 'freeze', 'thaw', 'heat'] as const) {
      await MOVES[move](all)
      const { record } = recordOf({ delivery: 'd-0', json: pullRequest(7, 'opened') })
      expect(await all.contexts.append(eventOf(record), record)).toMatchObject({ events: undefined })
    }
    await expectWhole(all, written)
  })

  it('of many events lies in several segments, and what is asked for is read of these alone', async () => {
    const all = world({ segmentBytes: 20_000 })
    const written: Written = new Map()
    await append(all, written, 60)
    expect(await MOVES.cool(all)).toMatchObject({ kind: 'moved' })
    const parts = (await link.call('HKEYS', all.keys.parts(SITE_7))) as Buffer[]
    expect(parts.length).toBeGreaterThan(2)
    await MOVES.freeze(all)
    expect((await objects()).length).toBeGreaterThan(2)
    await expectWhole(all, written)
    let fetched = 0
    const counting: ColdStore = {
      ...store,
      get(name) {
        fetched++
        return store.get(name)
      },
    }
    const context = await world({ store: counting, segmentBytes: 20_000 }).contexts.read(SITE_7, { limit: 3 })
    expect(context?.timeline.map(({ eventId }) => eventId)).toEqual([...written.keys()].slice(-3))
    expect(fetched).toBe(1)
  })

  it('with an event larger than a segment has a segment for it', async () => {
    const all = world({ segmentBytes: 20_000 })
    const large = recordOf({
      delivery: 'large',
      json: pullRequest(7, 'opened', { body: 'x'.repeat(300_000) }),
    })
    await all.contexts.append(eventOf(large.record), large.record)
    await MOVES.cool(all)
    await MOVES.freeze(all)
    const record = await all.contexts.record(SITE_7, large.record.id)
    const unpacker = createUnpacker(createDictionarySet(loadBundledDictionaries()))
    expect(unpacker.unpack(record!).body.equals(large.body)).toBe(true)
  })
})

describe('whoever dies in the middle of a move', () => {
  /** A link and a store of which call number `at` is the last: it is not made, or its answer is lost. */
  function dying(at: number, answered: 'never made' | 'answer lost') {
    let calls = 0
    const died = new Error('killed')
    const step = async <T>(act: () => Promise<T>): Promise<T> => {
      if (calls > at) throw died
      if (calls++ < at) return act()
      if (answered === 'answer lost') await act()
      throw died
    }
    const mortalLink: RedisLink = {
      ...link,
      call: (command, ...args) => step(() => link.call(command, ...args)),
      run: (script, keys, args) => step(() => link.run(script, keys, args)),
    }
    const mortalStore: ColdStore = {
      ...store,
      put: (name, bytes) => step(() => store.put(name, bytes)),
      get: (name) => step(() => store.get(name)),
      delete: (name) => step(() => store.delete(name)),
    }
    return { all: world({ store: mortalStore }, mortalLink), calls: () => calls, died }
  }

  it.each([
    ['cool', [], 4],
    ['cool', ['cool'], 3],
    ['freeze', ['cool'], 0],
    ['freeze', ['cool', 'freeze', 'append', 'cool'], 0],
    ['freeze', ['cool', 'freeze', 'thaw', 'heat', 'append', 'cool'], 0],
    ['thaw', ['cool', 'freeze'], 0],
    ['heat', ['cool', 'freeze', 'thaw'], 2],
  ] as const)(
    '%s after %j: has lost nothing and doubled nothing, and others finish it',
    async (move, before, more) => {
      for (let at = 0, done = false; !done; at++) {
        for (const answered of ['never made', 'answer lost'] as const) {
          await link.call('FLUSHALL')
          for (const name of await objects()) await store.delete(name)
          const all = world()
          const written: Written = new Map()
          await append(all, written, 3)
          for (const step of before) {
            if (step === 'append') await append(all, written, 2)
            else await MOVES[step](all)
          }
          if (move === 'cool') await append(all, written, more)
          const mortal = dying(at, answered)
          await MOVES[move](mortal.all).catch((error: unknown) => expect(error).toBe(mortal.died))
          if (mortal.calls() <= at) done = true
          await expectWhole(all, written)
          await append(all, written, 1)
          await expectWhole(all, written)
          await MOVES[move](all)
          await expectWhole(all, written)
          // What was announced and given up is deleted in the end, and nothing else.
          await collectOld(all)
          expect(await objects()).toEqual(await referredTo(all))
          await expectWhole(all, written)
        }
      }
    },
  )
})

describe('two movers at once', () => {
  it.each(['cool', 'freeze', 'thaw', 'heat'] as const)(
    '%s: one moves it, the other nothing',
    async (move) => {
      const [one, two] = [world(), world()]
      const written: Written = new Map()
      await append(one, written, 6)
      const before: Record<MoveName, readonly MoveName[]> = {
        cool: [],
        freeze: ['cool'],
        thaw: ['cool', 'freeze'],
        heat: ['cool'],
      }
      for (const step of before[move]) await MOVES[step](one)
      const outcomes = await Promise.all([MOVES[move](one), MOVES[move](two)])
      expect(outcomes.map(({ kind }) => kind)).toContain('moved')
      await expectWhole(one, written)
      await collectOld(one)
      expect(await objects()).toEqual(await referredTo(one))
    },
  )

  it('and events that come meanwhile, in any order: every event is there once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.array(fc.constantFrom('append', 'cool', 'freeze', 'thaw', 'heat', 'read', 'collect'), {
            minLength: 1,
            maxLength: 4,
          }),
          { minLength: 1, maxLength: 10 },
        ),
        fc.constantFrom(3_000, 4 << 20),
        async (turns, segmentBytes) => {
          await link.call('FLUSHALL')
          for (const name of await objects()) await store.delete(name)
          const worlds = [world({ segmentBytes }), world({ segmentBytes })]
          const written: Written = new Map()
          await append(worlds[0]!, written, 2)
          for (const turn of turns) {
            const [now] = [new Map(written)]
            await Promise.all(
              turn.map(async (step, n) => {
                const all = worlds[n % 2]!
                if (step === 'append') {
                  // One at a time: the order of arrival is what the test compares.
                  if (turn.indexOf('append') === n) await append(all, now, 1)
                } else if (step === 'read') await all.contexts.read(SITE_7, { access: true })
                else if (step === 'collect') await collectOld(all)
                else await MOVES[step](all)
              }),
            )
            for (const [id, body] of now) written.set(id, body)
            await expectWhole(worlds[0]!, written)
          }
        },
      ),
      { numRuns: 40 },
    )
  })
})

describe('an encrypted context', () => {
  const SECRET = 'q7Zk3v0XoWhatNobodyShouldRead'
  it('is encrypted in every tier, and opens with the key that it was sealed with and with no other', async () => {
    const keyring = keyrings.open()
    await keyring.prepare('acme')
    const options = { keyring }
    const all = world(options)
    const { record, body } = recordOf({
      delivery: '1',
      json: pullRequest(7, 'opened', { title: SECRET }),
      keyring,
    })
    await all.contexts.append(eventOf(record, keyring), record)
    for (const move of ['cool', 'freeze', 'thaw', 'heat', 'cool'] as const) {
      expect(await MOVES[move](all)).toMatchObject({ kind: 'moved' })
      const client = redis.client()
      for (const key of await client.keys('*'))
        expect((await client.dumpBuffer(key))!.includes(SECRET), `${move} ${key}`).toBe(false)
      for (const name of await objects()) expect((await store.get(name))!.includes(SECRET)).toBe(false)
      expect(await all.contexts.read(SITE_7)).toMatchObject({ title: SECRET })
      const unpacker = createUnpacker(createDictionarySet(loadBundledDictionaries()), { opener: keyring })
      expect(unpacker.unpack((await all.contexts.record(SITE_7, record.id))!).body.equals(body)).toBe(true)
    }
    // Without the key it stays where it is.
    const without = world({ encrypts: false })
    expect(await MOVES.heat(without)).toMatchObject({ kind: 'stuck', why: { code: 'KEY_MISSING' } })
    expect(await tierOf(all)).toBe('warm')
  })

  it('does not open what was put there of another context', async () => {
    const keyring = keyrings.open()
    await keyring.prepare('acme')
    const all = world({ keyring })
    await append(all, new Map(), 1, { keyring })
    const { record } = recordOf({ delivery: 'other', json: pullRequest(8, 'opened'), keyring })
    const { context } = await all.contexts.append(eventOf(record, keyring), record)
    for (const id of [SITE_7, context]) await all.mover.cool(id, 1)
    const other = await link.call('HGET', all.keys.parts(context), '0:1:warm')
    await link.call('HSET', all.keys.parts(SITE_7), '0:1:warm', other as Buffer)
    expect(await all.contexts.read(SITE_7)).toMatchObject({ timeline: [], withheld: { events: 1 } })
  })

  it('stays encrypted where encryption was switched off since', async () => {
    const keyring = keyrings.open()
    await keyring.prepare('acme')
    const all = world({ keyring })
    const written: Written = new Map()
    await append(all, written, 2, { keyring })
    const off = world({ keyring, encrypts: false })
    for (const move of ['cool', 'freeze', 'thaw', 'heat'] as const) {
      expect(await MOVES[move](off)).toMatchObject({ kind: 'moved' })
      const client = redis.client()
      for (const key of await client.keys('*'))
        expect((await client.dumpBuffer(key))!.includes('acme/site'), `${move} ${key}`).toBe(false)
    }
    await expectWhole(off, written, { keyring })
  })
})

describe('what cannot be opened', () => {
  it('does not keep the events that come after it from moving', async () => {
    const keyring = keyrings.open()
    await keyring.prepare('acme')
    const options = { keyring }
    const all = world(options)
    const written: Written = new Map()
    await append(all, written, 2, options)
    await MOVES.cool(all)
    await destroyKeys(keyrings.store, 'acme', 5)
    await keyring.lookAgain('acme')
    await keyring.prepare('acme')
    await append(all, written, 2, options)
    expect(await MOVES.cool(all)).toMatchObject({ kind: 'moved' })
    expect(await MOVES.freeze(all)).toMatchObject({ kind: 'moved' })
    expect(await tierOf(all)).toBe('cold')
    const context = await all.contexts.read(SITE_7)
    expect(context?.withheld).toMatchObject({ events: 2, why: { code: 'KEY_DESTROYED' } })
    expect(context?.timeline.map(({ eventId }) => eventId)).toEqual([...written.keys()].slice(2))
  })

  it('goes through the tiers as it is', async () => {
    const all = world()
    const written: Written = new Map()
    await append(all, written, 3)
    const [damaged] = (await link.call('LRANGE', all.keys.raw(SITE_7), 1, 1)) as Buffer[]
    damaged!.fill(0x7a, damaged!.length - 20)
    await link.call('LSET', all.keys.raw(SITE_7), 1, damaged!)
    for (const move of ['cool', 'freeze', 'thaw', 'heat'] as const)
      expect(await MOVES[move](all), move).toMatchObject({ kind: 'moved' })
    expect((await link.call('LRANGE', all.keys.raw(SITE_7), 1, 1)) as Buffer[]).toEqual([damaged])
    expect((await all.contexts.read(SITE_7))?.timeline).toHaveLength(3)
  })
})

describe('cold storage that', () => {
  it.each([
    ['writes something else', { put: (name: string) => store.put(name, Buffer.from('else')) }],
    ['forgets what was written', { put: async () => undefined }],
    ['cuts off what is read', { get: async (name: string) => (await store.get(name))?.subarray(0, 50) }],
  ])('%s leaves the events where they were', async (_what, broken) => {
    const all = world({ store: { ...store, ...broken } as ColdStore })
    const written: Written = new Map()
    await append(all, written, 3)
    await MOVES.cool(all)
    expect(await MOVES.freeze(all)).toMatchObject({ kind: 'stuck', why: { code: 'RECORD_CORRUPT' } })
    expect(await tierOf(all)).toBe('warm')
    await expectWhole(all, written)
  })

  it('has lost or damaged an object: the context tells how many events are withheld, and shows the others', async () => {
    const all = world()
    const written: Written = new Map()
    await append(all, written, 3)
    await MOVES.cool(all)
    await MOVES.freeze(all)
    await append(all, written, 1)
    const [name] = await objects()
    const bytes = (await store.get(name!))!
    bytes[bytes.length - 40]! ^= 1
    await store.put(name!, bytes)
    const context = await all.contexts.read(SITE_7)
    expect(context?.withheld).toMatchObject({ events: 3, why: { code: 'RECORD_CORRUPT' } })
    expect(context?.timeline).toHaveLength(1)
    await expect(all.contexts.record(SITE_7, [...written.keys()][0]!)).rejects.toMatchObject({
      code: 'RECORD_CORRUPT',
    })
    await store.delete(name!)
    expect((await all.contexts.read(SITE_7))?.withheld?.why.message).toContain('not in')
  })
})

describe('a Redis that is out of memory', () => {
  it('is relieved by cooling and freezing, and refuses to thaw and heat with nothing changed', async () => {
    const all = world()
    const written: Written = new Map()
    await append(all, written, 20)
    const client = redis.client()
    const full = async () => void (await client.config('SET', 'maxmemory', '1'))
    const roomy = async () => void (await client.config('SET', 'maxmemory', '0'))
    await full()
    expect(await MOVES.cool(all)).toMatchObject({ kind: 'moved' })
    await expectWhole(all, written)
    await expect(MOVES.heat(all)).rejects.toMatchObject({ code: 'REDIS_OUT_OF_MEMORY' })
    await expectWhole(all, written)
    await roomy()
    await MOVES.freeze(all)
    await full()
    await expect(MOVES.thaw(all)).rejects.toMatchObject({ code: 'REDIS_OUT_OF_MEMORY' })
    await roomy()
    expect(await tierOf(all)).toBe('cold')
    await expectWhole(all, written)
  })
})
