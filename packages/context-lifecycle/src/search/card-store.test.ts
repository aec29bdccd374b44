import { NO_KEYRING } from '@weir/core/keyring/keyring'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  contextsOf,
  eventOf,
  pullRequest,
  recordOf,
  type TestContexts,
} from '../../../../tests/support/contexts.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { contextIdOf } from '../context-id.ts'
import { removeInactive } from '../removal.ts'
import { decodeCard } from './card-bytes.ts'
import { cardsSince, countCards, putCard, removeCard, type StoredCard } from './card-store.ts'
import { card } from './cards.test-support.ts'

const redis = useRedis()
let link: RedisLink
let other: RedisLink
let here: TestContexts
const connect = () =>
  connectRedis({
    url: redis.url,
    commandTimeoutMs: 5_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 100,
    name: 'cards',
  })
beforeEach(async () => {
  link = connect()
  other = connect()
  await Promise.all([link.ready(), other.ready()])
  here = contextsOf({ link })
})
afterEach(() => Promise.all([link.close(), other.close()]))

const idOf = (number: number) => contextIdOf('acme', 'github', `acme/site#${number}`)
async function append(number: number, delivery: string): Promise<void> {
  const { record } = recordOf({ delivery, json: pullRequest(number, 'edited') })
  await here.contexts.append(eventOf(record), record)
}
const cardFor = (number: number, more: Parameters<typeof card>[0] = {}) =>
  card({ subject: `acme/site#${number}`, ...more })
const put = (number: number, more: Parameters<typeof card>[0] = {}) =>
  putCard(here.place, cardFor(number, more), undefined)
async function changes(since = 0): Promise<StoredCard[]> {
  const found: StoredCard[] = []
  for await (const page of cardsSince(here.place, since)) found.push(...page)
  return found
}
const titles = (stored: readonly StoredCard[]) =>
  stored.map(({ id, bytes }) => (bytes === undefined ? undefined : decodeCard(id, bytes, NO_KEYRING).title))

describe('a card', () => {
  it('is there as long as its context is', async () => {
    expect(await put(1)).toBe('gone')
    await append(1, 'a')
    expect(await put(1, { title: 'one' })).toBe('put')
    expect(titles(await changes())).toEqual(['one'])
    await removeInactive([here.place], { inactiveMs: 0, dryRun: false })
    expect(await changes()).toEqual([])
    expect(await put(1)).toBe('gone')
    // Nothing is left but when the last card changed.
    expect(await link.call('KEYS', '*')).toEqual([Buffer.from(here.keys.cardsChanged)])
  })

  it('is not what an earlier context of its subject had', async () => {
    await append(1, 'a')
    await append(1, 'b')
    await removeInactive([here.place], { inactiveMs: 0, dryRun: false })
    await append(1, 'c')
    expect(await put(1, { events: 2 })).toBe('gone')
    expect(await put(1, { events: 1 })).toBe('put')
  })

  it('of two writers is the one that saw more events, or the later one', async () => {
    for (const delivery of ['a', 'b']) await append(1, delivery)
    const elsewhere = { ...here.place, link: other }
    for (let round = 0; round < 20; round++) {
      await Promise.all([
        put(1, { events: 1, title: 'of one' }),
        putCard(elsewhere, cardFor(1, { events: 2, title: `of two ${round}` }), undefined),
      ])
      expect(titles(await changes())).toEqual([`of two ${round}`])
    }
    expect(await put(1, { events: 1 })).toBe('older')
    expect(await put(1, { events: 2, title: 'later' })).toBe('put')
    expect(titles(await changes())).toEqual(['later'])
  })

  it('is not written when Redis is out of memory', async () => {
    await append(1, 'a')
    await link.call('CONFIG', 'SET', 'maxmemory', '1')
    await expect(put(1)).rejects.toMatchObject({ code: 'REDIS_OUT_OF_MEMORY' })
    await link.call('CONFIG', 'SET', 'maxmemory', '0')
    expect(await changes()).toEqual([])
    expect(await countCards(here.place)).toBe(0)
  })

  it('can be taken away by itself', async () => {
    await append(1, 'a')
    await put(1)
    expect(await removeCard(here.place, idOf(1))).toBe(true)
    expect(await removeCard(here.place, idOf(1))).toBe(false)
    expect(await changes()).toEqual([])
    expect(await here.contexts.read(idOf(1))).toBeDefined()
  })
})

describe('changes', () => {
  it('have numbers of their own that only rise, also within a microsecond and when the clock goes back', async () => {
    for (let n = 0; n < 50; n++) await append(n, `${n}`)
    await Promise.all(Array.from({ length: 500 }, (_, n) => put(n % 50, { title: `${n}` })))
    const all = await changes()
    const numbers = all.map(({ changedAt }) => changedAt)
    expect(new Set(numbers).size).toBe(50)
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    const ahead = (numbers.at(-1) as number) + 60_000_000
    await link.call('SET', here.keys.cardsChanged, ahead)
    await removeCard(here.place, idOf(0))
    for (const n of [1, 2]) await put(n)
    expect((await changes(ahead)).map(({ changedAt }) => changedAt)).toEqual([ahead + 1, ahead + 2])
  })

  it('are told from the last one that was seen, page by page, oldest first', async () => {
    for (let n = 0; n < 450; n++) await append(n, `${n}`)
    for (let n = 0; n < 450; n++) await put(n, { title: `${n}` })
    const pages: number[] = []
    const seen: StoredCard[] = []
    for await (const page of cardsSince(here.place, 0)) {
      // One that changes while it is read comes again at the end, and is not missed.
      if (pages.length === 0) await put(3, { title: 'anew' })
      pages.push(page.length)
      seen.push(...page)
    }
    expect(pages).toEqual([200, 200, 51])
    expect(titles(seen.slice(-1))).toEqual(['anew'])
    expect(titles(await changes(seen.at(-3)?.changedAt))).toEqual(['449', 'anew'])
    expect(await changes(seen.at(-1)?.changedAt)).toEqual([])
  })
})
