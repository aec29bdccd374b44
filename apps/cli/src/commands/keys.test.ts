import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dictionaryOf, giveLearned } from '@weir/core/dictionaries'
import { describe, expect, it } from 'vitest'
import { contextsOf } from '../../../../tests/support/contexts.ts'
import { usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { run } from '../cli.test-support.ts'
import { MASTER, OTHER_MASTER, useSealedWorlds } from './keys.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = useSealedWorlds(redis, usePipeline(redis))

const ID = /^[0-9a-f]{16}$/
const NONE = { entries: 0, parked: 0, dead_letters: 0, dictionaries: 0, contexts: 0 }

describe('keys status', () => {
  it('shows the keys of each tenant, and the place and the master keys', async () => {
    const { pipeline, cli, keysOf, directory } = await open()
    await pipeline.accept({ tenant: 'acme' })
    await pipeline.accept({ tenant: 'globex' })
    const [acme = ''] = await keysOf('acme')
    await cli(['keys', 'destroy', '--tenant', 'globex', '--yes'])
    const { code, out, rows, err } = await cli(['keys', 'status'])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(rows[0]).toEqual(['keyring', directory])
    expect(rows[1]).toEqual(['master keys', expect.stringMatching(/^[0-9a-f]{8} \(for new keys; 1 key\)$/)])
    expect(rows[2]).toEqual(['TENANT', 'KEY', 'STATE', 'MASTER', 'HERE', 'SINCE'])
    expect(rows[3]?.slice(0, 3)).toEqual(['acme', acme, 'writing'])
    expect(rows[3]?.[4]).toBe('yes')
    expect(rows[4]).toEqual(['globex', expect.stringMatching(ID), 'destroyed', '-', '-', expect.any(String)])
    expect(out).not.toContain(MASTER)
    const one = (await cli(['keys', 'status', '--json', '--tenant', 'acme'])).json()
    expect(one).toEqual({
      place: directory,
      master_keys: [{ id: rows[3]?.[3], for_new_keys: true, keys: 1 }],
      tenants: [
        {
          tenant: 'acme',
          closed: false,
          keys: [
            {
              id: acme,
              made_at: rows[3]?.[5],
              master_key: rows[3]?.[3],
              has_master_key: true,
              damaged: false,
              writing: true,
              uses: null,
            },
          ],
          destroyed: [],
        },
      ],
      damaged: [],
      count: null,
    })
    expect(await cli(['keys', 'status', '--tenant', 'nobody'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('tenant nobody is not in the keyring'),
    })
  })

  it('needs neither the Redis of the events nor a master key', async () => {
    const { pipeline, cli, keysOf } = await open()
    const env = { REDIS_URL: 'redis://127.0.0.1:1' }
    expect(await cli(['keys', 'status'], { env })).toMatchObject({
      code: 0,
      out: expect.stringContaining('no tenant has a key'),
    })
    await pipeline.accept({ tenant: 'acme' })
    const [key] = await keysOf('acme')
    const without = await cli(['keys', 'status'], { env: { ...env, ENCRYPTION_MASTER_KEY: undefined } })
    expect(without.code).toBe(1)
    expect(without.rows[3]).toMatchObject([
      'acme',
      key,
      'writing',
      expect.any(String),
      'no',
      expect.any(String),
    ])
    expect(without.out).toContain('CLOSED acme: no master key is configured here')
    expect(await cli(['keys', 'status', '--count'], { env })).toMatchObject({
      code: 2,
      err: expect.stringContaining('cannot be reached'),
    })
  })

  it('finds the master key where start keeps the one it made, like every other command', async () => {
    const { pipeline, cli } = await open()
    const { id, body } = await pipeline.accept({ tenant: 'acme' })
    const data = mkdtempSync(join(tmpdir(), 'weir-made-'))
    const env = { ENCRYPTION_MASTER_KEY: undefined, WEIR_DATA_DIR: data }
    expect((await cli(['events', 'get', id, '--raw'], { env })).code).not.toBe(0)
    writeFileSync(join(data, 'secrets.json'), JSON.stringify({ ENCRYPTION_MASTER_KEY: MASTER }))
    expect(await cli(['keys', 'status'], { env })).toMatchObject({ code: 0, err: '' })
    expect((await cli(['events', 'get', id, '--raw'], { env })).bytes).toEqual(body)
    const given = await cli(['keys', 'status'], { env: { ...env, ENCRYPTION_MASTER_KEY: OTHER_MASTER } })
    expect(given.out).toContain('CLOSED acme: none of its keys can be derived')
    rmSync(data, { recursive: true })
  })

  it('tells of a wrong master key, and of a damaged entry beside good ones', async () => {
    const { pipeline, cli, directory } = await open()
    await pipeline.accept({ tenant: 'acme' })
    const wrong = await cli(['keys', 'status'], { env: { ENCRYPTION_MASTER_KEY: OTHER_MASTER } })
    expect(wrong.code).toBe(1)
    expect(wrong.out).toContain('CLOSED acme: none of its keys can be derived')
    await pipeline.accept({ tenant: 'bad' })
    const [file = ''] = readdirSync(directory).filter((name) => name.startsWith('bad.'))
    writeFileSync(join(directory, file), '{}')
    const damaged = await cli(['keys', 'status'])
    expect(damaged.code).toBe(1)
    expect(damaged.out).toMatch(/DAMAGED keyring: .*bad\.1\.json/)
    expect((await cli(['keys', 'status', '--tenant', 'acme'])).code).toBe(0)
    expect((await cli(['keys', 'status', '--tenant', 'bad', '--json'])).json()).toMatchObject({
      tenants: [],
      damaged: [{ tenant: 'bad' }],
    })
  })

  it('counts what is encrypted with each key, and what is not', async () => {
    const { pipeline, cli, keysOf, learn, report, store, directory, keyring } = await open()
    await pipeline.accept({ tenant: 'acme' })
    const [parked] = await pipeline.read('consumer')
    if (parked !== undefined) await pipeline.park(parked)
    if (parked !== undefined) await contextsOf(pipeline, keyring).remember(parked)
    await pipeline.kill({ tenant: 'acme' })
    await learn('acme', 'a dictionary of acme')
    await report('gw-1', 7)
    const plain = dictionaryOf(Buffer.from('a plain one'))
    const note = { id: plain.id, at: 1, bytes: 11, events: 64, ratioBefore: 2, ratioAfter: 3 }
    await giveLearned([pipeline], 'open/github', plain, note)
    const { code, rows, out } = await cli(['keys', 'status', '--count'])
    expect(code).toBe(0)
    const [key = ''] = await keysOf('acme')
    expect(rows[2]?.slice(6)).toEqual(['ENTRIES', 'PARKED', 'DEAD', 'DICTIONARIES', 'CONTEXTS'])
    expect(rows[3]?.[1]).toBe(key)
    expect(rows[3]?.slice(6)).toEqual(['2', '1', '1', '1', '1'])
    expect(rows[4]).toEqual(['-', 'not encrypted', '-', '-', '-', '-', '0', '0', '0', '1', '0'])
    expect(out).toContain('spooled by gateways, as they report, and not counted here: 7 events')

    // The keyring comes back from an old copy, in which acme is missing: its key is unknown.
    const entry = await store.read('acme')
    expect(entry?.keys).toHaveLength(1)
    const lost = await cli(['keys', 'status', '--count', '--json'], {
      env: { WEBHOOK_KEYRING_DIRECTORY: join(directory, 'empty') },
    })
    expect(lost.code).toBe(1)
    expect(lost.json()).toMatchObject({
      tenants: [],
      count: {
        spooled: 7,
        damaged: NONE,
        unknown_keys: [
          {
            id: key,
            tenants: ['acme'],
            uses: { entries: 2, parked: 1, dead_letters: 1, dictionaries: 1, contexts: 1 },
          },
        ],
      },
    })
  })

  it('shows how far the count is where somebody watches, and not with --json', async () => {
    const { pipeline, cli } = await open()
    for (let n = 0; n < 3; n++) await pipeline.accept({ tenant: 'acme' })
    await pipeline.kill({ tenant: 'acme' })
    const { err } = await cli(['keys', 'status', '--count'], { terminal: true })
    expect(err).toMatch(/█.* % {2}\d of \d records/)
    expect((await cli(['keys', 'status', '--count', '--json'], { terminal: true })).err).toBe('')
  })

  it('ends with 2 and says why when the keyring cannot be read', async () => {
    const { directory, pipeline, cli } = await open()
    await pipeline.accept({ tenant: 'acme' })
    const [file = ''] = readdirSync(directory)
    const env = { WEBHOOK_KEYRING_DIRECTORY: join(directory, file) }
    for (const args of [['status'], ['rotate'], ['forget'], ['destroy', '--tenant', 'acme', '--yes']]) {
      const { code, out, err } = await cli(['keys', ...args], { env })
      expect({ code, out }, args[0]).toEqual({ code: 2, out: '' })
      expect(err, args[0]).toMatch(/^error: keyring: .* could not be listed: .*KEYRING_UNAVAILABLE/)
    }
  })

  it('waits for the Redis of a keyring, and says when it does not answer', async () => {
    const { pipeline } = await open()
    expect(pipeline.link.connected).toBe(true)
    const env = { REDIS_URL: redis.url, WEBHOOK_KEYRING_URL: redis.url, ENCRYPTION_MASTER_KEY: MASTER }
    expect(await run(['keys', 'status'], { env })).toMatchObject({ code: 0, err: '' })
    expect(await run(['keys', 'rotate'], { env })).toMatchObject({
      code: 0,
      out: 'no tenant has a key\n',
      err: expect.stringContaining('note: The keyring is on the Redis server that holds the events'),
    })
    let now = 0
    const clock = {
      now: Date.now,
      monotonic: () => now,
      wait: async () => {
        now += 1_000
      },
    }
    const away = await run(['keys', 'status'], {
      env: { ...env, WEBHOOK_KEYRING_URL: 'redis://user:secret@127.0.0.1:1' },
      clock,
    })
    expect(away).toMatchObject({ code: 2, err: expect.stringContaining('keyring') })
    expect(away.err).not.toContain('secret')
  })
})

describe('keys rotate', () => {
  it('gives a new key, and what was encrypted before stays readable', async () => {
    const { pipeline, cli, keysOf, learn, dictionaryKey, readDictionary, keyring } = await open()
    const first = await pipeline.accept({ tenant: 'acme', json: { zen: 'first' } })
    const dictionary = await learn('acme', 'a dictionary of acme')
    const rotated = await cli(['keys', 'rotate', '--tenant', 'acme'])
    const [one = '', two = ''] = await keysOf('acme')
    expect(rotated).toMatchObject({ code: 0, err: '' })
    expect(rotated.rows[1]).toEqual(['acme', one, two, '1', '-'])
    expect(rotated.out).toContain('follow within 10.0s (webhook.security.keyring_refresh)')
    expect(await dictionaryKey(dictionary)).toBe(two)
    expect(await readDictionary(dictionary, 'acme')).toBe('a dictionary of acme')

    await keyring.lookAgain('acme')
    const second = await pipeline.kill({ tenant: 'acme', json: { zen: 'second' } })
    expect((await cli(['keys', 'rotate', '--json'])).json()).toEqual({
      dry_run: false,
      tenants: [
        {
          tenant: 'acme',
          before: two,
          key: expect.stringMatching(ID),
          dictionaries: 1,
          problem: null,
        },
      ],
    })
    const three = (await keysOf('acme'))[2]
    expect(await dictionaryKey(dictionary)).toBe(three)
    expect((await cli(['events', 'get', first.id, '--json'])).json()).toMatchObject({ bytes_available: true })
    expect((await cli(['dlq', 'show', second.id, '--json'])).json()).toMatchObject({
      body: second.body.toString(),
      body_problem: null,
    })
  })

  it('encrypts retired dictionaries anew too, and plain ones where events are encrypted', async () => {
    const { pipeline, cli, learn, dictionaryKey, keysOf } = await open()
    const retired = await learn('acme', 'an old dictionary')
    await learn('acme', 'the next dictionary')
    const plain = dictionaryOf(Buffer.from('a plain dictionary'))
    const note = { id: plain.id, at: 1, bytes: 18, events: 64, ratioBefore: 2, ratioAfter: 3 }
    await giveLearned([pipeline], 'acme/jira', plain, note)
    expect((await cli(['keys', 'rotate', '--json'])).json()).toMatchObject({ tenants: [{ dictionaries: 2 }] })
    expect(await dictionaryKey(plain.id)).toBeUndefined()
    const env = { WEBHOOK_ENCRYPTION_ENABLED: 'true' }
    expect((await cli(['keys', 'rotate', '--json'], { env })).json()).toMatchObject({
      tenants: [{ dictionaries: 3 }],
    })
    const newest = (await keysOf('acme')).at(-1)
    expect(await dictionaryKey(retired)).toBe(newest)
    expect(await dictionaryKey(plain.id)).toBe(newest)
  })

  it('changes nothing with --dry-run', async () => {
    const { pipeline, cli, keysOf, learn, dictionaryKey } = await open()
    await pipeline.accept({ tenant: 'acme' })
    const dictionary = await learn('acme', 'a dictionary of acme')
    const before = await keysOf('acme')
    const dry = await cli(['keys', 'rotate', '--dry-run'])
    expect(dry).toMatchObject({ code: 0, out: expect.stringContaining('nothing was changed (dry run)') })
    expect(dry.rows[1]).toEqual(['acme', before[0], '-', '1', '-'])
    expect(await keysOf('acme')).toEqual(before)
    expect(await dictionaryKey(dictionary)).toBe(before[0])
  })

  it('goes on with the others when one fails, and refuses a master key that fits none', async () => {
    const { pipeline, cli, keysOf, directory } = await open()
    for (const tenant of ['acme', 'bad', 'globex']) await pipeline.accept({ tenant })
    const [file = ''] = readdirSync(directory).filter((name) => name.startsWith('bad.'))
    writeFileSync(join(directory, file), '{}')
    const { code, rows } = await cli(['keys', 'rotate'])
    expect(code).toBe(1)
    expect(rows.slice(1, 4).map(([tenant]) => tenant)).toEqual(['acme', 'globex', 'bad'])
    expect(rows[3]?.at(-1)).toContain('bring that entry back')
    expect(await keysOf('globex')).toHaveLength(2)
    expect(await cli(['keys', 'rotate', '--tenant', 'bad'])).toMatchObject({ code: 2 })

    const wrong = { env: { ENCRYPTION_MASTER_KEY: OTHER_MASTER } }
    const refused = await cli(['keys', 'rotate', '--tenant', 'acme'], wrong)
    expect(refused).toMatchObject({ code: 1, out: expect.stringContaining('is it the right one?') })
    expect(await keysOf('acme')).toHaveLength(2)
    const without = await cli(['keys', 'rotate'], { env: { ENCRYPTION_MASTER_KEY: undefined } })
    expect(without).toMatchObject({ code: 2, err: expect.stringContaining('set ENCRYPTION_MASTER_KEY') })
  })

  it('stops between two tenants when told, and leaves its trace', async () => {
    const { pipeline, cli, keysOf } = await open()
    for (const tenant of ['acme', 'globex']) await pipeline.accept({ tenant })
    const stop = new AbortController()
    const clock = {
      monotonic: () => 0,
      wait: async () => undefined,
      now: () => {
        stop.abort() // asked for once a tenant
        return Date.now()
      },
    }
    const stopped = await cli(['keys', 'rotate'], { signal: stop.signal, clock })
    expect(stopped).toMatchObject({ code: 1, err: expect.stringContaining('1 tenant left as they were') })
    expect(await keysOf('acme')).toHaveLength(2)
    expect(await keysOf('globex')).toHaveLength(1)

    const env = { WEBHOOK_AUDIT_LOGGING: 'true' }
    await cli(['keys', 'rotate', '--tenant', 'globex'], { env })
    const [before, key] = await keysOf('globex')
    const trail = (await cli(['audit', 'export'], { env })).out.trim().split('\n')
    expect(trail.map((line) => JSON.parse(line))).toMatchObject([
      { action: 'keys.rotate', target: 'tenant globex', outcome: 'intended' },
      { action: 'keys.rotate', target: 'tenant globex', outcome: 'rotated', detail: { before, key } },
      { action: 'keys.rotate', target: 'tenant globex', outcome: 'done', detail: { rotated: 1 } },
    ])
  })
})
