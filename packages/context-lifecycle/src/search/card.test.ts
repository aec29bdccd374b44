import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { composeContext, type TimelineEntry } from '../compose.ts'
import { type Card, cardOf, cardText, DIMENSIONS_MAX, PEOPLE_MAX, SUMMARY_MAX, TEXT_MAX } from './card.ts'

const FACTS = {
  id: 'ctx_x',
  tenant: 'acme',
  tool: 'github',
  kind: 'repository',
  subject: 'acme/site',
  events: 3,
  rawBytes: 0,
  accesses: 0,
  lastAccessAt: undefined,
  tier: 'hot' as const,
  withheld: undefined,
}
const entry = (n: number, more: Partial<TimelineEntry['digest']> = {}, type = 'push'): TimelineEntry => ({
  eventId: `evt_${n}`,
  type,
  receivedAt: 1_000 + n,
  digest: { name: type, at: 1_000 + n, what: 'pushed', ...more },
})
const made = (...entries: TimelineEntry[]): Card => cardOf(composeContext(FACTS, entries), 0.5)

describe('a card', () => {
  it('says what happened, newest first, each once, and what was written', () => {
    const card = made(
      entry(1, { what: 'added the deploy key ci' }, 'deploy_key'),
      entry(2, { what: 'pushed 2 commits', text: 'Fix the login', who: 'alice' }),
      entry(3, { what: 'pushed 2 commits', text: 'Fix the logout', who: 'bob', people: ['carol'] }),
    )
    expect(card.text).toBe(
      'push, deploy key\npushed 2 commits\nadded the deploy key ci\nFix the logout\nFix the login',
    )
    expect(card.people).toEqual(['bob', 'alice', 'carol'])
  })

  it('does not let one long comment hide what else happened', () => {
    const long = entry(9, { what: 'commented', text: 'x'.repeat(2_000) })
    expect(made(entry(1, { what: 'starred' }), entry(2, { text: 'the reason' }), long).text).toMatch(
      /starred(.|\n)*the reason/,
    )
  })

  it('is never later than the receipt of its last event: a clock that is ahead is not news for a year', () => {
    expect(made(entry(1, { at: 9_000_000 })).lastAt).toBe(1_001)
    expect(made().lastAt).toBe(0)
  })

  it('is bounded whatever its context is', () => {
    const digest = fc.record({
      what: fc.string({ maxLength: 200 }),
      text: fc.string({ maxLength: 2_000 }),
      who: fc.string({ maxLength: 100 }),
    })
    fc.assert(
      fc.property(
        fc.array(digest, { maxLength: 60 }),
        fc.string({ maxLength: 5_000 }),
        (digests, summary) => {
          const context = composeContext(
            FACTS,
            digests.map((one, n) => entry(n, one, `type_${n}`)),
          )
          const card = cardOf(context, 0, { summary: { text: summary, events: 1 } })
          expect(card.text.length).toBeLessThanOrEqual(TEXT_MAX)
          expect(card.summary?.text.length ?? 0).toBeLessThanOrEqual(SUMMARY_MAX)
          expect(card.people.length).toBeLessThanOrEqual(PEOPLE_MAX)
          expect(cardText(card)).toContain(FACTS.subject)
        },
      ),
    )
    const link = `https://example.com/${'x'.repeat(3_000)}`
    expect(made(entry(1, { link })).link).toBeNull()
  })

  it('has the embedding of its model, and refuses one that is too large to search', () => {
    const context = composeContext(FACTS, [entry(1)])
    const embedding = (dimensions: number) => ({ model: 'm', vector: new Float32Array(dimensions).fill(1) })
    expect(cardOf(context, 0, { embedding: embedding(3) }).embedding).toEqual({
      model: 'm',
      vector: Int8Array.of(127, 127, 127),
    })
    expect(cardOf(context, 0, { embedding: embedding(0) }).embedding).toBeUndefined()
    expect(() => cardOf(context, 0, { embedding: embedding(DIMENSIONS_MAX + 1) })).toThrow(RangeError)
  })
})
