/** The gateway with encryption on: nothing that a sender sent can be read in Redis, or in the spool, without the keys. */
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { keysOf } from '@weir/core/config/parts'
import { dictionaryOf, giveLearned, loadBundledDictionaries, sealDictionary } from '@weir/core/dictionaries'
import { destroyKeys, rotateKeys } from '@weir/core/keyring/changes'
import type { Keyring } from '@weir/core/keyring/keyring'
import { decodeRecord } from '@weir/core/record'
import type { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { POLL, sendGithub, storedEvents, type TestGateway, withGateway } from './support/gateway.ts'
import { MASTER_KEY, useKeyrings } from './support/keyring.ts'
import { useRedis } from './support/redis.ts'

const redis = useRedis()
const keyrings = useKeyrings()

/** In every body; no compression hides it. */
const SECRET_WORD = 'q7Zk3v0XoWhatNobodyShouldRead9dT1u'
const bodyOf = (n: number) =>
  JSON.stringify({ action: 'opened', n, word: SECRET_WORD, padding: 'x'.repeat(n * 50) })

const NEW_MASTER = 'nT6yQ0wE4rU8iP2oA7sD1fG5hJ9kLzX3cVbM-mKj'

function encrypting<T>(
  use: (running: TestGateway) => Promise<T>,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<T> {
  return withGateway(
    {
      redisUrl: redis.url,
      settings: {
        'security.encryption_enabled': true,
        'security.encryption_master_key': MASTER_KEY,
        'security.keyring_directory': keyrings.directory,
        'security.keyring_refresh': '100ms',
        'redis.command_timeout': '250ms',
        'redis.reconnect_max_delay': '100ms',
        'ingest.admission_budget': '400ms',
        'ingest.spool.drain_interval': '20ms',
        'compression.refresh_interval': '100ms',
        ...settings,
      },
    },
    use,
  )
}

/** That of another process, which knows this tenant. */
async function keyringOf(tenant: string): Promise<Keyring> {
  const keyring = keyrings.open()
  await keyring.lookAgain(tenant)
  return keyring
}

/** All keys and values in Redis, as a dump of it would have them. */
async function everything(client: Redis): Promise<Buffer> {
  const parts: Buffer[] = []
  for (const key of await client.keys('*')) {
    parts.push(Buffer.from(key))
    const type = await client.type(key)
    const read = { stream: 'XRANGE', hash: 'HGETALL', string: 'GET', zset: 'ZRANGE', set: 'SMEMBERS' }[type]
    if (read === undefined) throw new Error(`what is a ${type}?`)
    const range = type === 'stream' ? ['-', '+'] : type === 'zset' ? [0, -1] : []
    const flat = (value: unknown): void => {
      if (Array.isArray(value)) value.forEach(flat)
      else parts.push(Buffer.from(value as Buffer))
    }
    flat(await client.callBuffer(read, key, ...range))
  }
  return Buffer.concat(parts)
}

function filesIn(directory: string): Buffer {
  const parts = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path))
  return Buffer.concat(parts)
}

const statusOf = (port: number, n: number, path?: string) =>
  sendGithub(port, `delivery-${n}`, bodyOf(n), path).then(({ status }) => status)

describe('with encryption_enabled', () => {
  it('an event is encrypted in Redis, and opens with the keyring', () =>
    encrypting(async ({ port }) => {
      expect(await Promise.all([1, 2, 3, 40].map((n) => statusOf(port, n)))).toEqual([202, 202, 202, 202])
      const client = redis.client()
      const stored = await storedEvents(client, await keyringOf('default'))
      expect(stored.map(({ body }) => body.toString()).sort()).toEqual([1, 2, 3, 40].map(bodyOf).sort())
      expect(new Set(stored.map(({ encoding }) => encoding))).toEqual(new Set(['sealed-folded']))
      const all = await everything(client)
      expect(all.includes(SECRET_WORD)).toBe(false)
      // Nor is there a zstd frame.
      expect(all.includes(Buffer.from('28b52ffd', 'hex'))).toBe(false)
    }))

  it('tenants have keys of their own', () =>
    encrypting(async ({ port, encryption }) => {
      await statusOf(port, 1, '/webhooks/github/acme')
      await statusOf(port, 2, '/webhooks/github/other')
      const [one, two] = await storedEvents(redis.client(), encryption?.keyring)
      expect([one?.tenant, two?.tenant]).toEqual(['acme', 'other'])
      expect(encryption?.cipher.keyOf(one!.packed)).not.toBe(encryption?.cipher.keyOf(two!.packed))
      expect(readdirSync(keyrings.directory).sort()).toEqual(['acme.1.json', 'other.1.json'])
    }))

  it('a redelivery is a duplicate as before', () =>
    encrypting(async ({ port }) => {
      expect([await statusOf(port, 1), await statusOf(port, 1)]).toEqual([202, 200])
    }))

  it('the spool holds nothing that can be read either, and drains', () =>
    encrypting(async (running) => {
      const { port, spool, config } = running
      await statusOf(port, 0)
      await redis.server.kill('SIGKILL')
      await expect.poll(() => statusOf(port, 1), POLL).toBe(202)
      expect(await Promise.all([2, 3].map((n) => statusOf(port, n)))).toEqual([202, 202])
      await expect.poll(() => spool?.records, POLL).toBe(3)
      const files = filesIn(config.webhook.ingest.spool.directory)
      expect(files.includes('sealed-')).toBe(true)
      expect(files.includes(SECRET_WORD)).toBe(false)
      await redis.server.restart()
      await expect.poll(() => spool?.records, POLL).toBe(0)
      const bodies = (await storedEvents(redis.client(), await keyringOf('default'))).map(({ body }) =>
        String(body),
      )
      expect(bodies.sort()).toEqual([0, 1, 2, 3].map(bodyOf).sort())
    }))

  it('a rotated key is written with soon, and what the old one encrypted still opens', () =>
    encrypting(async ({ port, encryption }) => {
      const { store, cipher, keyring } = encryption!
      await statusOf(port, 1)
      await rotateKeys(store, cipher, 'default', 5)
      await expect.poll(() => keyring.facts.keys, POLL).toBe(2)
      await statusOf(port, 2)
      const stored = await storedEvents(redis.client(), keyring)
      expect(stored.map(({ body }) => String(body))).toEqual([1, 2].map(bodyOf))
      expect(new Set(stored.map(({ packed }) => cipher.keyOf(packed))).size).toBe(2)
    }))
})

