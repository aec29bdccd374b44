import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ContextFacts, composeContext, LISTED_MAX, type TimelineEntry } from './compose.ts'
import type { Digest } from './digest.ts'

const facts: ContextFacts = {
  id: 'c1',
  tenant: 'acme',
  tool: 'github',
  kind: 'pull_request',
  subject: 'acme/site#42',
  events: 3,
  rawBytes: 30_000,
  accesses: 0,
  lastAccessAt: undefined,
  tier: 'hot',
  withheld: undefined,
}

const NINE = Date.UTC(2026, 5, 1, 9)
const MINUTE = 60_000

/** Happened so many minutes after nine, and was received at once. */
function entry(eventId: string, minutes: number, said: Partial<Digest> = {}): TimelineEntry {
  const at = NINE + minutes * MINUTE
  return {
    eventId,
    type: 'pull_request',
    receivedAt: at,
    digest: { name: 'pull_request.x', at, what: 'x', ...said },
  }
}

describe('composeContext', () => {
  const opened = entry('a', 0, { who: 'ada', state: 'open', title: 'Fix logn', link: 'https://x/42' })
  const renamed = entry('b', 10, { who: 'ada', title: 'Fix login' })
  const commented = entry('c', 20, { who: 'bob', people: ['eve'] })
  const merged = entry('d', 30, { who: 'bob', state: 'merged' })

  it('tells each thing as the latest event that says it', () => {
    const context = composeContext(facts, [opened, renamed, commented, merged])
    expect(context).toEqual({
      ...facts,
      title: 'Fix login',
      link: 'https://x/42',
      state: 'merged',
      severity: null,
      firstAt: NINE,
      lastAt: NINE + 30 * MINUTE,
      people: [
        { name: 'bob', events: 2 },
        { name: 'ada', events: 2 },
      ],
      mentioned: ['eve'],
      references: [],
      timeline: [opened, renamed, commented, merged],
    })
  })

  it('stays merged when the opening drains from a spool an hour later', () => {
    const late = { ...opened, receivedAt: NINE + 90 * MINUTE }
    const context = composeContext(facts, [merged, commented, late])
    expect(context.state).toBe('merged')
    expect(context.timeline.map(({ eventId }) => eventId)).toEqual(['a', 'c', 'd'])
  })

  it('orders events of one second by their receipt, then by id', () => {
    const [second, first] = [
      { ...entry('a', 0), receivedAt: NINE + 2 },
      { ...entry('z', 0), receivedAt: NINE + 1 },
    ]
    const third = { ...entry('b', 0), receivedAt: NINE + 2 }
    expect(composeContext(facts, [third, second, first]).timeline).toEqual([first, second, third])
  })

  it('counts a redelivery once, dated by its first receipt', () => {
    const again = entry('a', 600, { who: 'ada', state: 'open', title: 'Fix logn' })
    const context = composeContext(facts, [again, merged, opened])
    expect(context.timeline).toEqual([opened, merged])
    expect(context.state).toBe('merged')
  })

  it('is a context of nulls without any entry', () => {
    expect(composeContext(facts, [])).toEqual({
      ...facts,
      ...{ title: null, link: null, state: null, severity: null, firstAt: null, lastAt: null },
      ...{ people: [], mentioned: [], references: [], timeline: [] },
    })
  })

  it('takes an empty text for saying nothing', () => {
    const context = composeContext(facts, [opened, entry('e', 5, { title: '', state: '', who: '' })])
    expect(context).toMatchObject({
      title: 'Fix logn',
      state: 'open',
      people: [{ name: 'ada', events: 1 }],
    })
  })

  it('lists the most active first, and mentions and references by their latest event', () => {
    const site = { tool: 'github', key: 'acme/site#1' }
    const ticket = { tool: 'jira', key: 'PROJ-1' }
    const context = composeContext(facts, [
      entry('a', 1, { who: 'ada', people: ['eve', 'kim'], references: [site, ticket] }),
      entry('b', 2, { who: 'ada' }),
      entry('c', 3, { who: 'bob', people: ['kim'], references: [{ ...ticket }] }),
      entry('d', 4, { who: 'cy' }),
    ])
    expect(context.people.map(({ name }) => name)).toEqual(['ada', 'cy', 'bob'])
    expect(context.mentioned).toEqual(['kim', 'eve'])
    expect(context.references).toEqual([ticket, site])
  })

  it(`lists ${LISTED_MAX} of each at most, and keeps the newest of those as active`, () => {
    const many = Array.from({ length: LISTED_MAX + 10 }, (_, n) =>
      entry(`e${n}`, n, { who: `w${n}`, people: [`p${n}`], references: [{ tool: 'jira', key: `P-${n}` }] }),
    )
    const { people, mentioned, references, timeline } = composeContext(facts, many)
    expect([people.length, mentioned.length, references.length]).toEqual([LISTED_MAX, LISTED_MAX, LISTED_MAX])
    expect([people[0]?.name, mentioned[0], references[0]?.key]).toEqual(['w59', 'p59', 'P-59'])
    expect(timeline).toHaveLength(LISTED_MAX + 10)
  })
})

