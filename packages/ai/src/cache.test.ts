import type { Fault } from '@weir/core/faults'
import { destroyKeys } from '@weir/core/keyring/changes'
import type { Sealing } from '@weir/core/keyring/keyring'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { useLink } from '../../../tests/support/ai.ts'
import { useKeyrings } from '../../../tests/support/keyring.ts'
import { type CachedKind, cacheName, createCache } from './cache.ts'

const world = useLink()
const keyrings = useKeyrings()
const PREFIX = '{webhook-events}:ai:'

function cacheOf(
  sealing?: Sealing,
  ttlMs: Readonly<Record<CachedKind, number>> = { embedding: 60_000, summary: 5_000 },
) {
  const faults: Fault[] = []
  const { link } = world
  const cache = createCache({
    link,
    prefix: PREFIX,
    sealing,
    ttlMs,
    failed: (error) => void faults.push(error),
  })
  return { cache, faults }
}

const values = (...pairs: [string, string][]) =>
  new Map(pairs.map(([name, value]) => [name, Buffer.from(value)] as const))
const texts = (found: (Buffer | undefined)[]) => found.map((value) => value?.toString())

describe('the cache', () => {
  it('finds what was put, by tenant, kind and name', async () => {
    const { cache } = cacheOf()
    await cache.put('acme', 'embedding', values(['a', 'one'], ['b', 'two']))
    expect(texts(await cache.get('acme', 'embedding', ['b', 'x', 'a']))).toEqual(['two', undefined, 'one'])
    expect(texts(await cache.get('globex', 'embedding', ['a']))).toEqual([undefined])
    expect(texts(await cache.get('acme', 'summary', ['a']))).toEqual([undefined])
  })

  it('keeps each kind for its time', async () => {
    const { cache } = cacheOf()
    await cache.put('acme', 'embedding', values(['a', 'one']))
    await cache.put('acme', 'summary', values(['a', 'one']))
    const left = async (kind: string) => Number(await world.link.call('PTTL', `${PREFIX}${kind}:acme:a`))
    expect(await left('embedding')).toBeGreaterThan(5_000)
    expect(await left('embedding')).toBeLessThanOrEqual(60_000)
    expect(await left('summary')).toBeGreaterThan(0)
    expect(await left('summary')).toBeLessThanOrEqual(5_000)
  })

  it('keeps nothing where it is told to', async () => {
    const { cache } = cacheOf(undefined, { embedding: 0, summary: 0 })
    await cache.put('acme', 'embedding', values(['a', 'one']))
    expect(await world.link.call('DBSIZE')).toBe(0)
    expect(await cache.get('acme', 'embedding', ['a'])).toEqual([undefined])
  })

  it('has a name for everything that a value is made of', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), fc.array(fc.string()), (a, b) => {
        expect(cacheName(...a)).toMatch(/^[\w-]{32}$/)
        expect(cacheName(...a) === cacheName(...b)).toBe(JSON.stringify(a) === JSON.stringify(b))
      }),
    )
    expect(cacheName('a', 'b')).not.toBe(cacheName('ab', ''))
  })
})

describe('where events are encrypted', () => {
  it('what is kept is sealed for its tenant and its name', async () => {
    const { cache } = cacheOf(keyrings.open())
    await cache.put('acme', 'summary', values(['a', 'the login was broken']))
    expect(texts(await cache.get('acme', 'summary', ['a']))).toEqual(['the login was broken'])
    const kept = (await world.link.call('GET', `${PREFIX}summary:acme:a`)) as Buffer
    expect(kept.includes('login')).toBe(false)
    // Under another name it is nothing.
    await world.link.call('COPY', `${PREFIX}summary:acme:a`, `${PREFIX}summary:acme:b`)
    expect(await cache.get('acme', 'summary', ['b'])).toEqual([undefined])
  })

  it('another process opens it, once it has looked for the key', async () => {
    const other = keyrings.open()
    await cacheOf(keyrings.open()).cache.put('acme', 'summary', values(['a', 'one']))
    expect(texts(await cacheOf(other).cache.get('acme', 'summary', ['a']))).toEqual(['one'])
  })

  it('what is kept in the clear is not believed, and what is sealed is not read without keys', async () => {
    const sealed = cacheOf(keyrings.open()).cache
    const plain = cacheOf().cache
    await plain.put('acme', 'summary', values(['a', 'one']))
    expect(await sealed.get('acme', 'summary', ['a'])).toEqual([undefined])
    await sealed.put('acme', 'summary', values(['a', 'one']))
    expect(await plain.get('acme', 'summary', ['a'])).toEqual([undefined])
  })

  it('nothing is found after the key was destroyed', async () => {
    const keyring = keyrings.open()
    const { cache, faults } = cacheOf(keyring)
    await cache.put('acme', 'summary', values(['a', 'one']))
    await destroyKeys(keyrings.store, 'acme', 5)
    await keyring.lookAgain('acme')
    expect(await cache.get('acme', 'summary', ['a'])).toEqual([undefined])
    expect(faults.map(({ code }) => code)).toEqual(['KEY_DESTROYED'])
  })
})

describe('a cache that fails', () => {
  it('finds and keeps nothing, and says why', async () => {
    const { cache, faults } = cacheOf()
    const gone = new Promise<void>((resolve) => void world.link.onDisconnect(resolve))
    await world.redis.server.kill('SIGKILL')
    await gone
    expect(await cache.get('acme', 'embedding', ['a', 'b'])).toEqual([undefined, undefined])
    await cache.put('acme', 'embedding', values(['a', 'one']))
    expect(faults.map(({ code }) => code)).toEqual(['REDIS_UNAVAILABLE', 'REDIS_UNAVAILABLE'])
  })

  it('goes on reading when Redis is full', async () => {
    const { cache, faults } = cacheOf()
    await cache.put('acme', 'embedding', values(['a', 'one']))
    await world.link.call('CONFIG', 'SET', 'maxmemory', '1')
    await cache.put('acme', 'embedding', values(['b', 'two']))
    expect(texts(await cache.get('acme', 'embedding', ['a', 'b']))).toEqual(['one', undefined])
    await world.link.call('CONFIG', 'SET', 'maxmemory', '0')
    expect(faults.map(({ code }) => code)).toEqual(['REDIS_OUT_OF_MEMORY'])
  })
})
