import { destroyKeys, rotateKeys } from '@weir/core/keyring/changes'
import type { Keyring } from '@weir/core/keyring/keyring'
import { sealedWith } from '@weir/security/envelope'
import { createTenantCipher } from '@weir/security/tenant-cipher'
import { describe, expect, it } from 'vitest'
import { memoryStore } from '../../../tests/support/cold.ts'
import { assembled, contextsOf, pullRequest, type TestContexts } from '../../../tests/support/contexts.ts'
import { MASTER_KEY, useKeyrings } from '../../../tests/support/keyring.ts'
import { type TestPipeline, usePipeline } from '../../../tests/support/pipeline.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { contextKeys } from './context-keys.ts'
import { countSealedContexts } from './sealed-uses.ts'
import { cardOf } from './search/card.ts'
import { putCard } from './search/card-store.ts'

const redis = useRedis({ appendfsync: 'no' })
const keyrings = useKeyrings()
const openPipeline = usePipeline(redis)

interface World {
  readonly pipeline: TestPipeline
  readonly contexts: TestContexts
}

async function open(keyring?: Keyring): Promise<World> {
  const pipeline = await openPipeline(keyring === undefined ? {} : { sealing: keyring })
  return { pipeline, contexts: contextsOf(pipeline, keyring) }
}

let deliveries = 0

/** An event about this pull request comes into its context, which is returned. */
async function happens({ pipeline, contexts }: World, tenant: string, number: number, more = {}) {
  deliveries += 1
  const json = pullRequest(number, 'edited', more)
  await pipeline.accept({ tenant, type: 'pull_request', json, deliveryId: `${deliveries}` })
  const [id = ''] = await contexts.remember(...(await pipeline.read('consumer')))
  return id
}

const lastKey = async (tenant: string) => (await keyrings.store.read(tenant))?.keys.at(-1)?.id ?? ''

async function rotate(keyring: Keyring, tenant: string): Promise<void> {
  await rotateKeys(keyrings.store, createTenantCipher([MASTER_KEY]), tenant, 5)
  await keyring.lookAgain(tenant)
}

async function usesIn({ contexts }: World) {
  const { uses, complete } = await countSealedContexts([contexts.place], sealedWith)
  expect(complete).toBe(true)
  return uses
}

async function dump({ pipeline: { link } }: World): Promise<string> {
  const names = ((await link.call('KEYS', '*')) as Buffer[]).map(String).sort()
  const dumps = await Promise.all(names.map(async (name) => String(await link.call('DUMP', name))))
  return JSON.stringify([names, dumps])
}

