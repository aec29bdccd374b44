import { type Clock, systemClock } from '@weir/core/clock'
import { destroyKeys } from '@weir/core/keyring/changes'
import type { Keyring } from '@weir/core/keyring/keyring'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  assembled,
  contextsOf,
  eventOf,
  pullRequest,
  recordOf,
  type TestContexts,
} from '../../../../tests/support/contexts.ts'
import { useKeyrings } from '../../../../tests/support/keyring.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { contextIdOf, shardOf } from '../context-id.ts'
import { contextKeys } from '../context-keys.ts'
import type { ContextPlace } from '../context-place.ts'
import { removeInactive } from '../removal.ts'
import { type Card, cardOf, cardText } from './card.ts'
import { putCard, removeCard } from './card-store.ts'
import { searchDocument } from './document.ts'
import { hashedEmbedding } from './hashed-embedder.test-support.ts'
import { QUERY_MAX } from './question.ts'
import {
  type ContextSearch,
  type ContextSearchOptions,
  createContextSearch,
  type SearchEvent,
} from './search.ts'

const redis = useRedis()
const keyrings = useKeyrings()
let link: RedisLink
let searching: RedisLink
let here: TestContexts
let searches: ContextSearch[] = []
const connect = (commandTimeoutMs = 5_000) =>
  connectRedis({
    url: redis.url,
    commandTimeoutMs,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 100,
    name: 'search',
  })
beforeEach(async () => {
  link = connect()
  // Short, for tests in which Redis does not answer.
  searching = connect(500)
  await Promise.all([link.ready(), searching.ready()])
  here = contextsOf({ link })
})
afterEach(async () => {
  await Promise.all(searches.map((search) => search.stop()))
  searches = []
  await Promise.all([link.close(), searching.close()])
})

const idOf = (number: number, tenant = 'acme') => contextIdOf(tenant, 'github', `acme/site#${number}`)

interface Written {
  readonly tenant?: string
  readonly title?: string
  readonly keyring?: Keyring
}
let deliveries = 0
/** An event of a pull request, and its context's card, as whoever enriches contexts makes it. */
async function write(
  number: number,
  { tenant = 'acme', title = `Change ${number}`, keyring }: Written = {},
): Promise<Card> {
  const { contexts, place } = keyring === undefined ? here : contextsOf({ link }, keyring)
  const receivedAt = 1_700_000_000_000 + deliveries++
  const sent = {
    delivery: `${deliveries}`,
    receivedAt,
    json: pullRequest(number, 'opened', { title }),
    tenant,
  }
  const { record } = recordOf({ ...sent, ...(keyring === undefined ? {} : { keyring }) })
  await contexts.append(eventOf(record, keyring), record)
  const context = await contexts.read(idOf(number, tenant))
  const plain = cardOf(context!, 0.5)
  const card = cardOf(context!, 0.5, {
    embedding: { model: 'hashed', vector: hashedEmbedding(cardText(plain)) },
  })
  expect(await putCard(place, card, keyring)).toBe('put')
  return card
}

const EMBEDDER = { model: 'hashed', embed: hashedEmbedding }
function searchOn(more: Partial<ContextSearchOptions> = {}): ContextSearch {
  const place = { link: searching, keys: here.keys }
  const search = createContextSearch({
    places: [place],
    embedder: EMBEDDER,
    clock: systemClock,
    pollMs: 20,
    ...more,
  })
  searches.push(search)
  return search
}
const found = async (search: ContextSearch, q: string, more: { tenant?: string; limit?: number } = {}) =>
  (await search.search({ q, limit: 10, ...more })).results.map(({ subject }) => subject)
const UNAVAILABLE = { code: 'REDIS_UNAVAILABLE' }

