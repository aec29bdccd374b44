import { afterEach, describe, expect, it } from 'vitest'
import { outOfMemory } from '../../../../tests/heart/world.ts'
import { useRedis, withRedis } from '../../../../tests/support/redis.ts'
import { connectRedis, type RedisLink } from '../redis/link.ts'
import { infoField } from '../redis/suitability.ts'
import { entryOf, successorOf } from './entries.test-support.ts'
import { specifyKeyStore } from './key-store.test-support.ts'
import { checkKeyringServer, createRedisStore } from './redis-store.ts'

const KEY = 'weir:keyring'
const redis = useRedis({ appendfsync: 'no' })
const links: RedisLink[] = []
afterEach(() => Promise.all(links.splice(0).map((link) => link.close())))

async function linkTo(
  url = redis.url,
  user: { username?: string; password?: string } = {},
): Promise<RedisLink> {
  const link = connectRedis({
    url,
    ...user,
    commandTimeoutMs: 20_000,
    connectTimeoutMs: 5_000,
    reconnectMaxDelayMs: 100,
    name: 'keyring',
  })
  links.push(link)
  await link.ready()
  return link
}

specifyKeyStore(async () => {
  const control = redis.client()
  return {
    open: async () => createRedisStore(await linkTo(), { readyMs: 200 }),
    put: async (tenant, _revision, text) => void (await control.hset(KEY, tenant, text)),
    content: async () => {
      expect(await control.keys('*')).toEqual([KEY])
      return new Map(Object.entries(await control.hgetall(KEY)))
    },
    makeUnavailable: () => redis.server.kill('SIGKILL'),
  }
})

describe('a Redis', () => {
  it('keeps each keyring under its own key', async () => {
    const link = await linkTo()
    const [one, two] = [createRedisStore(link), createRedisStore(link, { key: 'keys-of-two' })]
    const entries = [entryOf('acme', 1), entryOf('acme', 1)] as const
    expect(await one.replace(entries[0])).toBe(true)
    expect(await two.replace(entries[1])).toBe(true)
    expect(await one.read('acme')).toEqual(entries[0])
    expect(await two.read('acme')).toEqual(entries[1])
  })

  it('is named as the caller says, else by its address', async () => {
    const link = await linkTo()
    expect(createRedisStore(link).place).toBe(`127.0.0.1:${redis.port}`)
    const store = createRedisStore(link, { key: KEY, place: 'the keyring' })
    expect(store.place).toBe('the keyring')
    await redis.client().hset(KEY, 'acme', '{')
    await expect(store.read('acme')).rejects.toThrow(
      'keyring: field acme of the hash weir:keyring in the keyring is not JSON',
    )
    await store.close()
    expect(link.connected).toBe(false)
  })

  it('that is full refuses a change, and keeps what it has', async () => {
    const link = await linkTo()
    const store = createRedisStore(link)
    const entry = entryOf('acme', 1)
    await store.replace(entry)
    await expect(outOfMemory(link, () => store.replace(successorOf(entry, 'acme')))).rejects.toMatchObject({
      code: 'KEYRING_UNAVAILABLE',
      message: expect.stringMatching(
        /^keyring: the hash weir:keyring in .* could not be written: .*maxmemory/,
      ),
      cause: { code: 'REDIS_OUT_OF_MEMORY' },
    })
    expect(await store.read('acme')).toEqual(entry)
  })

  it('that is gone is the cause of the fault', async () => {
    const store = createRedisStore(await linkTo(), { readyMs: 200 })
    await redis.server.kill('SIGKILL')
    await expect(store.readAll()).rejects.toMatchObject({
      code: 'KEYRING_UNAVAILABLE',
      cause: { code: 'REDIS_UNAVAILABLE' },
    })
  })

  it('in which the key is something else cannot be used', async () => {
    const store = createRedisStore(await linkTo())
    await redis.client().set(KEY, 'something else')
    for (const use of [
      () => store.read('acme'),
      () => store.readAll(),
      () => store.replace(entryOf('acme', 1)),
    ]) {
      await expect(use()).rejects.toMatchObject({
        code: 'KEYRING_UNAVAILABLE',
        message: expect.stringContaining('WRONGTYPE'),
      })
    }
    expect(await redis.client().get(KEY)).toBe('something else')
  })

  it('whose user may not write is called unsuitable, not unreachable', async () => {
    await redis.client().call('ACL', 'SETUSER', 'reader', 'on', '>secret', '~*', '+@read', '+info')
    const store = createRedisStore(await linkTo(redis.url, { username: 'reader', password: 'secret' }))
    expect(await store.read('acme')).toBeUndefined()
    await expect(store.replace(entryOf('acme', 1))).rejects.toMatchObject({ code: 'REDIS_UNSUITABLE' })
    await redis.client().call('ACL', 'DELUSER', 'reader')
  })

  /** Puts something in the place of the entry after it was read, before the script runs. */
  const overtaken = (link: RedisLink, stored: string): RedisLink => ({
    ...link,
    peer: link.peer,
    run: async (script, keys, args) => {
      await link.call('HSET', KEY, 'acme', stored)
      return link.run(script, keys, args)
    },
  })

  it.each<[string, string]>([
    ['nothing', ''],
    ['half an object', '{'],
    ['null', 'null'],
    ['a number', '7'],
    ['a text', '"text"'],
    ['a list', '[]'],
    ['an empty object', '{}'],
    ['a revision in text', '{"revision":"1"}'],
    ['a revision that is null', '{"revision":null}'],
    ['too deep', '{"a":'.repeat(2_000)],
  ])(
    'leaves alone what has no revision, also when it comes between reading and writing: %s',
    async (_, stored) => {
      const link = await linkTo()
      const store = createRedisStore(overtaken(link, stored))
      await expect(store.replace(entryOf('acme', 1))).rejects.toMatchObject({
        code: 'KEYRING_CORRUPT',
        message: expect.stringMatching(/^keyring: field acme of the hash weir:keyring in .* has no revision/),
      })
      expect(String(await link.call('HGET', KEY, 'acme'))).toBe(stored)
    },
  )

  it('refuses what is overtaken between reading and writing', async () => {
    const link = await linkTo()
    const first = entryOf('acme', 1)
    await createRedisStore(link).replace(first)
    const stored = JSON.stringify({ revision: 2 })
    expect(await createRedisStore(overtaken(link, stored)).replace(entryOf('acme', 2))).toBe(false)
    expect(String(await link.call('HGET', KEY, 'acme'))).toBe(stored)
  })
})

