import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Card, cardText } from './card.ts'
import { createCardIndex, type Question } from './card-index.ts'
import { card, DAY_MS, NOW } from './cards.test-support.ts'
import { hashedEmbedding } from './hashed-embedder.test-support.ts'
import { quantise } from './quantised.ts'

const indexOf = (...cards: Card[]) => {
  const index = createCardIndex()
  for (const one of cards) index.put(one)
  return index
}
const embedded = (one: Card, model = 'hashed'): Card => ({
  ...one,
  embedding: { model, vector: quantise(hashedEmbedding(cardText(one))) },
})
const ask = (index: ReturnType<typeof createCardIndex>, asked: string, more: Partial<Question> = {}) =>
  index.rank({ asked, now: NOW, limit: 10, ...more })
const subjects = (...args: Parameters<typeof ask>) => ask(...args).map(({ card: { subject } }) => subject)
const meant = (asked: string) => ({ embedding: { model: 'hashed', vector: hashedEmbedding(asked) } })

const LAG = card({
  tool: 'alertmanager',
  kind: 'alert_group',
  subject: '{}:{alertname="WebhookConsumerLag"}',
  title: 'Consumer lag above 1000',
  state: 'firing',
  severity: 'critical',
})
const LOGIN = card({ subject: 'acme/site#42', title: 'Login fails on Safari', people: ['bob'] })
const TICKET = card({
  tool: 'jira',
  kind: 'issue',
  subject: 'PROJ-123',
  title: '登录页面打开很慢',
  state: '打开',
})

describe('contexts are found', () => {
  const index = indexOf(
    LAG,
    LOGIN,
    TICKET,
    ...Array.from({ length: 50 }, (_, n) => card({ subject: `acme/other#${n}` })),
  )

  it.each([
    ['proj-123', TICKET],
    ['jira PROJ-123', TICKET],
    ['打开', TICKET],
    ['页面', TICKET],
    ['acme/site#42', LOGIN],
    ['site#42', LOGIN],
    ['login failure safari', LOGIN],
    ['what did bob do', LOGIN],
    ['WebhookConsumerLag', LAG],
    ['consumer lagging', LAG],
    ['critical alert', LAG],
    ['webhookcons', LAG],
    [LOGIN.id, LOGIN],
  ])('by %s', (asked, expected) => {
    expect(subjects(index, asked)[0]).toBe(expected.subject)
  })

  it('by nothing that is not there', () => {
    expect(ask(index, 'zzzz')).toEqual([])
    expect(ask(createCardIndex(), 'lag')).toEqual([])
  })
})

describe('a name that is asked exactly', () => {
  it('comes first, whatever is newer, more important, or says it more often', () => {
    const loud = card({
      subject: 'acme/site#1000',
      title: 'acme/site#7 acme/site#7',
      text: 'acme/site#7',
      importance: 1,
    })
    const quiet = card({ lastAt: NOW - 900 * DAY_MS, importance: 0 })
    for (const asked of ['acme/site#7', 'github acme/site#7', ' GitHub  ACME/site#7']) {
      const [first, second] = ask(indexOf(loud, quiet), asked)
      expect(first).toMatchObject({ card: { subject: 'acme/site#7' }, score: 1, parts: [{ part: 'named' }] })
      expect(second?.score ?? 0).toBeLessThanOrEqual(1)
    }
  })

  it('is of each tenant that has it, the latest first, and of one where one is asked for', () => {
    const index = indexOf(card({ lastAt: NOW - DAY_MS }), card({ tenant: 'other' }))
    expect(ask(index, 'acme/site#7').map(({ card: { tenant } }) => tenant)).toEqual(['other', 'acme'])
    expect(ask(index, 'acme/site#7', { tenant: 'acme' }).map(({ card: { tenant } }) => tenant)).toEqual([
      'acme',
    ])
  })
})

describe('what is asked for only', () => {
  const index = indexOf(
    LAG,
    LOGIN,
    TICKET,
    card({ tenant: 'other', lastAt: NOW - 40 * DAY_MS, state: 'Closed' }),
  )

  it('is shown: tenant, tool, kind, state, time', () => {
    const found = (more: Partial<Question>) => subjects(index, 'login change lag 打开', more).sort()
    expect(found({})).toHaveLength(4)
    expect(found({ tenant: 'other' })).toEqual(['acme/site#7'])
    expect(found({ tenant: 'nobody' })).toEqual([])
    expect(found({ tool: 'jira' })).toEqual(['PROJ-123'])
    expect(found({ kind: 'alert_group' })).toEqual([LAG.subject])
    expect(found({ state: 'closed' })).toEqual(['acme/site#7'])
    expect(found({ until: NOW - DAY_MS })).toEqual(['acme/site#7'])
    expect(found({ since: NOW - DAY_MS, tool: 'github' })).toEqual(['acme/site#42'])
  })

  it('never is another tenant’s, by words, meaning or name', () => {
    const words = fc.constantFrom('login', 'change', 'lag', '打开', 'acme/site#7', 'PROJ-123', 'alice')
    const tenants = fc.constantFrom('acme', 'other', 'third')
    fc.assert(
      fc.property(fc.array(tenants), tenants, words, (owners, tenant, asked) => {
        const many = indexOf(
          ...owners.map((owner, n) =>
            embedded(card({ tenant: owner, subject: `acme/site#${n}`, title: asked })),
          ),
        )
        for (const found of ask(many, asked, { tenant, ...meant(asked) }))
          expect(found.card.tenant).toBe(tenant)
      }),
    )
  })
})

