/** Cards are made of what happened, enriched when that can be, and none is ever forgotten. */
import { Fault } from '@weir/core/faults'
import { NO_KEYRING } from '@weir/core/keyring/keyring'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { memoryStore } from '../../../../tests/support/cold.ts'
import { assembled, eventOf, pullRequest, recordOf } from '../../../../tests/support/contexts.ts'
import { useKeyrings } from '../../../../tests/support/keyring.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { contextIdOf } from '../context-id.ts'
import { removeInactive } from '../removal.ts'
import { cardsBehind, countBehind } from './behind.ts'
import { createCardMaker, type Enricher, type Later } from './make-card.ts'
import { readCard } from './read-card.ts'

const redis = useRedis()
const keyrings = useKeyrings()
let link: RedisLink
beforeEach(async () => {
  link = connectRedis({
    url: redis.url,
    commandTimeoutMs: 5_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 100,
    name: 'make-card',
  })
  await link.ready()
})
afterEach(() => link.close())

const SITE_7 = contextIdOf('acme', 'github', 'acme/site#7')
const NOW = { quietMs: 0, maxDelayMs: 0 }
const LATER: Later = { kind: 'later', retryInMs: 5_000, why: 'the provider is away' }

/** An enricher that says what it was given, and what a test makes of it. */
function enricherOf(more: Partial<Enricher> = {}) {
  const asked: { previous: string | undefined; entries: readonly string[] }[] = []
  const enricher: Enricher = {
    embeddingModel: 'test-1',
    embed: async (_tenant, text) => Float32Array.from([text.length % 7, 1, 0].map((n) => n / 10)),
    async summarise(_tenant, { previous, entries }) {
      asked.push({ previous, entries })
      return `${previous === undefined ? '' : `${previous}; `}${entries.length} more`
    },
    ...more,
  }
  return { enricher, asked }
}

function world(enricher: Enricher | undefined = enricherOf().enricher, enrichesLater = false) {
  const all = assembled(link, { store: memoryStore() })
  let deliveries = 0
  const makeCard = createCardMaker({
    placeOf: () => all.place,
    contexts: all.contexts,
    opener: NO_KEYRING,
    sealing: undefined,
    enricher,
    enrichesLater,
    events: 100,
    now: () => 1_700_000_000_000,
  })
  return {
    all,
    makeCard,
    card: () => readCard(all.place, SITE_7, NO_KEYRING),
    behind: () => cardsBehind(all.place, 'words', NOW, 10),
    async happens(count: number) {
      for (let n = 0; n < count; n++) {
        const delivery = `${deliveries++}`
        const { record } = recordOf({
          delivery,
          json: pullRequest(7, 'edited', { body: `text ${delivery}` }),
          receivedAt: 1_700_000_000_000 + deliveries,
        })
        await all.contexts.append(eventOf(record), record)
      }
    },
  }
}