describe('a question', () => {
  it('is answered by what is there, with a score that is explained', async () => {
    await write(1, { title: 'Login fails' })
    await write(2, { title: 'Faster pages' })
    await write(2, { tenant: 'other', title: 'Login page of another tenant' })
    const search = searchOn()
    await search.load()
    const answer = await search.search({ q: 'login', limit: 10, tenant: 'acme' })
    expect(answer).toMatchObject({
      results: [
        {
          id: idOf(1),
          tenant: 'acme',
          tool: 'github',
          kind: 'pull_request',
          title: 'Login fails',
          state: 'open',
        },
      ],
      searched: 3,
      unreadable: 0,
      meaning: 'on',
    })
    expect(answer.results[0]?.parts.map(({ part }) => part)).toEqual([
      'text',
      'meaning',
      'recency',
      'importance',
    ])
    expect(await found(search, 'login')).toHaveLength(2)
    const document = searchDocument(answer, { explain: true })
    expect(document).toMatchObject({
      results: [
        {
          context_id: idOf(1),
          subject: 'acme/site#1',
          title: 'Login fails',
          score: answer.results[0]?.score,
          events: 1,
        },
      ],
      as_of: expect.stringMatching(/^\d{4}-.*Z$/),
      searched: 3,
      unreadable: 0,
    })
    expect(document.results[0]?.parts).toHaveLength(4)
    expect(searchDocument(answer, { explain: false }).results[0]).not.toHaveProperty('parts')
  })

  it.each([
    ['', 'is empty'],
    [' \n', 'is empty'],
    ['x'.repeat(50_000), '50000 characters'],
    ['a '.repeat(100_000), `at most ${QUERY_MAX}`],
  ])('that cannot be answered is refused (%#)', async (q, why) => {
    const search = searchOn()
    await search.load()
    await expect(search.search({ q, limit: 10 })).rejects.toThrow(why)
    await expect(search.search({ q, limit: 10 })).rejects.toThrow(RangeError)
  })

  it.each([
    '.*',
    '(((((',
    '[a-z]+$',
    '\\',
    '%00',
    "' OR 1=1 --",
    '"',
    '\u0000\u202e',
    '({})['.repeat(200),
    'a '.repeat(500),
    '\ud800',
    '🎉',
  ])('of strange characters is answered (%#)', async (q) => {
    await write(1)
    const search = searchOn()
    await search.load()
    expect(Array.isArray(await found(search, q))).toBe(true)
  })

  it('goes without meaning where the embedder fails or takes too long, and says so', async () => {
    await write(1)
    const events: SearchEvent[] = []
    const failing = () => Promise.reject(new Error('no quota'))
    const never = () => new Promise<Float32Array>(() => undefined)
    for (const embed of [failing, never]) {
      const search = searchOn({
        embedder: { model: 'hashed', embed },
        embedTimeoutMs: 5,
        tell: (event) => void events.push(event),
      })
      await search.load()
      expect(await search.search({ q: 'change', limit: 5 })).toMatchObject({
        results: [{ subject: 'acme/site#1' }],
        meaning: 'failed',
      })
    }
    const failures = events.flatMap((event) => (event.kind === 'no-embedding' ? [String(event.error)] : []))
    expect(failures).toEqual(['Error: no quota', 'Error: no embedding within 5 ms'])
    const search = searchOn({ embedder: undefined })
    await search.load()
    expect(await search.search({ q: 'change', limit: 5 })).toMatchObject({ meaning: 'off' })
  })
})

