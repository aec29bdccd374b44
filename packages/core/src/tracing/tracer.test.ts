import { describe, expect, it } from 'vitest'
import { createRandomHex } from './random-hex.ts'
import { formatTraceparent, parseTraceparent, TRACEPARENT_LENGTH } from './traceparent.ts'
import { createTracer, type FinishedSpan, NO_TRACER } from './tracer.ts'

const SAMPLED = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

/** Monotonic time is 1,000 s behind the wall clock, and is what a test sets. */
function world(rate: number, random: () => number = () => 0.5) {
  const spans: FinishedSpan[] = []
  const time = { at: 0 }
  let ids = 0
  const tracer = createTracer({
    rate,
    sink: (span) => void spans.push(span),
    clock: { now: () => 1_000_000 + time.at, monotonic: () => time.at },
    random,
    randomHex(bytes) {
      ids++
      return String(ids).padStart(2 * bytes, '0')
    },
  })
  return { tracer, spans, time, ids: () => ids }
}

describe('the sampler', () => {
  it('decides before anything is made: what is not traced takes no id', () => {
    const { tracer, spans, ids } = world(0.5, () => 0.5)
    expect(tracer.begin('a', 'server', 0)).toBeUndefined()
    expect([ids(), spans]).toEqual([0, []])
    expect(world(0.5, () => 0.499).tracer.begin('a', 'server', 0)).toBeDefined()
  })

  it('at 0 never even draws, at 1 takes all', () => {
    const drawn: number[] = []
    const draw = () => drawn.push(0) && 0
    expect(world(0, draw).tracer.begin('a', 'server', 0)).toBeUndefined()
    expect(drawn).toEqual([])
    expect(world(1, () => 0.999_999).tracer.begin('a', 'server', 0)).toBeDefined()
  })

  it('keeps to its share', () => {
    let state = 42
    const random = () => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
      return state / 2_147_483_648
    }
    const { tracer } = world(0.1, random)
    const traced = Array.from({ length: 10_000 }, () => tracer.begin('a', 'server', 0)).filter(Boolean)
    expect(traced.length).toBeGreaterThan(900)
    expect(traced.length).toBeLessThan(1_100)
  })
})

describe('a trace', () => {
  it('is a tree of spans with the times of the wall clock', () => {
    const { tracer, spans, time } = world(1)
    const root = tracer.begin('root', 'server', 10)!
    root.step('body', 10, 15)
    const child = root.child('admit', 15)
    child.step('spool', 16, 19)
    time.at = 20
    child.end()
    root.set({ 'weir.tool': 'github' })
    root.link({ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: false })
    root.end(undefined, 25)
    const [body, spool, admit, top] = spans as [FinishedSpan, FinishedSpan, FinishedSpan, FinishedSpan]
    expect(top).toMatchObject({
      name: 'root',
      kind: 'server',
      parentId: undefined,
      startMs: 1_000_010,
      endMs: 1_000_025,
      attributes: { 'weir.tool': 'github' },
      links: [{ traceId: 'a'.repeat(32) }],
      failure: undefined,
    })
    expect(body).toMatchObject({ name: 'body', kind: 'internal', startMs: 1_000_010, endMs: 1_000_015 })
    expect(admit).toMatchObject({ name: 'admit', startMs: 1_000_015, endMs: 1_000_020 })
    expect([body.parentId, admit.parentId, spool.parentId]).toEqual([top.spanId, top.spanId, admit.spanId])
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1)
    expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(4)
    expect(root.traceparent).toBe(`00-${top.traceId}-${top.spanId}-01`)
  })

  it('goes on in another process, from its traceparent', () => {
    const here = world(0)
    const span = here.tracer.resume(SAMPLED, 'process', 'consumer', 0)!
    span.end('it failed')
    expect(here.spans).toMatchObject([
      {
        traceId: '0af7651916cd43dd8448eb211c80319c',
        parentId: 'b7ad6b7169203331',
        remoteParent: true,
        failure: 'it failed',
      },
    ])
  })

  it.each([
    ['none', ''],
    ['one that is not sampled', SAMPLED.replace(/01$/, '00')],
    ['what is none', 'sampled'],
    ['one of another version', SAMPLED.replace(/^00/, '01')],
    ['a trace of zeros', `00-${'0'.repeat(32)}-b7ad6b7169203331-01`],
    ['a span of zeros', `00-${'a'.repeat(32)}-${'0'.repeat(16)}-01`],
    ['one with more behind it', `${SAMPLED}-x`],
  ])('does not go on from %s', (_, traceparent) => {
    const { tracer, ids } = world(1)
    expect(tracer.resume(traceparent, 'process', 'consumer', 0)).toBeUndefined()
    expect(ids()).toBe(0)
  })

  it('shows a span once, however often it is ended, and never one that is not', () => {
    const { tracer, spans } = world(1)
    const span = tracer.begin('a', 'server', 0)!
    span.child('forgotten')
    span.end()
    span.end('too late')
    expect(spans).toMatchObject([{ name: 'a', failure: undefined }])
  })

  it('does not end before it begins, when a clock was read late', () => {
    const { tracer, spans } = world(1)
    tracer.begin('a', 'server', 10)!.end(undefined, 9)
    expect(spans[0]).toMatchObject({ startMs: 1_000_010, endMs: 1_000_010 })
  })
})

it('a tracer that is switched off makes nothing', () => {
  expect(NO_TRACER.begin('a', 'server', 0)).toBeUndefined()
  expect(NO_TRACER.resume(SAMPLED, 'a', 'consumer', 0)).toBeUndefined()
})

it('a traceparent is written as it is read', () => {
  expect(SAMPLED).toHaveLength(TRACEPARENT_LENGTH)
  for (const text of [SAMPLED, SAMPLED.replace(/01$/, '00')])
    expect(formatTraceparent(parseTraceparent(text)!)).toBe(text)
  // Flags that we do not know do not hide the one that we do.
  expect(parseTraceparent(SAMPLED.replace(/01$/, 'ff'))).toMatchObject({ sampled: true })
})

it('random ids are hex digits of the length asked for, and do not come twice', () => {
  const randomHex = createRandomHex()
  const ids = Array.from({ length: 2_000 }, () => randomHex(8))
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{16}$/)
  expect(new Set(ids).size).toBe(2_000)
  expect(randomHex(16)).toMatch(/^[0-9a-f]{32}$/)
})
