import { forgetTraces, notedTraces, noteTrace } from '@weir/context-lifecycle/traces'
import { systemClock } from '@weir/core/clock'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { assembled } from '../../../tests/support/contexts.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { recordTraces } from '../../../tests/support/spans.ts'
import { createEnrichmentTraces } from './enrichment-trace.ts'

const redis = useRedis()
const ID = 'ctx_0123456789abcdefghijkl'
const traceparent = (trace: string, span: string) => `00-${trace.repeat(32)}-${span.repeat(16)}-01`
let link: RedisLink
beforeEach(async () => {
  link = connectRedis({
    url: redis.url,
    commandTimeoutMs: 1_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 100,
    name: 'traces',
  })
  await link.ready()
})
afterEach(() => link.close())

function world(enrichesLater = false) {
  const { place } = assembled(link)
  const traces = recordTraces(0)
  const traceOf = createEnrichmentTraces({
    tracer: traces.tracer,
    placeOf: () => place,
    enrichesLater,
    clock: systemClock,
    redact: (text) => text.replaceAll('hunter2', '[redacted]'),
  })
  const left = async () => (await notedTraces(place, ID)).contexts.length
  return { place, traceOf, left, ...traces }
}

describe('the trace of an enrichment', () => {
  it('joins that of the last event that led to it, and names the others', async () => {
    const { place, traceOf, span, under, left } = world()
    for (const context of [
      traceparent('a', '1'),
      traceparent('b', '2'),
      traceparent('c', '3'),
      traceparent('c', '4'),
    ])
      await noteTrace(place, ID, context)
    const trace = (await traceOf(ID, 'words'))!
    trace.onStep('read')()
    const embedded = trace.onStep('embed')
    embedded()
    await trace.made({ kind: 'made', enriched: true })
    const enrichment = span('enrich context')
    expect(trace.traceId).toBe('c'.repeat(32))
    expect(enrichment).toMatchObject({
      kind: 'consumer',
      traceId: 'c'.repeat(32),
      parentId: '4'.repeat(16),
      attributes: { 'weir.context': ID, 'weir.lag': 'words', 'weir.outcome': 'made', 'weir.enriched': true },
      failure: undefined,
    })
    expect(enrichment.links.map(({ traceId }) => traceId[0])).toEqual(['a', 'b'])
    expect(under(enrichment)).toEqual(['read', 'embed'])
    expect(await left()).toBe(0)
  })

  it('is none where no event was traced', async () => {
    const { traceOf, spans } = world()
    expect(await traceOf(ID, 'words')).toBeUndefined()
    expect(spans).toEqual([])
  })

  it('says what failed, without secrets, and is there again when it is tried again', async () => {
    const { place, traceOf, spans } = world()
    await noteTrace(place, ID, traceparent('a', '1'))
    ;(await traceOf(ID, 'words'))!.failed(new Error('401 for hunter2'))
    expect(spans).toMatchObject([{ failure: '401 for [redacted]', attributes: { 'weir.outcome': 'failed' } }])
    await (await traceOf(ID, 'words'))!.made({ kind: 'later', retryInMs: 1, why: 'over the budget' })
    expect(spans[1]).toMatchObject({ failure: undefined, attributes: { 'weir.outcome': 'later' } })
    expect(await traceOf(ID, 'words')).toBeDefined()
  })

  it('goes on to the provider, where that is asked later', async () => {
    const { place, traceOf, left } = world(true)
    await noteTrace(place, ID, traceparent('a', '1'))
    await (await traceOf(ID, 'words'))!.made({ kind: 'made', enriched: false })
    expect(await left()).toBe(1)
    await (await traceOf(ID, 'enrichment'))!.made({ kind: 'made', enriched: true })
    expect(await left()).toBe(0)
  })

  it('is done without when Redis does not answer: the enrichment asks it next, and tells', async () => {
    const { traceOf } = world()
    await link.close()
    expect(await traceOf(ID, 'words')).toBeUndefined()
  })
})

it('forgetting what was never noted is harmless', async () => {
  const { place } = world()
  await forgetTraces(place, ID, '')
})
