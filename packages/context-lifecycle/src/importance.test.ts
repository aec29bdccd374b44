import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Context, type ContextFacts, composeContext, type TimelineEntry } from './compose.ts'
import type { Digest, Severity } from './digest.ts'
import {
  ACCESS_HALF_LIFE_MS,
  type ImportancePart,
  importanceOf,
  RECENCY_HALF_LIFE_MS,
  WEIGHTS,
} from './importance.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const NOW = Date.UTC(2026, 5, 8, 12)

/** A context of these digests, each so many ms ago. */
function contextOf(
  kind: string,
  digests: readonly (Partial<Digest> & { readonly ago: number })[],
  facts: Partial<ContextFacts> = {},
): Context {
  const entries = digests.map(({ ago, ...said }, n): TimelineEntry => {
    const at = NOW - ago
    return { eventId: `e${n}`, type: 't', receivedAt: at, digest: { name: 't', at, what: 'x', ...said } }
  })
  const known = { id: 'c', tenant: 'acme', tool: 'any', kind, subject: 's', rawBytes: 0, accesses: 0 }
  const place = { tier: 'hot', withheld: undefined } as const
  return composeContext(
    { ...known, ...place, events: entries.length, lastAccessAt: undefined, ...facts },
    entries,
  )
}

const scoreOf = (context: Context): number => importanceOf(context, NOW).score
function partOf(context: Context, part: ImportancePart): { readonly value: number; readonly why: string } {
  const found = importanceOf(context, NOW).parts.find((one) => one.part === part)
  if (found === undefined) throw new Error(`no part ${part}`)
  return found
}

const firing = contextOf('alert_group', [{ ago: 0, severity: 'critical', state: 'firing' }])
const mergedLastWeek = contextOf(
  'pull_request',
  [
    { ago: 8 * DAY, who: 'ada', state: 'open', defaultBranch: true },
    { ago: 7.5 * DAY, who: 'bob', people: ['ada', 'cy'] },
    { ago: 7 * DAY, who: 'cy', state: 'merged' },
  ],
  { events: 60 },
)
const discussed = contextOf(
  'issue',
  ['ada', 'bob', 'cy', 'dee', 'eve', 'flo'].map((who, n) => {
    return { ago: (6 - n) * HOUR, who, state: 'In Progress', people: ['kim'] }
  }),
)
const botPush = contextOf('ref', [{ ago: 0, who: 'renovate[bot]', defaultBranch: true }])