describe('a context with new events', () => {
  it('is behind until its card is made, which knows them all', async () => {
    const { makeCard, card, behind, happens } = world()
    await happens(3)
    expect(await behind()).toEqual([SITE_7])
    expect(await makeCard(SITE_7, 'words')).toEqual({ kind: 'made', enriched: true })
    expect(await behind()).toEqual([])
    expect(await card()).toMatchObject({
      events: 3,
      title: 'Change 7',
      summary: { text: '3 more', events: 3 },
      embedding: { model: 'test-1' },
    })
  })

  it('is summed up with what came since, and nothing twice', async () => {
    const { enricher, asked } = enricherOf()
    const { makeCard, card, happens } = world(enricher)
    await happens(2)
    await makeCard(SITE_7, 'words')
    await happens(3)
    await makeCard(SITE_7, 'words')
    await makeCard(SITE_7, 'words')
    expect(asked.map(({ previous, entries }) => [previous, entries.length])).toEqual([
      [undefined, 2],
      ['2 more', 3],
    ])
    expect(asked[1]!.entries[0]).toMatch(/^2023-11-14 alice edited.*Change 7.*text 2/)
    expect((await card())?.summary).toEqual({ text: '2 more; 3 more', events: 5 })
  })

  it('is one piece of work however many there are, once it is quiet or has waited for long', async () => {
    const { all, happens } = world()
    await happens(5)
    expect(await countBehind(all.place, 'words')).toBe(1)
    expect(await cardsBehind(all.place, 'words', { quietMs: 60_000, maxDelayMs: 600_000 }, 10)).toEqual([])
    await link.call('ZINCRBY', all.keys.dirty, -61_000, SITE_7)
    expect(await cardsBehind(all.place, 'words', { quietMs: 60_000, maxDelayMs: 600_000 }, 10)).toEqual([])
    await link.call('ZINCRBY', all.keys.active, -61_000, SITE_7)
    expect(await cardsBehind(all.place, 'words', { quietMs: 60_000, maxDelayMs: 600_000 }, 10)).toEqual([
      SITE_7,
    ])
    await happens(1)
    expect(await cardsBehind(all.place, 'words', { quietMs: 60_000, maxDelayMs: 600_000 }, 10)).toEqual([])
    expect(await cardsBehind(all.place, 'words', { quietMs: 60_000, maxDelayMs: 61_000 }, 10)).toEqual([
      SITE_7,
    ])
  })

  it('stays behind when an event comes while its card is made', async () => {
    const { enricher } = enricherOf()
    let came = false
    const meanwhile: Enricher = {
      ...enricher,
      async embed(...args) {
        if (!came) await happens(1)
        came = true
        return enricher.embed(...args)
      },
    }
    const { makeCard, behind, card, happens } = world(meanwhile)
    await happens(1)
    await makeCard(SITE_7, 'words')
    expect(await behind()).toEqual([SITE_7])
    await makeCard(SITE_7, 'words')
    expect(await behind()).toEqual([])
    expect(await card()).toMatchObject({ events: 2, summary: { events: 2 } })
  })
})

describe('an enricher that costs something', () => {
  it('is asked later, and words are found at once', async () => {
    const { enricher, asked } = enricherOf()
    const { all, makeCard, card, behind, happens } = world(enricher, true)
    await happens(2)
    expect(await makeCard(SITE_7, 'words')).toEqual({ kind: 'made', enriched: false })
    expect(asked).toEqual([])
    expect(await behind()).toEqual([])
    expect(await card()).toMatchObject({ events: 2, title: 'Change 7' })
    expect(await cardsBehind(all.place, 'enrichment', NOW, 10)).toEqual([SITE_7])
    await happens(1)
    await makeCard(SITE_7, 'words')
    expect(await makeCard(SITE_7, 'enrichment')).toEqual({ kind: 'made', enriched: true })
    expect(asked.map(({ entries }) => entries.length)).toEqual([3])
    expect(await cardsBehind(all.place, 'enrichment', NOW, 10)).toEqual([])
    // What it said stays when new words come.
    await happens(1)
    await makeCard(SITE_7, 'words')
    expect(await card()).toMatchObject({ events: 4, summary: { events: 3 }, embedding: { model: 'test-1' } })
  })
})

