import { TITLE_MAX } from '@weir/core/adapters/peek'
import { ADAPTERS } from '@weir/core/adapters/table'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Digest, type DigestSource, MENTIONS_MAX, TEXT_MAX, WHO_MAX } from './digest.ts'
import { digestOf, NAME_MAX, STATE_MAX, WHAT_MAX } from './digest-of.ts'
import { githubExamples, RECEIVED_AT, sample, sourceOf } from './digests/digests.test-support.ts'

const EXAMPLES: readonly DigestSource[] = [
  ...githubExamples().flatMap(({ name, examples }) =>
    examples.slice(0, 3).map((one) => sourceOf('github', one, name)),
  ),
  ...['push', 'issue', 'merge_request', 'note', 'pipeline'].map((name) =>
    sourceOf('gitlab', sample(`gitlab/${name}`), name),
  ),
  ...['issue_created', 'issue_updated', 'comment_created', 'worklog_created', 'sprint_started'].map((name) =>
    sourceOf('jira', sample(`jira/${name}`)),
  ),
  ...['firing', 'firing-one-resolved', 'resolved'].map((name) =>
    sourceOf('alertmanager', sample(`alertmanager/${name}`)),
  ),
]

/** What fits in no place, or in many: wrong types, huge, tiny and broken strings, references and mentions in masses. */
const odd: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.string({ unit: 'binary' }),
  fc.constantFrom<unknown>(
    null,
    '',
    '\ud800',
    'x\u0000\n'.repeat(2000),
    '😀'.repeat(3000),
    Array.from({ length: 60 }, (_, i) => `#${i + 1} AB-${i + 1} acme/site#${i + 1} !${i + 1} @p${i}`).join(
      ' ',
    ),
    'javascript:alert(1)',
    'https://example.com/a b',
    `https://github.com/acme/site/pull/7${'0'.repeat(30)}`,
    '2999-01-01T00:00:00Z',
    -1,
    1e308,
    1_767_348_000,
    Array.from({ length: 300 }, (_, i) => ({
      id: `${i}`,
      message: `AB-${i}`,
      name: `b${i}`,
      login: `P${i}`,
      number: i,
    })),
  ),
)

/** A real payload with something odd in a few places; the place is found by going down at random. */
const bent: fc.Arbitrary<DigestSource> = fc
  .tuple(
    fc.constantFrom(...EXAMPLES),
    fc.array(fc.tuple(fc.array(fc.nat(), { minLength: 1, maxLength: 4 }), odd), { maxLength: 6 }),
  )
  .map(([source, changes]) => {
    const payload: unknown = structuredClone(source.payload)
    // A copy: the generator hands out the same object again.
    for (const [path, value] of changes) bend(payload, path, structuredClone(value))
    return {
      ...source,
      payload,
      subject: ADAPTERS.get(source.tool)?.subject(source.type, payload) ?? source.subject,
    }
  })

function bend(value: unknown, [step = 0, ...rest]: readonly number[], odd: unknown): void {
  if (typeof value !== 'object' || value === null) return
  const names = Object.keys(value)
  const name = names[step % Math.max(1, names.length)]
  if (name === undefined) return
  const members = value as Record<string, unknown>
  if (rest.length === 0 || typeof members[name] !== 'object' || members[name] === null) members[name] = odd
  else bend(members[name], rest, odd)
}

/** Anything at all under any name, with members that some tool looks for. */
const member = fc.oneof(
  fc.constantFrom(
    '__proto__',
    'constructor',
    'toString',
    'action',
    'alerts',
    'labels',
    'annotations',
    'issue',
    'fields',
    'changelog',
    'items',
  ),
  fc.constantFrom(
    'object_attributes',
    'object_kind',
    'project',
    'commits',
    'push',
    'changes',
    'event',
    'data',
    'object',
    'status',
    'text',
  ),
  fc.constantFrom(
    'pull_request',
    'pullrequest',
    'repository',
    'full_name',
    'sender',
    'comment',
    'body',
    'user',
    'title',
    'created_at',
  ),
  fc.string({ maxLength: 6 }),
)
const anything = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    odd,
    fc.array(tie('value'), { maxLength: 4 }),
    // Through JSON text, so that `__proto__` becomes an own property, as in a parsed body.
    fc
      .array(fc.tuple(member, tie('value')), { maxLength: 6 })
      .map((pairs): unknown =>
        JSON.parse(
          `{${pairs.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`,
        ),
      ),
  ),
})).value
const types = [
  ...new Set(EXAMPLES.map(({ type }) => type)),
  '__proto__',
  'message',
  'repo:push',
  'orders.create',
  'invoice.paid',
  '',
]
const wild: fc.Arbitrary<DigestSource> = fc.record({
  tool: fc.constantFrom(...ADAPTERS.keys(), 'brand-new', '__proto__'),
  type: fc.oneof(fc.constantFrom(...types), fc.string({ unit: 'binary' })),
  name: fc.oneof(fc.constantFrom(...types), fc.string({ unit: 'binary', maxLength: 300 })),
  receivedAt: fc.constant(RECEIVED_AT),
  payload: anything,
  subject: fc.record({ key: fc.constantFrom('acme/site#7', 'AB-1', 'x'), kind: fc.constant('issue') }),
})

const stringsOf = (digest: Digest): readonly string[] => [
  ...Object.values(digest).filter((value) => typeof value === 'string'),
  ...(digest.people ?? []),
  ...(digest.references ?? []).map(({ key }) => key),
]