describe('composeContext, whatever the entries', () => {
  /** Few values of each, so that moments tie, ids repeat (with other digests too), and the latest is often told by a tie. */
  const word = fc.constantFrom('', 'open', 'closed', 'a', 'b', '__proto__')
  const names = fc.uniqueArray(fc.constantFrom('ada', 'bob', 'constructor'))
  const digest = fc.record(
    {
      name: fc.constant('x'),
      at: fc.integer({ min: 0, max: 3 }),
      what: fc.constant('x'),
      who: word,
      title: word,
      link: word,
      state: word,
      severity: fc.constantFrom('info' as const, 'critical' as const),
      people: names,
      references: fc.array(fc.record({ tool: fc.constantFrom('a', 'b'), key: word }), { maxLength: 2 }),
    },
    { requiredKeys: ['name', 'at', 'what'] },
  )
  const anyEntry: fc.Arbitrary<TimelineEntry> = fc.record({
    eventId: fc.constantFrom(...'abcdefgh'),
    type: word,
    receivedAt: fc.integer({ min: 0, max: 2 }),
    digest,
  })
  const anyEntries = fc.array(anyEntry, { maxLength: 12 })
  const shuffled = anyEntries.chain((list) =>
    fc.tuple(
      fc.constant(list),
      fc.shuffledSubarray(list, { minLength: list.length, maxLength: list.length }),
    ),
  )

  it('does not depend on the order of arrival', () => {
    fc.assert(
      fc.property(shuffled, ([list, other]) => {
        expect(composeContext(facts, other)).toEqual(composeContext(facts, list))
      }),
      { numRuns: 1_000 },
    )
  })

  it('is not changed by events that come again', () => {
    const repeated = anyEntries.chain((list) => fc.tuple(fc.constant(list), fc.subarray(list)))
    fc.assert(
      fc.property(repeated, ([list, again]) => {
        const copies = structuredClone(again)
        expect(composeContext(facts, [...copies, ...list])).toEqual(composeContext(facts, list))
      }),
    )
  })

  it('is the same composed in one go or from parts that were composed before', () => {
    fc.assert(
      fc.property(anyEntries, anyEntries, (some, others) => {
        const whole = composeContext(facts, [...some, ...others])
        const [left, right] = [composeContext(facts, some), composeContext(facts, others)]
        expect(composeContext(facts, [...right.timeline, ...left.timeline])).toEqual(whole)
        expect(composeContext(whole, whole.timeline)).toEqual(whole)
      }),
      { numRuns: 1_000 },
    )
  })

  it('never lets a state win that a later entry supersedes', () => {
    fc.assert(
      fc.property(anyEntries, (list) => {
        const { state, timeline } = composeContext(facts, list)
        const told = timeline.filter((one) => one.digest.state)
        const newest = Math.max(...told.map((one) => one.digest.at))
        const candidates = told.filter(({ digest: { at } }) => at === newest).map((one) => one.digest.state)
        if (told.length === 0) expect(state).toBeNull()
        else expect(candidates).toContain(state)
      }),
    )
  })

  it('leaves the list it is given as it was', () => {
    fc.assert(
      fc.property(anyEntries, (list) => {
        const before = structuredClone(list)
        composeContext(facts, list)
        expect(list).toEqual(before)
      }),
    )
  })
})