describe('a score', () => {
  const index = indexOf(embedded(LAG), embedded(LOGIN), TICKET, embedded(card(), 'another model'))

  it('is the sum of its parts, 0 to 1, and falls from result to result', () => {
    const asked = fc.array(
      fc.constantFrom('login', 'lag', 'change', 'safari', 'consumer', 'alice', '打开', 'open'),
      { minLength: 1 },
    )
    fc.assert(
      fc.property(asked, fc.boolean(), fc.nat(1_000), (words, means, days) => {
        const q = words.join(' ')
        const found = ask(index, q, { ...(means ? meant(q) : {}), now: NOW + days * DAY_MS })
        for (const { score, parts } of found) {
          const sum = parts.reduce((total, { weight, value }) => total + weight * value, 0)
          expect(Math.abs(score - sum)).toBeLessThanOrEqual(0.000_5 + 1e-9)
          expect(parts.reduce((total, { weight }) => total + weight, 0)).toBeCloseTo(1, 9)
          for (const value of [score, ...parts.map((part) => part.value)]) {
            expect(value).toBeGreaterThanOrEqual(0)
            expect(value).toBeLessThanOrEqual(1)
          }
          for (const { why } of parts) expect(why).toMatch(/^\S.*\S$/)
        }
        const scores = found.map(({ score }) => score)
        expect(scores).toEqual(scores.toSorted((a, b) => b - a))
      }),
    )
  })

  it('leaves meaning out where it cannot be told, and says so', () => {
    const parts = (asked: string, more: Partial<Question>, subject: string) =>
      ask(index, asked, more).find(({ card: { subject: found } }) => found === subject)?.parts
    const names = (found: ReturnType<typeof parts>) => found?.map(({ part }) => part)
    expect(names(parts('login', meant('login'), 'acme/site#42'))).toEqual([
      'text',
      'meaning',
      'recency',
      'importance',
    ])
    expect(names(parts('login', {}, 'acme/site#42'))).toEqual(['text', 'recency', 'importance'])
    expect(parts('login', {}, 'acme/site#42')?.[0]?.why).toBe(
      '1 of 1 words: login (the question has no embedding: the other parts count for more)',
    )
    const other = parts('change', meant('change'), 'acme/site#7')
    expect(names(other)).toEqual(['text', 'recency', 'importance'])
    expect(other?.[0]?.why).toContain('no embedding of the same model')
    expect(parts('打开', meant('打开'), 'PROJ-123')?.[0]?.why).toContain('no embedding of the same model')
  })

  it('finds by meaning what shares no word', () => {
    const one = card({ subject: 'a#1', title: 'throttling' })
    const close = hashedEmbedding('something else entirely')
    const many = indexOf(
      { ...one, embedding: { model: 'hashed', vector: quantise(close) } },
      card({ subject: 'a#2', title: 'other' }),
    )
    expect(subjects(many, 'rate limits', { embedding: { model: 'hashed', vector: close } })).toEqual(['a#1'])
  })

  it('is higher for what is newer, and for what matters more', () => {
    const at = (subject: string, more: Partial<Card>) => card({ subject, title: 'the same', ...more })
    expect(subjects(indexOf(at('a#1', { lastAt: NOW - 60 * DAY_MS }), at('a#2', {})), 'same')).toEqual([
      'a#2',
      'a#1',
    ])
    expect(subjects(indexOf(at('a#1', { importance: 0.1 }), at('a#2', {})), 'same')).toEqual(['a#2', 'a#1'])
  })
})

describe('a card', () => {
  it('that changed is found by what it says now only', () => {
    const index = indexOf(embedded(card({ title: 'before' })))
    index.put(embedded(card({ title: 'after', state: 'closed' })))
    expect(index.size).toBe(1)
    expect(subjects(index, 'before')).toEqual([])
    expect(ask(index, 'after')).toMatchObject([{ card: { title: 'after', state: 'closed' } }])
  })

  it('that was removed is not found, and its place is used again', () => {
    const index = indexOf(embedded(card()))
    expect(index.remove(card().id)).toBe(true)
    expect(index.remove(card().id)).toBe(false)
    expect(ask(index, 'acme/site#7', meant('Change 7'))).toEqual([])
    expect(index.facts).toMatchObject({ cards: 0, embedded: 0 })
    index.put(card())
    expect(subjects(index, 'change')).toEqual(['acme/site#7'])
  })

  it('is one of very many, and the best of all are found', () => {
    const index = createCardIndex()
    for (let n = 0; n < 3_000; n++)
      index.put(card({ subject: `acme/site#${n}`, title: 'the same', importance: n / 3_000 }))
    expect(subjects(index, 'same', { limit: 3 })).toEqual([
      'acme/site#2999',
      'acme/site#2998',
      'acme/site#2997',
    ])
    expect(ask(index, 'same', { limit: 100 })).toHaveLength(100)
  })
})
