/**
 * A tenant with something in every place, beside another one: what is erased cannot be read any more anywhere, and the other tenant's
 * bytes are the same as before.
 */
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createBudget } from '@weir/ai/budget'
import { createCache } from '@weir/ai/cache'
import { createDirectoryStore } from '@weir/context-lifecycle/cold/directory-store'
import { contextIdOf } from '@weir/context-lifecycle/context-id'
import { systemClock } from '@weir/core/clock'
import { dictionaryOf, giveLearned, readLearned } from '@weir/core/dictionaries'
import type { Sealing } from '@weir/core/keyring/keyring'
import type { RedisReply } from '@weir/core/redis/link'
import { keysWithPrefix } from '@weir/core/redis/scan'
import { listDeadLetters } from '@weir/core/stream/dead-letters'
import { claimParked } from '@weir/core/stream/parked'
import { sealedWith } from '@weir/security/envelope'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { assembled, eventOf, pullRequest } from '../../../../tests/support/contexts.ts'
import { type EventPlan, type TestPipeline, usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { type Outcome, run } from '../cli.test-support.ts'
import type { Evidence } from '../erasure-evidence.ts'
import type { Io } from '../io.ts'
import { type SealedWorld, useSealedWorlds } from './keys.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const openPipeline = usePipeline(redis)
const openSealed = useSealedWorlds(redis, openPipeline)
let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-erase-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const TENANTS = ['acme', 'globex'] as const
const DAY_MS = 86_400_000
const idOf = (number: number, tenant: string) => contextIdOf(tenant, 'github', `acme/site#${number}`)

interface World {
  readonly pipeline: TestPipeline
  readonly sealed: SealedWorld<TestPipeline> | undefined
  cli(args: readonly string[], io?: Partial<Io>): Promise<Outcome>
  erase(...args: string[]): Promise<Outcome & { readonly evidence: Evidence }>
}

async function worldOf(encrypted: boolean): Promise<World> {
  const sealed = encrypted ? await openSealed() : undefined
  const pipeline = sealed?.pipeline ?? (await openPipeline())
  const env = {
    REDIS_URL: redis.url,
    WEIR_DATA_DIR: directory,
    WEBHOOK_AUDIT_LOGGING: 'true',
    ...(encrypted && { WEBHOOK_ENCRYPTION_ENABLED: 'true' }),
  }
  const cli: World['cli'] = (args, io = {}) =>
    sealed === undefined ? run(args, { ...io, env }) : sealed.cli(args, { ...io, env })
  return {
    ...{ pipeline, sealed, cli },
    async erase(...args) {
      const outcome = await cli(['tenant', 'erase', 'acme', '--yes', '--json', ...args])
      const parsed = outcome.out === '' ? undefined : outcome.json()
      return { ...outcome, evidence: parsed as Evidence }
    },
  }
}

const coldStore = () => createDirectoryStore(join(directory, 'cold'), { clock: systemClock })
const contextsIn = ({ pipeline, sealed }: World) =>
  assembled(pipeline.link, { store: coldStore(), keyring: sealed?.keyring, keyOf: sealedWith })

/** Accepts an event and hands it to a consumer. */
async function taken({ pipeline }: World, plan: EventPlan) {
  const accepted = await pipeline.accept(plan)
  const [entry] = await pipeline.read('consumer-1')
  return { accepted, entry: entry! }
}

/** Something of every tenant in every place; nothing waits. */
async function filled(encrypted: boolean) {
  const world = await worldOf(encrypted)
  const { pipeline, sealed } = world
  const sealing: Sealing | undefined = sealed?.keyring
  const { contexts, mover } = contextsIn(world)
  for (const tenant of TENANTS) {
    for (const number of [1, 2, 3]) {
      const json = pullRequest(number, 'opened', { title: `Change ${number} of ${tenant}` })
      const { entry } = await taken(world, { tenant, type: 'pull_request', json })
      await contexts.append(eventOf(entry.record, sealing), entry.record)
      await pipeline.settle(entry)
      if (number > 1) await mover.cool(idOf(number, tenant), 1)
      if (number > 2) await mover.freeze(idOf(number, tenant))
    }
    await pipeline.park((await taken(world, { tenant, json: { parked: tenant } })).entry)
    await pipeline.kill({ tenant, json: { dead: tenant } })
    for (const text of [`an earlier dictionary of ${tenant}`, `a dictionary of ${tenant}`])
      await learn(world, tenant, text)
    const prefix = pipeline.keys.ai
    const { link } = pipeline
    const cache = createCache({
      ...{ link, prefix, sealing, ttlMs: { embedding: DAY_MS, summary: DAY_MS } },
      failed: (error) => {
        throw error
      },
    })
    await cache.put(tenant, 'embedding', new Map([['e', Buffer.from(`embedded ${tenant}`)]]))
    await cache.put(tenant, 'summary', new Map([['s', Buffer.from(`summed up ${tenant}`)]]))
    await createBudget({ link, prefix, dailyTokens: 9 }).reserve(tenant, 5)
  }
  return world
}

async function learn({ pipeline: { link, keys }, sealed }: World, tenant: string, text: string) {
  if (sealed !== undefined) return sealed.learn(tenant, text)
  const dictionary = dictionaryOf(Buffer.from(text))
  const { id, bytes } = dictionary
  const note = { id, at: 1, bytes: bytes.length, events: 64, ratioBefore: 2, ratioAfter: 3 }
  await giveLearned([{ link, keys }], `${tenant}/github`, dictionary, note)
  return id
}

/** Everything of a tenant in Redis and in cold storage, byte for byte. */
async function bytesOf({ pipeline: { link, keys } }: World, tenant: string) {
  const found: Record<string, string> = {}
  const add = (name: string, bytes: RedisReply) => {
    if (Buffer.isBuffer(bytes)) found[name] = bytes.toString('base64')
    else if (bytes !== null) found[name] = JSON.stringify(bytes)
  }
  const own = [1, 2, 3].map((number) => idOf(number, tenant))
  for (const key of await keysWithPrefix(link, ''))
    if (own.some((id) => key.includes(id)) || /:ai:.*:/.test(key.replace(`:${tenant}`, ':')))
      if (!key.includes(':ai:') || key.includes(`:${tenant}`)) add(key, await link.call('DUMP', key))
  for (const zset of ['', ':hot', ':warm', ':cards', ':dirty'])
    for (const id of own)
      add(`${zset} ${id}`, await link.call('ZSCORE', `{webhook-events}:contexts${zset}`, id))
  for (const [owner, { id }] of await readLearned(link, keys))
    if (owner.startsWith(`${tenant}/`)) {
      add(owner, await link.call('HGET', keys.learned, owner))
      add(id, await link.call('DUMP', keys.dictionary(id)))
    }
  for (const text of [`an earlier dictionary of ${tenant}`, `a dictionary of ${tenant}`])
    add(text, await link.call('DUMP', keys.dictionary(dictionaryOf(Buffer.from(text)).id)))
  for (const letter of await listDeadLetters(link, keys, { count: 100 }))
    if (letter.record?.tenant === tenant) add(letter.letterId, Buffer.concat(letter.fields))
  const parked = (await link.call('HGETALL', keys.parkedRecords)) as Buffer[]
  for (let at = 0; at < parked.length; at += 2)
    if (parked[at + 1]!.includes(tenant)) {
      add(`parked ${String(parked[at])}`, parked[at + 1]!)
      add(`state ${String(parked[at])}`, await link.call('HGET', keys.parkedState, parked[at]!))
      add(`due ${String(parked[at])}`, await link.call('ZSCORE', keys.parkedDue, parked[at]!))
    }
  const store = coldStore()
  for (const prefix of [`contexts/${tenant}/`, `dictionaries/${tenant}/`])
    for await (const { name } of store.list(prefix)) add(name, (await store.get(name)) ?? null)
  return found
}

/** What somebody can open of a tenant, as text. */
async function readableOf(world: World, tenant: string): Promise<readonly string[]> {
  const { contexts, library } = contextsIn(world)
  await library.refresh()
  await world.sealed?.keyring.lookAgain(tenant)
  const found: string[] = []
  for (const number of [1, 2, 3]) {
    const context = await contexts.read(idOf(number, tenant)).catch(() => undefined)
    if (context !== undefined) found.push(`context ${number}: ${context.title}`)
  }
  for (const letter of await listDeadLetters(world.pipeline.link, world.pipeline.keys, { count: 100 })) {
    if (letter.record?.tenant !== tenant) continue
    const shown = await world.cli(['dlq', 'show', letter.letterId, '--json'])
    const { body } = shown.json() as { body: string | null }
    if (body !== null) found.push(`letter: ${body}`)
  }
  return found
}

/** A signal that somebody gives after it was looked at so many times. */
function stoppedAfter(looks: number) {
  const stop = new AbortController()
  let left = looks
  const signal = new Proxy(stop.signal, {
    get(target, name) {
      if (name === 'aborted') {
        left -= 1
        if (left === 0) stop.abort()
      }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return { signal, done: () => stop.signal.aborted }
}

const placeIn = ({ places }: Evidence, name: string) => places.find(({ place }) => place === name)

describe.each([
  ['encrypted', true],
  ['in the clear', false],
] as const)('a tenant whose events are %s', (_, encrypted) => {
  it('is erased from every place, and the other one stays as it is, byte for byte', async () => {
    const world = await filled(encrypted)
    const others = await bytesOf(world, 'globex')
    const readable = await readableOf(world, 'globex')
    // That the dump sees every place at all:
    expect(Object.keys(await bytesOf(world, 'acme')).length).toBe(Object.keys(others).length)
    expect(Object.keys(others).length).toBeGreaterThan(20)
    expect(readable.length).toBe(4)

    const { code, err, evidence } = await world.erase('--trim')
    expect({ code, err, left: evidence.left }).toEqual({ code: 0, err: '', left: [] })
    expect(evidence).toMatchObject({ tenant: 'acme', dry_run: false, waiting: 0 })
    const of = (found: number) => ({ found, removed: found, shredded: 0, readable: 0 })
    for (const [name, count] of [
      ['contexts', 3],
      ['cold_objects', 1],
      ['dictionaries', 2],
      ['parked', 1],
      ['dead_letters', 1],
      ['stream_entries', 5],
      ['ai_cache', 2],
      ['ai_budget', 1],
    ] as const)
      expect(placeIn(evidence, name), name).toMatchObject(of(count))
    expect(evidence.keys.destroyed).toHaveLength(encrypted ? 1 : 0)
    expect(await bytesOf(world, 'acme')).toEqual({})
    expect(await readableOf(world, 'acme')).toEqual([])
    expect(readdirSync(join(directory, 'cold', 'contexts'))).toEqual(['globex'])
    // Nothing in Redis holds a word of it.
    for (const key of await keysWithPrefix(world.pipeline.link, '')) {
      if (key.endsWith(':audit')) continue
      const dump = (await world.pipeline.link.call('DUMP', key)) as Buffer
      for (const word of ['"acme"', 'of acme', 'contexts/acme', 'acme/github', ':acme:'])
        expect(dump.includes(word), key).toBe(false)
    }

    expect(await bytesOf(world, 'globex')).toEqual(others)
    expect(await readableOf(world, 'globex')).toEqual(readable)
    expect(await world.pipeline.ledger()).toMatchObject({
      accepted: 10,
      settled: 6,
      parked: 1,
      dead: 1,
      purged: 2,
    })
  })

  it('is told of only, in a dry run', async () => {
    const world = await filled(encrypted)
    const before = await bytesOf(world, 'acme')
    const { code, evidence } = await world.erase('--dry-run')
    expect(code).toBe(0)
    expect(evidence).toMatchObject({ dry_run: true, verified_at: null, keys: { found: encrypted ? 1 : 0 } })
    expect(placeIn(evidence, 'contexts')).toMatchObject({ found: 3, removed: 0, readable: 3 })
    expect(await bytesOf(world, 'acme')).toEqual(before)
    expect((await world.cli(['audit', 'export'])).out).not.toContain('tenant.erase')
  })

  it('does not come back when what cold storage held is restored from a copy', async () => {
    const world = await filled(encrypted)
    cpSync(join(directory, 'cold'), join(directory, 'backup'), { recursive: true })
    await world.erase('--trim')
    // What cold storage has now brings nothing of it.
    const now = await world.cli(['context', 'restore', '--tenant', 'acme', '--json'])
    expect(now.json()).toMatchObject({ contexts: 0, events: 0 })
    // A backup from before is out of reach: it opens where nothing was encrypted, and never where it was.
    cpSync(join(directory, 'backup'), join(directory, 'cold'), { recursive: true })
    const back = await world.cli(['context', 'restore', '--tenant', 'acme', '--json'])
    expect(back.json()).toMatchObject({ contexts: 1, unreadable: encrypted ? 1 : 0 })
    expect(await readableOf(world, 'acme')).toEqual(encrypted ? [] : ['context 3: Change 3 of acme'])
    // And it can be erased again.
    expect((await world.erase('--trim')).code).toBe(0)
    expect(await bytesOf(world, 'acme')).toEqual({})
  })

  it('is not erased while events of it wait, unless it must be', async () => {
    const world = await filled(encrypted)
    await world.pipeline.accept({ tenant: 'acme', json: { waits: 1 } })
    await taken(world, { tenant: 'acme', json: { waits: 2 } }).then(() =>
      world.pipeline.accept({ tenant: 'acme', json: { waits: 3 } }),
    )
    const before = await bytesOf(world, 'acme')
    const refused = await world.erase()
    expect(refused).toMatchObject({ code: 2, out: '' })
    expect(refused.err).toContain(
      'has 1 event that nobody has read, 2 with consumers, and 0 parked and in hand',
    )
    expect(await bytesOf(world, 'acme')).toEqual(before)

    const { code, evidence } = await world.erase('--force', '--trim')
    expect(evidence.waiting).toBe(3)
    const entries = placeIn(evidence, 'stream_entries')!
    if (encrypted) expect({ code, ...entries }).toMatchObject({ code: 0, readable: 0, shredded: 3 })
    else {
      expect({ code, ...entries }).toMatchObject({ code: 1, readable: 3, shredded: 0 })
      expect(evidence.left).toEqual([
        expect.stringContaining('3 waiting events: they will still be processed'),
      ])
    }
    expect(await world.pipeline.ledger()).toMatchObject({ unread: 1, pending: 2 })
  })

  it('is finished by another run, wherever the first one was ended', async () => {
    const world = await filled(encrypted)
    const others = await bytesOf(world, 'globex')
    // Each run is stopped a little later than the one before.
    let stopped = 0
    const codes = new Set<number>()
    for (let looks = 10; ; looks += 7) {
      const { signal, done } = stoppedAfter(looks)
      const { code } = await world.cli(['tenant', 'erase', 'acme', '--yes', '--json'], { signal })
      if (!done()) break
      stopped += 1
      codes.add(code)
      expect(await bytesOf(world, 'globex')).toEqual(others)
      await world.pipeline.ledger()
    }
    expect(stopped).toBeGreaterThan(2)
    expect([...codes].sort()).toEqual([1, 2]) // removing, and only looking
    const { code, evidence } = await world.erase('--trim')
    expect({ code, left: evidence.left }).toEqual({ code: 0, left: [] })
    expect(await bytesOf(world, 'acme')).toEqual({})
    expect(await bytesOf(world, 'globex')).toEqual(others)
    expect(await world.pipeline.ledger()).toMatchObject({ purged: 2 })
    // And a run more finds nothing.
    expect(await world.erase()).toMatchObject({ code: 0 })
  })

  it('is erased once by two at the same moment', async () => {
    const world = await filled(encrypted)
    const both = await Promise.all([world.erase('--trim'), world.erase('--trim')])
    for (const { err, code } of both) expect({ err, code }).toEqual({ err: '', code: 0 })
    expect(await bytesOf(world, 'acme')).toEqual({})
    expect(await world.pipeline.ledger()).toMatchObject({ purged: 2, parked: 1, dead: 1 })
  })
})

describe('what is still kept of settled events', () => {
  it('is shredded where it is encrypted', async () => {
    const world = await filled(true)
    const { code, evidence } = await world.erase()
    expect(code).toBe(0)
    expect(placeIn(evidence, 'stream_entries')).toMatchObject({
      found: 5,
      removed: 0,
      shredded: 5,
      readable: 0,
    })
  })

  it('is told with the time at which it goes where it is not, and stays for the others', async () => {
    const world = await filled(false)
    const { code, evidence } = await world.erase()
    expect(code).toBe(1)
    expect(placeIn(evidence, 'stream_entries')).toMatchObject({ found: 5, removed: 0, readable: 5 })
    expect(evidence.left).toEqual([
      expect.stringMatching(
        /^5 settled entries of the stream: .* so from \d{4}-.*Z on, .* --trim takes them now$/,
      ),
    ])
    expect(await world.pipeline.link.call('XLEN', world.pipeline.keys.stream)).toBe(10)
  })
})

describe('events that waited and were encrypted', () => {
  it('are dead letters that nobody can read, and a further run purges', async () => {
    const world = await worldOf(true)
    const { pipeline } = world
    await pipeline.accept({ tenant: 'acme', json: { waits: 1 } })
    await pipeline.accept({ tenant: 'globex', json: { waits: 2 } })
    const first = await world.erase('--force')
    expect(first).toMatchObject({ code: 0, evidence: { waiting: 1, keys: { found: 1 } } })
    expect(first.evidence.goes_by_itself[0]).toContain(
      '1 waiting event: where they are encrypted consumers make',
    )
    const [mine, theirs] = await pipeline.read('consumer-1')
    await pipeline.bury(mine!, { reason: 'key-destroyed' })
    await pipeline.settle(theirs!)
    const again = await world.erase('--trim')
    expect(again).toMatchObject({
      code: 0,
      evidence: { waiting: 0, keys: { found: 0, before: [expect.any(String)] } },
    })
    expect(placeIn(again.evidence, 'dead_letters')).toMatchObject({ found: 1, removed: 1 })
    expect(await pipeline.ledger()).toMatchObject({ accepted: 2, settled: 1, dead: 0, purged: 1 })
  })
})

describe('tenant erase', () => {
  it('leaves a parked event that a consumer has in hand, and says so', async () => {
    const world = await worldOf(false)
    const { pipeline } = world
    await pipeline.park((await taken(world, { tenant: 'acme' })).entry, { delayMs: 0 })
    await claimParked(pipeline.link, pipeline.keys, 'consumer-1', 60_000, 10, 1)
    expect((await world.erase()).err).toContain('and 1 parked and in hand')
    const { code, evidence } = await world.erase('--force', '--trim')
    expect({ code, left: evidence.left }).toEqual({ code: 1, left: ['1 parked events'] })
    expect(await pipeline.ledger()).toMatchObject({ parked: 1, purged: 0 })
  })

  it('keeps a dictionary that another tenant learned too', async () => {
    const world = await filled(false)
    const id = await learn(world, 'acme', 'the same for both')
    await learn(world, 'globex', 'the same for both')
    const { link, keys } = world.pipeline
    const { evidence } = await world.erase('--trim')
    expect(evidence.out_of_reach).toContainEqual(
      expect.stringContaining('1 learned dictionaries that other tenants use'),
    )
    expect(await link.call('EXISTS', keys.dictionary(id))).toBe(1)
    expect([...(await readLearned(link, keys)).keys()]).toEqual(['globex/github'])
  })

  it('asks for the name of the tenant, and does nothing without it', async () => {
    const world = await filled(true)
    const before = await bytesOf(world, 'acme')
    const questions: string[] = []
    const ask = async (question: string) => {
      questions.push(question)
      return 'yes'
    }
    const refused = await world.cli(['tenant', 'erase', 'acme'], { ask })
    expect(refused).toMatchObject({ code: 2, out: '', err: 'error: nothing was destroyed.\n' })
    expect(questions).toEqual(['Destroy everything of tenant acme, for good? Type acme: '])
    expect(await world.cli(['tenant', 'erase', 'acme'])).toMatchObject({ code: 2, out: '' })
    expect(await world.cli(['tenant', 'erase', 'acme:*', '--yes'])).toMatchObject({ code: 2 })
    expect(await bytesOf(world, 'acme')).toEqual(before)
    const typed = await world.cli(['tenant', 'erase', 'acme', '--trim'], { ask: async () => 'acme' })
    expect(typed.code).toBe(0)
    expect(typed.out).toContain('nothing of tenant acme can be read any more in any place that Weir reaches')
  })

  it('is in the audit trail with the name of the tenant and counts, and nothing else', async () => {
    const world = await filled(true)
    await world.erase('--trim')
    const { out } = await world.cli(['audit', 'export'])
    const [intended, done] = out
      .split('\n')
      .filter((line) => line.includes('"tenant.erase"'))
      .map((line) => JSON.parse(line) as { target: string; outcome: string; detail: Record<string, unknown> })
    expect(intended).toMatchObject({
      target: 'tenant acme',
      outcome: 'intended',
      detail: { contexts: 3, parked: 1 },
    })
    expect(done).toMatchObject({ outcome: 'done', detail: { contexts: 3, keys: 1, readable: 0, left: 0 } })
    for (const { detail } of [intended!, done!])
      for (const value of Object.values(detail)) expect(typeof value).toBe('number')
  })

  it('tells of the spools, which it cannot reach', async () => {
    const world = await filled(true)
    await world.sealed!.report('gw-1', 7)
    const { evidence } = await world.erase('--trim')
    expect(evidence.out_of_reach[0]).toMatch(
      /they report 7 events of all tenants; .* unreadable when they were encrypted/,
    )
  })
})