describe('countSealedContexts', () => {
  it('counts contexts by key and tenant, and changes nothing', async () => {
    const keyring = keyrings.open()
    const world = await open(keyring)
    for (const number of [1, 2]) await happens(world, 'acme', number)
    await happens(world, 'acme', 1)
    await happens(world, 'globex', 1)
    await happens(await open(), 'initech', 1)
    const before = await dump(world)
    const uses = await usesIn(world)
    expect(await dump(world)).toBe(before)
    expect(uses).toHaveLength(3)
    expect(uses).toEqual(
      expect.arrayContaining([
        { kind: 'sealed', key: await lastKey('acme'), tenant: 'acme', contexts: 2 },
        { kind: 'sealed', key: await lastKey('globex'), tenant: 'globex', contexts: 1 },
        { kind: 'plain', key: '', tenant: 'initech', contexts: 1 },
      ]),
    )
  })

  it('counts what is warm or cold as what is hot', async () => {
    const keyring = keyrings.open()
    const world = await open(keyring)
    const id = await happens(world, 'acme', 1)
    const first = await lastKey('acme')
    const { mover } = assembled(world.pipeline.link, { keyring, keyOf: sealedWith, store: memoryStore() })
    const needs = (key: string) => ({ kind: 'sealed', key, tenant: 'acme', contexts: 1 })
    for (const move of [() => mover.cool(id, 1), () => mover.freeze(id)]) {
      expect(await move()).toMatchObject({ kind: 'moved' })
      expect(await usesIn(world)).toEqual([needs(first)])
    }
    // Its next event is sealed with the next key; its past stays under the one before.
    await rotate(keyring, 'acme')
    await happens(world, 'acme', 1)
    expect(await usesIn(world)).toEqual(expect.arrayContaining([needs(first), needs(await lastKey('acme'))]))
  })

  it('counts the cards that search reads, which may be sealed with a later key than all else, or damaged', async () => {
    const keyring = keyrings.open()
    const world = await open(keyring)
    const { contexts, place, keys } = world.contexts
    const id = await happens(world, 'acme', 1)
    const first = await lastKey('acme')
    await rotate(keyring, 'acme')
    await putCard(place, cardOf((await contexts.read(id))!, 0.5), keyring)
    const sealed = { kind: 'sealed', tenant: 'acme', contexts: 1 }
    expect(await usesIn(world)).toEqual([
      { ...sealed, key: first },
      { ...sealed, key: await lastKey('acme') },
    ])
    await putCard(place, cardOf((await contexts.read(id))!, 0.5), undefined)
    expect(await usesIn(world)).toContainEqual({ kind: 'plain', key: '', tenant: 'acme', contexts: 1 })
    await world.pipeline.link.call('SETRANGE', keys.card(id), 7, 'xxx')
    expect(await usesIn(world)).toContainEqual({ kind: 'damaged', key: '', tenant: 'acme', contexts: 1 })
  })

  it('counts a context for every key that it needs, and for what is not encrypted in it', async () => {
    const keyring = keyrings.open()
    const world = await open(keyring)
    const id = await happens(world, 'acme', 7)
    const first = await lastKey('acme')
    await rotate(keyring, 'acme')
    await happens(world, 'acme', 7)
    const second = await lastKey('acme')
    await happens(await open(), 'acme', 7)
    const row = { tenant: 'acme', contexts: 1 }
    expect(await usesIn(world)).toEqual(
      expect.arrayContaining([
        { ...row, kind: 'sealed', key: first },
        { ...row, kind: 'sealed', key: second },
        { ...row, kind: 'plain', key: '' },
      ]),
    )
    // Each part alone is enough to need its key.
    const { link } = world.pipeline
    const { keys } = world.contexts
    const keysOf = async () => (await usesIn(world)).map(({ key }) => key).sort()
    await link.call('RENAME', keys.raw(id), 'aside')
    expect(await keysOf()).toEqual(['', first, second].sort()) // by the digest
    await link.call('RENAME', 'aside', keys.raw(id))
    await link.call('LPOP', keys.log(id), 2)
    expect(await keysOf()).toEqual(['', first, second].sort()) // by the record
    await link.call('LPOP', keys.raw(id))
    expect(await keysOf()).toEqual(['', second].sort())
    await link.call('LPOP', keys.raw(id))
    expect(await keysOf()).toEqual(['', second].sort()) // by the subject
  })

  it('sees the oldest and the newest of many events, and small beside large ones', async () => {
    const keyring = keyrings.open()
    const world = await open(keyring)
    await happens(world, 'acme', 7)
    const first = await lastKey('acme')
    await destroyKeys(keyrings.store, 'acme', 5)
    await keyring.lookAgain('acme')
    const noise = Buffer.from(Array.from({ length: 300_000 }, (_, n) => (n * 7919) % 251)).toString('base64')
    for (let n = 0; n < 12; n++) await happens(world, 'acme', 7, { body: `${noise.slice(n)}${n}` })
    const second = await lastKey('acme')
    for (let n = 0; n < 230; n++)
      await world.pipeline.accept({ tenant: 'acme', type: 'pull_request', json: pullRequest(7, 'edited') })
    await world.contexts.remember(...(await world.pipeline.read('consumer')))
    await rotate(keyring, 'acme')
    await happens(world, 'acme', 7)
    // Only the last but one of all events needs this one.
    const third = await lastKey('acme')
    await rotate(keyring, 'acme')
    await happens(world, 'acme', 7)
    const found = (await usesIn(world)).map(({ key }) => key)
    expect(found.sort()).toEqual([first, second, third, await lastKey('acme')].sort())
  })

  it('finds every context of thousands, in each place, and stops when told', async () => {
    const world = await open()
    const { link } = world.pipeline
    const other = { link, keys: contextKeys('webhook-events', true, 3) }
    const id = await happens(world, 'acme', 7)
    const { keys } = world.contexts
    const many = 2_500
    for (let n = 0; n < many; n++) {
      const name = `ctx_${String(n).padStart(21, '0')}A`
      for (const part of ['head', 'log', 'raw'] as const)
        await link.call('COPY', keys[part](id), other.keys[part](name))
      await link.call('ZADD', other.keys.active, n, name)
    }
    // What is listed and has just gone is nothing.
    await link.call('ZADD', other.keys.active, 1, `ctx_${'9'.repeat(21)}A`)
    const places = [world.contexts.place, other]
    expect(await countSealedContexts(places, sealedWith)).toEqual({
      uses: [{ kind: 'plain', key: '', tenant: 'acme', contexts: many + 1 }],
      complete: true,
    })
    const stop = new AbortController()
    let looks = 0
    const stopping = async () => {
      looks += 1
      if (looks === 30) stop.abort()
    }
    const watched = { ...other, link: { ...link, run: spied(link.run, stopping) } }
    const stopped = await countSealedContexts([watched], sealedWith, stop.signal)
    expect(stopped.complete).toBe(false)
    expect(looks).toBeLessThan(100)
  })

  it('tells what is damaged, and still sees the keys beside it', async () => {
    const keyring = keyrings.open()
    const world = await open(keyring)
    const id = await happens(world, 'acme', 7)
    const { link } = world.pipeline
    const { keys } = world.contexts
    await link.call('RPUSH', keys.log(id), 'x'.repeat(40))
    await link.call('RPUSH', keys.raw(id), `${'x'.repeat(16)}["push",1,"sealed-zstd",""]\nshort`)
    await link.call('RPUSH', keys.raw(id), 'no line')
    const key = await lastKey('acme')
    expect(await usesIn(world)).toEqual([
      { kind: 'sealed', key, tenant: 'acme', contexts: 1 },
      { kind: 'damaged', key: '', tenant: 'acme', contexts: 1 },
    ])
    await link.call('SETRANGE', keys.head(id), 35, 'xxx')
    expect(await usesIn(world)).toEqual([
      { kind: 'damaged', key: '', tenant: '', contexts: 1 },
      { kind: 'sealed', key, tenant: '', contexts: 1 },
    ])
  })
})

/** The function, with something done before it. */
function spied<Args extends unknown[], Result>(
  run: (...args: Args) => Promise<Result>,
  before: () => Promise<void>,
): (...args: Args) => Promise<Result> {
  return async (...args) => {
    await before()
    return run(...args)
  }
}