describe('the server of a keyring', () => {
  const runIdOf = async (link: RedisLink) => infoField(await link.call('INFO', 'server'), 'run_id')
  const SAME =
    /^The keyring is on the Redis server that holds the events: .*give the keyring a server of its own$/

  it('is fit when it is another one than that of the events, or nobody knows which that is', async () => {
    const link = await linkTo()
    for (const runId of ['0'.repeat(40), '', undefined]) {
      expect(await checkKeyringServer(link, true, runId)).toEqual([])
    }
  })

  it('that holds the events too is warned of, and in production refused, in the same sentence', async () => {
    const link = await linkTo()
    const runId = await runIdOf(link)
    expect(runId).toMatch(/^[0-9a-f]{40}$/)
    const warnings = await checkKeyringServer(link, false, runId)
    expect(warnings).toEqual([expect.stringMatching(SAME)])
    await expect(checkKeyringServer(link, true, runId)).rejects.toMatchObject({
      code: 'REDIS_UNSUITABLE',
      message: warnings[0],
    })
  })

  it('is judged as that of the events is', () =>
    withRedis(
      async (control, { url }) => {
        const link = await linkTo(url)
        const runId = await runIdOf(link)
        expect(await checkKeyringServer(link, false, runId)).toEqual([
          expect.stringContaining('appendonly yes'),
          expect.stringMatching(SAME),
        ])
        await control.config('SET', 'maxmemory-policy', 'allkeys-lru')
        expect(await checkKeyringServer(link, false, undefined)).toHaveLength(2)
        await expect(checkKeyringServer(link, true, undefined)).rejects.toMatchObject({
          code: 'REDIS_UNSUITABLE',
          message: expect.stringContaining('allkeys-lru'),
        })
        await link.close()
      },
      { args: ['--appendonly', 'no'] },
    ))
})
