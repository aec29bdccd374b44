/** The trace of an attempt: it goes on with the event's own, has what was done, and says nothing secret. */
import { Fault } from '@weir/core/faults'
import { defineHandler, type HandlerContext, PermanentError } from '@weir/core/handlers/handler'
import { describe, expect, it } from 'vitest'
import { useRedis } from '../../../tests/support/redis.ts'
import { recordTraces } from '../../../tests/support/spans.ts'
import { type ConsumerWorld, onGithub, type TestSettings, withConsumer } from './testing.ts'

const redis = useRedis()
const TRACE = '0af7651916cd43dd8448eb211c80319c'
const GATEWAY = 'b7ad6b7169203331'
const traceparent = `00-${TRACE}-${GATEWAY}-01`
type Handlers = Parameters<typeof withConsumer>[2]
type Deps = NonNullable<NonNullable<Parameters<typeof withConsumer>[4]>['deps']>

function traced(
  handlers: Handlers,
  use: (world: ConsumerWorld, traces: ReturnType<typeof recordTraces>) => Promise<void>,
  { settings = {}, deps = {} }: { settings?: Partial<TestSettings>; deps?: Deps } = {},
) {
  const traces = recordTraces()
  const redact = (text: string) => text.replaceAll('hunter2', '[redacted]')
  return withConsumer(redis, settings, handlers, (world) => use(world, traces), {
    deps: { tracer: traces.tracer, redact, ...deps },
  })
}