describe('importanceOf', () => {
  it('puts a critical alert that fires above a pull request that was merged last week', () => {
    expect(scoreOf(firing)).toBeGreaterThan(scoreOf(mergedLastWeek) + 0.4)
  })

  it('puts a ticket that many people discuss above the push of a bot', () => {
    expect(scoreOf(discussed)).toBeGreaterThan(scoreOf(botPush) + 0.1)
  })

  it('puts a context that was read five times yesterday above itself unread', () => {
    const read = { ...discussed, accesses: 5, lastAccessAt: NOW - DAY }
    expect(scoreOf(read)).toBeGreaterThan(scoreOf(discussed))
  })

  it('holds a critical alert above the hot threshold until Alertmanager repeats it', () => {
    expect(importanceOf(firing, NOW + 4 * HOUR).score).toBeGreaterThanOrEqual(0.8)
    expect(importanceOf(firing, NOW + DAY).score).toBeLessThan(0.8)
  })

  it('holds work of several people above the warm threshold a day later, and nothing that is over or left alone', () => {
    const open = contextOf('pull_request', [
      { ago: 2 * HOUR, who: 'ada', state: 'open', defaultBranch: true },
      { ago: HOUR, who: 'bob' },
      { ago: 0, who: 'ada' },
    ])
    const single = contextOf('issue', [{ ago: 0, who: 'ada', state: 'open' }])
    const scores = (contexts: readonly Context[], days: number) =>
      contexts.map((context) => importanceOf(context, NOW + days * DAY).score)
    expect(Math.min(...scores([open, discussed], 1))).toBeGreaterThan(0.5)
    expect(Math.max(...scores([open, discussed], 3))).toBeLessThan(0.5)
    expect(Math.max(...scores([single, mergedLastWeek, botPush], 1))).toBeLessThan(0.5)
  })

  it('drops an alert that is resolved below every alert that fires at least as a warning', () => {
    const resolved = contextOf('alert_group', [{ ago: 0, severity: 'critical', state: 'resolved' }])
    const warning = contextOf('alert_group', [{ ago: 0, severity: 'warning', state: 'firing' }])
    expect(scoreOf(resolved)).toBeLessThan(scoreOf(warning))
    expect(partOf(resolved, 'severity')).toMatchObject({ value: 0.2, why: 'critical, but resolved' })
  })

  it('says why in sentences with the numbers', () => {
    const context = { ...discussed, accesses: 5, lastAccessAt: NOW - DAY }
    const { score, parts } = importanceOf(context, NOW)
    expect(score).toBe(0.565)
    expect(parts.map(({ part, weight, value, why }) => `${part} ${weight} x ${value}: ${why}`)).toEqual([
      'kind 0.16 x 0.7: kind is issue',
      'severity 0.28 x 0: no event says how severe it is',
      'default_branch 0.02 x 0: no event says that it concerns the default branch',
      'state 0.22 x 1: it is In Progress',
      'people 0.05 x 0.75: 6 people took part',
      'mentions 0.02 x 0.159: 1 person was mentioned',
      'activity 0.05 x 0.422: 6 events',
      'access 0.05 x 0.453: read 5 times, last 1d ago',
      'recency 0.15 x 0.99: last event 1h ago',
    ])
  })

  it('says what is missing of a context of which nothing is known', () => {
    const { parts } = importanceOf(contextOf('constructor', []), NOW)
    expect(parts.map(({ why }) => why).join('; ')).toBe(
      'kind is constructor, rated as any other; no event says how severe it is; ' +
        'no event says that it concerns the default branch; no event says its state; ' +
        'no event says who took part; nobody was mentioned; 0 events; never read; no event yet',
    )
  })

  it.each([
    ['firing', 1, 'it is firing'],
    ['IN_PROGRESS', 1, 'it is IN_PROGRESS'],
    ['failure', 1, 'it is failure'],
    ['Erledigt?', 0.5, 'it is Erledigt?, which may be on or over'],
    ['published', 0.5, 'it is published, which may be on or over'],
    ['merged', 0, 'it is merged, so it is over'],
    ['Done', 0, 'it is Done, so it is over'],
  ])('rates the state %s with %d', (state, value, why) => {
    expect(partOf(contextOf('issue', [{ ago: 0, state }]), 'state')).toMatchObject({ value, why })
  })

  it('does not count bots among the people', () => {
    expect(partOf(botPush, 'people')).toMatchObject({ value: 0, why: '0 people and 1 bot took part' })
  })

  it('halves recency and accesses with their half-lives', () => {
    const read = { accesses: 5, lastAccessAt: NOW - ACCESS_HALF_LIFE_MS }
    const context = contextOf('issue', [{ ago: RECENCY_HALF_LIFE_MS }], read)
    expect(partOf(context, 'recency').value).toBe(0.5)
    expect(partOf(context, 'access')).toMatchObject({ value: 0.25, why: 'read 5 times, last 7d ago' })
  })

  it('does not believe a sender that the event happened after its receipt', () => {
    const [ahead] = contextOf('issue', [{ ago: -365 * DAY }]).timeline
    if (ahead === undefined) throw new Error('no entry')
    const context = composeContext(contextOf('issue', []), [
      { ...ahead, receivedAt: NOW - RECENCY_HALF_LIFE_MS },
    ])
    expect(partOf(context, 'recency')).toMatchObject({ value: 0.5, why: 'last event 3d ago' })
  })

  it('has weights that sum to 1', () => {
    expect(Object.values(WEIGHTS).reduce((sum, weight) => sum + weight)).toBeCloseTo(1, 12)
  })
})