describe('an enricher', () => {
  it.each([
    ['cannot now', async () => LATER],
    [
      'fails',
      async () => {
        throw new Fault('AI_ANSWER_INVALID', 'nonsense')
      },
    ],
  ])(
    'that %s leaves a card that is found by its words, and what it had before; and is asked again for all',
    async (_what, broken) => {
      const { enricher, asked } = enricherOf()
      let works = true
      const moody: Enricher = {
        ...enricher,
        summarise: (...args) => (works ? enricher.summarise(...args) : broken()),
      }
      const { makeCard, behind, card, happens } = world(moody)
      await happens(1)
      await makeCard(SITE_7, 'words')
      works = false
      await happens(2)
      const outcome = await makeCard(SITE_7, 'words').catch((error: unknown) => error)
      expect(outcome === LATER || (outcome as Fault).code === 'AI_ANSWER_INVALID').toBe(true)
      expect(await behind()).toEqual([SITE_7])
      expect(await card()).toMatchObject({
        events: 3,
        text: expect.stringContaining('text 2'),
        summary: { text: '1 more', events: 1 },
        embedding: { model: 'test-1' },
      })
      works = true
      await makeCard(SITE_7, 'words')
      expect(asked.at(-1)?.entries).toHaveLength(2)
      expect(await behind()).toEqual([])
    },
  )

  it('that never will is done without', async () => {
    const never = async () => ({ kind: 'never' as const, why: 'refused' })
    const { makeCard, behind, card, happens } = world(enricherOf({ summarise: never, embed: never }).enricher)
    await happens(1)
    expect(await makeCard(SITE_7, 'words')).toMatchObject({ kind: 'made' })
    expect(await behind()).toEqual([])
    expect(await card()).not.toHaveProperty('summary')
  })

  it('that there is none: words are enough', async () => {
    const all = assembled(link)
    const makeCard = createCardMaker({
      placeOf: () => all.place,
      contexts: all.contexts,
      opener: NO_KEYRING,
      sealing: undefined,
      enricher: undefined,
      enrichesLater: false,
      events: 100,
      now: () => 0,
    })
    const { record } = recordOf({ delivery: '1', json: pullRequest(7, 'opened') })
    await all.contexts.append(eventOf(record), record)
    expect(await makeCard(SITE_7, 'words')).toEqual({ kind: 'made', enriched: false })
    expect(await readCard(all.place, SITE_7, NO_KEYRING)).toMatchObject({ title: 'Change 7' })
  })
})

describe('a context', () => {
  it('that is named by another one knows by whom, once the card of that one is made', async () => {
    const { all, makeCard } = world()
    const ticket = contextIdOf('acme', 'jira', 'PROJ-12')
    const { record } = recordOf({
      delivery: '1',
      json: pullRequest(7, 'opened', { body: 'Closes PROJ-12.', title: 'Mend it' }),
    })
    await all.contexts.append(eventOf(record), record)
    expect((await all.contexts.read(SITE_7))?.references).toEqual([{ tool: 'jira', key: 'PROJ-12' }])
    await makeCard(SITE_7, 'words')
    expect(await all.contexts.namedBy(ticket)).toEqual([{ tool: 'github', key: 'acme/site#7' }])
    // Of the ticket nothing was received yet, and may never be.
    expect(await link.call('TTL', all.keys.named(ticket))).toBeGreaterThan(0)
    await removeInactive([all.place], { inactiveMs: 0, dryRun: false })
    expect(await all.contexts.namedBy(ticket)).toEqual([])
  })

  it('that is gone is behind no more', async () => {
    const { all, makeCard, behind, happens } = world()
    await happens(1)
    await link.call('DEL', all.keys.head(SITE_7))
    expect(await makeCard(SITE_7, 'words')).toEqual({ kind: 'gone' })
    expect(await behind()).toEqual([])
  })

  it('that is cold is enriched too', async () => {
    const { all, makeCard, card, happens } = world()
    await happens(2)
    await all.mover.cool(SITE_7, 1)
    await all.mover.freeze(SITE_7)
    await makeCard(SITE_7, 'words')
    expect(await card()).toMatchObject({ events: 2, summary: { text: '2 more', events: 2 } })
  })

  it('that is encrypted has an encrypted card', async () => {
    const keyring = keyrings.open()
    const all = assembled(link, { keyring })
    const makeCard = createCardMaker({
      placeOf: () => all.place,
      contexts: all.contexts,
      opener: keyring,
      sealing: keyring,
      enricher: enricherOf().enricher,
      enrichesLater: false,
      events: 100,
      now: () => 0,
    })
    await keyring.prepare('acme')
    const { record } = recordOf({
      delivery: '1',
      json: pullRequest(7, 'opened', { title: 'q7Zk3v0X' }),
      keyring,
    })
    await all.contexts.append(eventOf(record, keyring), record)
    await makeCard(SITE_7, 'words')
    expect((await redis.client().getBuffer(all.keys.card(SITE_7)))!.includes('q7Zk3v0X')).toBe(false)
    expect(await readCard(all.place, SITE_7, keyring)).toMatchObject({ title: 'q7Zk3v0X' })
  })
})