describe('an attempt at a traced event', () => {
  it('is a child of the span that the record names, with its steps', () => {
    const seen: HandlerContext[] = []
    const remembered: string[] = []
    const remember = async (_: unknown, __: unknown, context: string) => void remembered.push(context)
    return traced(
      [onGithub((_, ctx) => void seen.push(ctx), 'first'), onGithub(async () => undefined, 'second')],
      async (world, { span, spans, under }) => {
        const { id, streamId } = await world.admit({ traceparent })
        await world.until({ settled: 1 })
        await expect.poll(() => spans.some(({ name }) => name === 'process github')).toBe(true)
        const attempt = span('process github')
        expect(attempt).toMatchObject({
          kind: 'consumer',
          traceId: TRACE,
          parentId: GATEWAY,
          remoteParent: true,
          failure: undefined,
          attributes: {
            'weir.event_id': id,
            'weir.stream_id': streamId,
            'weir.tool': 'github',
            'weir.tenant': 'default',
            'weir.type': 'issues',
            'weir.attempt': 1,
            'weir.deliveries': 1,
            'weir.outcome': 'settled',
          },
        })
        expect(attempt.attributes['weir.since_appended_ms']).toBeGreaterThanOrEqual(0)
        expect(under(attempt)).toEqual(['decode', 'context', 'handler first', 'handler second', 'settle'])
        for (const child of spans.filter(({ parentId }) => parentId === attempt.spanId)) {
          expect(child.startMs).toBeGreaterThanOrEqual(attempt.startMs)
          expect(child.endMs).toBeLessThanOrEqual(attempt.endMs)
        }
        // What follows elsewhere is a child of what caused it.
        expect(remembered).toEqual([`00-${TRACE}-${span('context').spanId}-01`])
        expect(seen[0]?.traceparent).toBe(`00-${TRACE}-${span('handler first').spanId}-01`)
      },
      { deps: { remember } },
    )
  })

  it('that fails says why, without secrets, and so does its line of the log', () =>
    traced(
      [
        onGithub(() => {
          throw new PermanentError('no such user: hunter2')
        }),
      ],
      async (world, { span, spans }) => {
        await world.admit({ traceparent })
        await world.until({ dead: 1 })
        await expect.poll(() => spans.some(({ name }) => name === 'process github')).toBe(true)
        expect(span('process github')).toMatchObject({
          failure: 'no such user: [redacted]',
          attributes: { 'weir.outcome': 'dead', 'weir.reason': 'permanent' },
        })
        expect(span('handler test').failure).toBe('')
        expect(JSON.stringify(spans)).not.toContain('hunter2')
        expect(world.lines.find(({ msg }) => msg === 'event dead-lettered')).toMatchObject({
          trace_id: TRACE,
        })
      },
    ))

  it('each has its own span; the handler that runs out of time is shown as long as that', () => {
    let calls = 0
    const handler = onGithub(() => (++calls === 1 ? new Promise<void>(() => undefined) : undefined))
    return traced(
      [handler],
      async (world, { spans }) => {
        await world.admit({ traceparent })
        await world.until({ settled: 1 })
        const attempts = () => spans.filter(({ name }) => name === 'process github')
        await expect.poll(() => attempts().length).toBe(2)
        expect(attempts().map(({ attributes: a }) => [a['weir.attempt'], a['weir.outcome']])).toEqual([
          [1, 'park'],
          [2, 'settled'],
        ])
        const [first] = attempts()
        const handled = spans.find(
          ({ parentId, name }) => parentId === first?.spanId && name === 'handler test',
        )!
        expect(handled.failure).toBe('')
        expect(handled.endMs - handled.startMs).toBeGreaterThanOrEqual(100)
        expect(first?.failure).toMatch(/did not finish within 100 ms/)
      },
      { settings: { handlerTimeoutMs: 100 } },
    )
  })

  it('that is put back, because its context cannot take it now, is over; the next one is another', () => {
    let asked = 0
    const remember = async () => {
      if (++asked === 1) throw new Fault('REDIS_OUT_OF_MEMORY', 'no room for hunter2')
    }
    return traced(
      [],
      async (world, { spans }) => {
        await world.admit({ traceparent })
        await world.until({ settled: 1 })
        const attempts = () => spans.filter(({ name }) => name === 'process github')
        await expect.poll(() => attempts().length).toBe(2)
        expect(attempts()).toMatchObject([
          { attributes: { 'weir.outcome': 'put back' }, failure: 'no room for [redacted]' },
          { attributes: { 'weir.outcome': 'settled' }, failure: undefined },
        ])
        expect(spans.filter(({ name }) => name === 'settle')).toHaveLength(1)
        expect(spans.filter(({ name }) => name === 'context').map(({ failure }) => failure)).toEqual([
          '',
          undefined,
        ])
      },
      { deps: { remember } },
    )
  })

  it('asks what a handler returned once, also of those that work for everybody who asks', () => {
    let worked = 0
    const query = {
      // biome-ignore lint/suspicious/noThenProperty: query builders are such objects
      then(resolve: () => void) {
        worked++
        resolve()
      },
    } as Promise<void>
    return traced([onGithub(() => query)], async (world) => {
      await world.admit({ traceparent })
      await world.until({ settled: 1 })
      expect(worked).toBe(1)
    })
  })

  it('gives its trace to the log of a handler, and to the examples of the histograms', () =>
    traced([onGithub((_, { log }) => log.info('here'))], async (world) => {
      await world.admit({ traceparent })
      await world.until({ settled: 1 })
      expect(world.lines.find(({ msg }) => msg === 'here')).toMatchObject({
        trace_id: TRACE,
        handler: 'test',
      })
      const valuesOf = async (name: string) => {
        const found = await world.consumer.metrics.registry.getMetricsAsJSON()
        return (found.find((metric) => metric.name === name) as { values?: object[] } | undefined)?.values
      }
      const exemplar = expect.objectContaining({ labelSet: { trace_id: TRACE } })
      // Redis has settled it a moment before the consumer hears of it.
      for (const name of [
        'webhook_event_processing_duration_seconds',
        'webhook_event_accepted_to_settled_seconds',
      ])
        await expect.poll(() => valuesOf(name)).toContainEqual(expect.objectContaining({ exemplar }))
    }))
})

describe('an event that is not traced', () => {
  it.each([
    ['without a traceparent', ''],
    ['with one that is not sampled', traceparent.replace(/01$/, '00')],
    ['with what is none', 'x'.repeat(55)],
  ])('%s makes no span, and its lines say nothing of a trace', (_, of) => {
    const seen: (string | undefined)[] = []
    const handler = onGithub((_event, ctx) => {
      seen.push(ctx.traceparent)
      ctx.log.info('here')
    })
    return traced([handler], async (world, { spans }) => {
      await world.admit({ traceparent: of })
      await world.until({ settled: 1 })
      expect(spans).toEqual([])
      expect(world.lines.find(({ msg }) => msg === 'here')).not.toHaveProperty('trace_id')
      expect(seen).toHaveLength(1)
    })
  })

  it('where this consumer traces nothing, hands on what the gateway wrote', () => {
    const seen: (string | undefined)[] = []
    const handler = defineHandler({
      name: 'test',
      tool: 'github',
      events: ['*'],
      run: (_, ctx) => void seen.push(ctx.traceparent),
    })
    return withConsumer(redis, {}, [handler], async (world) => {
      await world.admit({ traceparent })
      await world.admit({ traceparent: '' })
      await world.until({ settled: 2 })
      expect(seen.sort()).toEqual([traceparent, undefined])
    })
  })
})