describe('importanceOf, whatever the context', () => {
  const severities = ['info', 'warning', 'error', 'critical'] as const satisfies readonly Severity[]
  const some = fc.option(fc.constantFrom(...severities), { nil: undefined })
  const digest = fc.record({
    ago: fc.integer({ min: -DAY, max: 400 * DAY }),
    state: fc.constantFrom('open', 'firing', 'merged', 'resolved', 'In Review', 'Warten', 'toString'),
    who: fc.constantFrom('ada', 'bob', 'cy', 'dee', 'dependabot[bot]'),
    people: fc.uniqueArray(fc.constantFrom('ada', 'kim', 'lee')),
  })
  const anyContext = fc
    .record({
      kind: fc.constantFrom('alert_group', 'pull_request', 'issue', 'ref', '__proto__', ''),
      digests: fc.array(digest, { maxLength: 8 }),
      severity: some,
      events: fc.nat({ max: 100_000 }),
      accesses: fc.nat({ max: 10_000 }),
      lastAccessAt: fc.option(fc.integer({ min: NOW - 90 * DAY, max: NOW + DAY }), { nil: undefined }),
    })
    .map(({ kind, digests, severity, ...facts }) => {
      const context = contextOf(kind, digests, facts)
      return { ...context, severity: severity ?? null }
    })
  const anyTime = fc.integer({ min: NOW, max: NOW + 1_000 * DAY })

  it('is 0 to 1, of nine parts with values 0 to 1, and their weighted sum', () => {
    fc.assert(
      fc.property(anyContext, anyTime, (context, now) => {
        const { score, parts } = importanceOf(context, now)
        const sum = parts.reduce((total, { weight, value }) => total + weight * value, 0)
        expect(score).toBe(Number(score.toFixed(3)))
        expect(Math.abs(score - sum)).toBeLessThanOrEqual(0.000_5 + 1e-9)
        for (const value of [score, ...parts.map((part) => part.value)]) {
          expect(value).toBeGreaterThanOrEqual(0)
          expect(value).toBeLessThanOrEqual(1)
        }
        expect(Object.fromEntries(parts.map(({ part, weight }) => [part, weight]))).toEqual(WEIGHTS)
        for (const { why } of parts) expect(why).toMatch(/^\S.*\S$/)
      }),
      { numRuns: 500 },
    )
  })

  it('does not fall with severity', () => {
    fc.assert(
      fc.property(anyContext, (context) => {
        const scores = [null, ...severities].map((severity) => scoreOf({ ...context, severity }))
        expect(scores).toEqual(scores.toSorted((a, b) => a - b))
      }),
    )
  })

  it('does not fall with one more person, mention, event or access', () => {
    fc.assert(
      fc.property(anyContext, (context) => {
        const score = scoreOf(context)
        const more: readonly Partial<Context>[] = [
          { people: [...context.people, { name: 'new', events: 1 }] },
          { people: [...context.people, { name: 'new[bot]', events: 1 }] },
          { mentioned: [...context.mentioned, 'new'] },
          { events: context.events + 1 },
          { accesses: context.accesses + 1 },
          { accesses: context.accesses + 1, lastAccessAt: Math.max(NOW, context.lastAccessAt ?? NOW) },
        ]
        for (const change of more) expect(scoreOf({ ...context, ...change })).toBeGreaterThanOrEqual(score)
      }),
    )
  })

  it('falls when it is over, and never rises by time alone', () => {
    fc.assert(
      fc.property(anyContext, anyTime, anyTime, (context, a, b) => {
        const [sooner, later] = [Math.min(a, b), Math.max(a, b)]
        expect(importanceOf(context, later).score).toBeLessThanOrEqual(importanceOf(context, sooner).score)
        const [open, closed] = ['open', 'closed'].map((state) => scoreOf({ ...context, state }))
        expect(closed).toBeLessThan(open ?? 0)
      }),
    )
  })

  it('does not depend on the order of arrival', () => {
    fc.assert(
      fc.property(anyContext, fc.nat(), (context, by) => {
        const { timeline } = context
        const cut = by % (timeline.length + 1)
        const other = [...timeline.slice(cut), ...timeline.slice(0, cut).toReversed()]
        const [one, two] = [timeline, other].map((list) => importanceOf(composeContext(context, list), NOW))
        expect(two).toEqual(one)
      }),
    )
  })
})