describe('what changes', () => {
  it('is found once it is followed: new contexts, and what becomes of them', async () => {
    await write(1)
    const search = searchOn()
    await search.start()
    expect(await found(search, 'rollback')).toEqual([])
    await write(1, { title: 'Rollback' })
    await write(2, { title: 'Rollback too' })
    await expect.poll(() => found(search, 'rollback')).toHaveLength(2)
    expect(
      (await search.search({ q: 'change 1', limit: 5 })).results,
      'what it was called before',
    ).toMatchObject([{ title: 'Rollback' }])
    await removeCard(here.place, idOf(2))
    await expect.poll(() => found(search, 'rollback')).toEqual(['acme/site#1'])
    expect(search.facts.cards).toBe(1)
    await removeInactive([here.place], { inactiveMs: 0, dryRun: false })
    expect(await found(search, 'rollback')).toEqual([])
    await expect.poll(() => search.facts.cards).toBe(0)
  })

  it('is never missed: two writers, and changes in the same moment', async () => {
    const search = searchOn({ pollMs: 1 })
    await search.start()
    for (let n = 0; n < 300; n += 20)
      await Promise.all(Array.from({ length: 20 }, (_, i) => write((n + i) % 60, { title: `Round ${n}` })))
    await expect.poll(() => search.facts.cards).toBe(60)
    const latest = async () =>
      (await search.search({ q: 'round', limit: 100 })).results.map(({ title }) => title).sort()
    const expected = Array.from({ length: 60 }, (_, n) => `Round ${240 + 20 * Math.floor(n / 20)}`).sort()
    await expect.poll(latest).toEqual(expected)
  })

  it('is not shown when it was removed, before that was noticed and after', async () => {
    for (const n of [1, 2, 3]) await write(n)
    const search = searchOn()
    await search.load()
    await link.call('ZINCRBY', here.keys.active, -90_000_000, idOf(2))
    await removeInactive([here.place], { inactiveMs: 80_000_000, dryRun: false })
    expect(search.facts.cards).toBe(3)
    expect((await found(search, 'change', { limit: 2 })).sort()).toEqual(['acme/site#1', 'acme/site#3'])
    await search.load()
    expect(search.facts.cards).toBe(2)
    expect(await found(search, 'acme/site#2')).not.toContain('acme/site#2')
  })

  it('is noticed when as many came as went', async () => {
    for (const n of [1, 2]) await write(n)
    const search = searchOn()
    await search.load()
    await removeInactive([here.place], { inactiveMs: 0, dryRun: false })
    for (const n of [3, 4]) await write(n)
    await search.load()
    expect((await found(search, 'change')).sort()).toEqual(['acme/site#3', 'acme/site#4'])
    expect(search.facts.cards).toBe(2)
  })

  it('is noticed when Redis has lost what was known: a failover', async () => {
    // The clock of what is lost is ahead of that of what is left.
    await link.call('SET', here.keys.cardsChanged, (Date.now() + 60_000) * 1_000)
    await write(1, { title: 'Known' })
    const before = (await link.call('DUMP', here.keys.card(idOf(1)))) as Buffer
    const score = (await link.call('ZSCORE', here.keys.cards, idOf(1))) as Buffer
    await write(1, { title: 'Lost' })
    const search = searchOn()
    await search.load()
    expect(await found(search, 'lost')).toHaveLength(1)
    await link.call('RESTORE', here.keys.card(idOf(1)), 0, before, 'REPLACE')
    await link.call('ZADD', here.keys.cards, score, idOf(1))
    const connected = new Promise<void>((resolve) => searching.onConnect(resolve))
    searching.reconnect()
    await connected
    await search.load()
    expect(await found(search, 'known')).toHaveLength(1)
    expect(await found(search, 'lost')).toEqual([])
    await link.call('ZADD', here.keys.cards, 1_000, idOf(1))
    await link.call('DEL', here.keys.cardsChanged)
    searching.reconnect()
    await new Promise<void>((resolve) => searching.onConnect(resolve))
    await search.load()
    await write(1, { title: 'Afterwards' })
    await search.load()
    expect(await found(search, 'afterwards')).toHaveLength(1)
  })
})

describe('several shards', () => {
  it('are searched as one', async () => {
    const shards = [0, 1].map((shard) => ({ link, keys: contextKeys('webhook-events', true, shard) }))
    const places = shards as [ContextPlace, ContextPlace]
    const placeOf = (id: string) => places[shardOf(id, 2)] as ContextPlace
    const { contexts } = assembled(link, { places, placeOf })
    for (let n = 0; n < 20; n++) {
      const { record } = recordOf({ delivery: `${n}`, json: pullRequest(n, 'opened') })
      const { context } = await contexts.append(eventOf(record), record)
      await putCard(placeOf(context), cardOf((await contexts.read(context))!, 0.5), undefined)
    }
    const search = searchOn({ places })
    await search.load()
    expect(await found(search, 'change', { limit: 50 })).toHaveLength(20)
    await removeInactive([places[1]], { inactiveMs: 0, dryRun: false })
    const left = await found(search, 'change', { limit: 50 })
    expect(left.length).toBeGreaterThan(0)
    expect(left.length).toBeLessThan(20)
    await search.load()
    expect(search.facts.cards).toBe(left.length)
  })
})