describe('a keyring that cannot be used', () => {
  it('lets the events of known tenants through; those of new ones get 503 until it is back', () =>
    encrypting(async ({ port, encryption, log, counter }) => {
      expect(await statusOf(port, 1, '/webhooks/github/acme')).toBe(202)
      const { store } = encryption!
      const damaged = '{"v":1'
      writeFileSync(join(store.place, 'new.1.json'), damaged)
      expect(await statusOf(port, 2, '/webhooks/github/acme')).toBe(202)
      const refused = await sendGithub(port, 'd-3', bodyOf(3), '/webhooks/github/new')
      expect(refused).toMatchObject({
        status: 503,
        json: { code: 'UNAVAILABLE' },
        headers: { 'retry-after': '5' },
      })
      expect(refused.json.detail).toContain('it cannot be encrypted')
      expect(await counter('webhook_faults_total', 'code=KEYRING_CORRUPT')).toBe(1)
      expect(log).toContainEqual(
        expect.objectContaining({ event: 'keyring', code: 'KEYRING_CORRUPT', tenant: 'new' }),
      )
      rmSync(join(store.place, 'new.1.json'))
      expect(await statusOf(port, 3, '/webhooks/github/new')).toBe(202)
      expect(await storedEvents(redis.client(), encryption?.keyring)).toHaveLength(3)
    }))

  it('because the master key is another one: the gateway does not start', async () => {
    await encrypting(async ({ port }) => statusOf(port, 1))
    const mistyped = { 'security.encryption_master_key': NEW_MASTER }
    await expect(encrypting(async () => 'started', mistyped)).rejects.toMatchObject({
      code: 'KEY_MISSING',
      message: expect.stringMatching(
        /the keys of tenant default are of no use here: its master key [0-9a-f]{8} is not/,
      ),
    })
    const both = { ...mistyped, 'security.encryption_previous_master_keys': [MASTER_KEY] }
    expect(await encrypting(({ port }) => statusOf(port, 2), both)).toBe(202)
  })

  it('because there is no master key: the gateway does not start', async () => {
    await expect(
      encrypting(async () => 'started', { 'security.encryption_master_key': undefined }),
    ).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('set ENCRYPTION_MASTER_KEY'),
    })
  })

  it('because the master key is weak: nothing starts', async () => {
    const weak = { 'security.encryption_master_key': 'a1'.repeat(20) }
    await expect(encrypting(async () => 'started', weak)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/encryption_master_key.* only repeats 2 characters; make one with/),
    })
  })
})

describe('a learned dictionary', () => {
  it('is encrypted where it is published and where its copy lies, used, and not any more once its key is destroyed', () =>
    encrypting(async ({ port, link, encryption, config }) => {
      const { keyring, store } = encryption!
      const client = redis.client()
      let sent = 0
      /** Id of the dictionary that the next event is packed with. */
      const nextDictionary = async () => {
        expect(await statusOf(port, ++sent, '/webhooks/github/acme')).toBe(202)
        const [, fields] = (await client.xrevrangeBuffer('webhook-events', '+', '-', 'COUNT', 1))[0]!
        return decodeRecord(fields).dictionary
      }
      const starter = loadBundledDictionaries().get('github')?.id as string
      await expect.poll(nextDictionary, POLL).toBe(starter)
      const keys = keysOf(config)
      const dictionary = dictionaryOf(Buffer.from([1, 2, 3].map(bodyOf).join('\n')))
      const note = { id: dictionary.id, at: 5, bytes: 1, events: 3, ratioBefore: 1, ratioAfter: 2 }
      await giveLearned([{ link, keys }], 'acme/github', sealDictionary(keyring, 'acme', dictionary), note)
      await expect.poll(nextDictionary, POLL).toBe(dictionary.id)
      expect((await everything(client)).includes(SECRET_WORD)).toBe(false)
      const copies = filesIn(config.webhook.ingest.spool.directory)
      expect(copies.includes((await client.getBuffer(keys.dictionary(dictionary.id)))!)).toBe(true)
      expect(copies.includes(SECRET_WORD)).toBe(false)

      // From the moment at which the key is gone: no event may need what nobody can open.
      await destroyKeys(store, 'acme', 5)
      await expect.poll(() => keyring.ready('acme'), POLL).toBe(false)
      expect(await nextDictionary()).toBe(starter)
      expect(await nextDictionary()).toBe(starter)
    }))
})