function expectSound(source: DigestSource): void {
  const digest = digestOf(source)
  expect(digest.name.length).toBeLessThanOrEqual(NAME_MAX)
  expect(digest.what).not.toBe('')
  expect(digest.what.length).toBeLessThanOrEqual(WHAT_MAX)
  expect(digest.who?.length ?? 0).toBeLessThanOrEqual(WHO_MAX)
  expect(digest.title?.length ?? 0).toBeLessThanOrEqual(TITLE_MAX)
  expect(digest.state?.length ?? 0).toBeLessThanOrEqual(STATE_MAX)
  expect(digest.text?.length ?? 0).toBeLessThanOrEqual(TEXT_MAX)
  expect(digest.link ?? 'http://x').toMatch(/^https?:\/\/\S+$/i)
  expect(Number.isInteger(digest.at)).toBe(true)
  expect(digest.at).toBeGreaterThanOrEqual(Date.UTC(2000))
  expect(digest.at).toBeLessThanOrEqual(source.receivedAt + 86_400_000)
  for (const written of stringsOf(digest)) {
    expect(written.isWellFormed()).toBe(true)
    expect(written).not.toMatch(/\p{Cc}/u)
  }
  const { people = [], references = [] } = digest
  expect(people.length).toBeLessThanOrEqual(MENTIONS_MAX)
  expect(new Set(people).size).toBe(people.length)
  expect(people.every((one) => one === one.toLowerCase() && one !== '' && one.length <= WHO_MAX)).toBe(true)
  expect(references.length).toBeLessThanOrEqual(MENTIONS_MAX)
  expect(new Set(references.map((one) => `${one.tool} ${one.key}`)).size).toBe(references.length)
  expect(references).not.toContainEqual({ tool: source.tool, key: source.subject.key })
  expect(references.every(({ tool }) => ADAPTERS.has(tool))).toBe(true)
  expect(JSON.parse(JSON.stringify(digest))).toStrictEqual(digest)
}

describe('a digest, whatever the payload', () => {
  it('is sound for every example', () => {
    for (const source of EXAMPLES) expectSound(source)
  })

  it('is sound for real payloads with something odd in them', () => {
    fc.assert(fc.property(bent, expectSound), { numRuns: 1000 })
  })

  it('is sound for anything at all, from any tool', () => {
    fc.assert(fc.property(wild, expectSound), { numRuns: 2000 })
  })

  it('is the same for the same event', () => {
    fc.assert(
      fc.property(bent, (source) => {
        expect(digestOf(source)).toStrictEqual(digestOf(structuredClone(source)))
      }),
      { numRuns: 100 },
    )
  })

  it('does not change the payload', () => {
    for (const source of EXAMPLES) {
      const before = structuredClone(source.payload)
      digestOf(source)
      expect(source.payload).toStrictEqual(before)
    }
  })
})

/** Every string of a payload replaced. */
function filled(value: unknown, written: string): unknown {
  if (typeof value === 'string') return written
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.slice(0, 3).map((one) => filled(one, written))
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, filled(one, written)]))
}

describe('a digest takes no time to speak of', () => {
  const slack = sourceOf('slack', {
    type: 'event_callback',
    team_id: 'T1',
    event: {
      type: 'message',
      channel: 'C1',
      ts: '1767348000.000001',
      text: 'x',
      attachments: [{ text: 'x' }],
    },
  })
  const several = [
    'pull_request',
    'push',
    'check_run',
    'merge_request',
    'jira:issue_updated',
    'alert.firing',
  ].map((type) => EXAMPLES.find((one) => one.type === type))

  // Each about 20 ms here; with the whole of a long name hashed for each reference it took two minutes.
  it.each(['#1 ', 'acme/site#1 ', 'AB-1 ', '@a ', '<#C1', '<', '`', '<!--', 'http://a/b/pull/1 ', 'a/', ' '])(
    'for payloads full of %j',
    (part) => {
      const started = performance.now()
      for (const source of [slack, ...several]) {
        if (source === undefined) throw new Error('no such example')
        digestOf({
          ...source,
          payload: filled(source.payload, part.repeat(Math.ceil(300_000 / part.length))),
        })
      }
      expect(performance.now() - started).toBeLessThan(10_000)
    },
  )
})

describe('a digest is cut', () => {
  const body = Array.from({ length: 30 }, (_, i) => `@person${i} #${i + 1}`).join(' ')
  const issue = {
    number: 3,
    title: `a${'😀'.repeat(400)}`,
    body: `${body} ${'x'.repeat(3000)}`,
    state: 'open',
  }
  const payload = {
    action: 'opened',
    issue,
    repository: { full_name: 'acme/site' },
    sender: { login: 'm'.repeat(200) },
  }
  const digest = digestOf(sourceOf('github', payload, 'issues'))

  it('to its limits, without half characters', () => {
    expect(digest.text).toHaveLength(TEXT_MAX)
    expect(digest.title).toBe(`a${'😀'.repeat(255)}`)
    expect(digest.who).toHaveLength(WHO_MAX)
  })

  it('to the first people and references, without its own subject', () => {
    expect(digest.people).toHaveLength(MENTIONS_MAX)
    expect(digest.references).toHaveLength(MENTIONS_MAX)
    expect(digest.references?.slice(0, 3).map(({ key }) => key)).toEqual([
      'acme/site#1',
      'acme/site#2',
      'acme/site#4',
    ])
  })
})