describe('when Redis is away', () => {
  it('what is held is answered, as of when it was in step; and goes on when Redis is back', async () => {
    await write(1)
    const events: string[] = []
    let now = 1_000
    const clock: Clock = { ...systemClock, now: () => now }
    const search = searchOn({ clock, tell: ({ kind }) => void events.push(kind) })
    await search.start()
    await redis.server.kill('SIGSTOP')
    await expect.poll(() => events).toContain('away')
    now = 999_000
    const { results, asOf } = await search.search({ q: 'change', limit: 5 })
    expect(results).toHaveLength(1)
    expect(asOf).toBe(1_000)
    await redis.server.kill('SIGCONT')
    await expect.poll(() => events).toContain('back')
    expect((await search.search({ q: 'change', limit: 5 })).asOf).toBe(999_000)
  })

  it('before anything was loaded, nothing is answered, and it loads when Redis is there', async () => {
    const search = searchOn()
    await expect(search.search({ q: 'change', limit: 5 })).rejects.toMatchObject(UNAVAILABLE)
    await redis.server.kill('SIGSTOP')
    await expect(search.load()).rejects.toMatchObject(UNAVAILABLE)
    const started = search.start()
    await expect(search.search({ q: 'change', limit: 5 })).rejects.toMatchObject(UNAVAILABLE)
    await redis.server.kill('SIGCONT')
    await started
    expect(await found(search, 'change')).toEqual([])
  })

  it('it can be stopped, twice, and without having been started', async () => {
    const idle = searchOn()
    await idle.stop()
    await redis.server.kill('SIGSTOP')
    const search = searchOn()
    const started = search.start()
    await search.stop()
    await search.stop()
    await started
  })
})

describe('encrypted contexts', () => {
  const SECRET = 'zebra'

  it('show nothing of themselves in Redis, and are found by who has the key', async () => {
    const keyring = keyrings.open()
    await keyring.prepare('acme')
    await write(1, { title: SECRET, keyring })
    for (const key of (await link.call('KEYS', '*')) as Buffer[])
      expect(((await link.call('DUMP', key)) as Buffer).includes(SECRET), String(key)).toBe(false)
    // A process that has not read the keyring yet.
    const search = searchOn({ keyring: keyrings.open() })
    await search.load()
    expect(await found(search, SECRET)).toEqual(['acme/site#1'])
  })

  it('are left out and counted where the key is missing, and come when it is there', async () => {
    const keyring = keyrings.open()
    await keyring.prepare('acme')
    await write(1, { title: SECRET, keyring })
    await write(2, { tenant: 'other', title: SECRET })
    let there = false
    const late = keyrings.open()
    const opener = {
      open: (...args: Parameters<typeof late.open>) => (there ? late : keyrings.open()).open(...args),
      lookAgain: (tenant: string) => (there ? late.lookAgain(tenant) : Promise.resolve()),
    }
    const search = searchOn({ keyring: opener })
    await search.load()
    expect(await search.search({ q: SECRET, limit: 5 })).toMatchObject({
      results: [{ tenant: 'other' }],
      unreadable: 1,
    })
    there = true
    await search.load()
    expect(await search.search({ q: SECRET, limit: 5 })).toMatchObject({ unreadable: 0, results: [{}, {}] })
  })

  it('are gone from memory and answers once the key was destroyed', async () => {
    const keyring = keyrings.open()
    for (const tenant of ['acme', 'other']) {
      await keyring.prepare(tenant)
      await write(1, { title: SECRET, tenant, keyring })
    }
    const search = searchOn({ keyring })
    await search.load()
    expect(await found(search, SECRET)).toHaveLength(2)
    await destroyKeys(keyrings.store, 'acme', 5)
    await keyring.lookAgain('acme')
    expect((await search.search({ q: SECRET, limit: 5 })).results).toMatchObject([{ tenant: 'other' }])
    await search.load()
    expect(search.facts).toMatchObject({ cards: 1, unreadable: 1 })
    // What comes after that has a new key.
    await keyring.prepare('acme')
    await write(1, { title: SECRET, keyring })
    await search.load()
    expect(await search.search({ q: SECRET, limit: 5 })).toMatchObject({ unreadable: 0, results: [{}, {}] })
  })

  it('that are damaged are left out and counted', async () => {
    await write(1)
    await write(2)
    await link.call('SETRANGE', here.keys.card(idOf(1)), 0, Buffer.of(9))
    const search = searchOn()
    await search.load()
    expect(await search.search({ q: 'change', limit: 5 })).toMatchObject({
      unreadable: 1,
      results: [{ subject: 'acme/site#2' }],
    })
  })
})
