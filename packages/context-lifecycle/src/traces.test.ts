import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { assembled, eventOf, pullRequest, recordOf } from '../../../tests/support/contexts.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { removeInactive } from './removal.ts'
import { forgetTraces, MAX_TRACES, notedTraces, noteTrace } from './traces.ts'

const redis = useRedis()
let link: RedisLink
beforeEach(async () => {
  link = connectRedis({
    url: redis.url,
    commandTimeoutMs: 2_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 100,
    name: 'traces',
  })
  await link.ready()
})
afterEach(() => link.close())

const traceparent = (n: number) => `00-${String(n).padStart(32, '0')}-${String(n).padStart(16, '0')}-01`
const idsOf = ({ contexts }: Awaited<ReturnType<typeof notedTraces>>) =>
  contexts.map(({ context }) => Number(context.traceId))

/** A context with one event, whose trace was noted if there was one. */
async function withEvent(trace?: string) {
  const all = assembled(link)
  const { record } = recordOf({ delivery: 'd-1', json: pullRequest(1, 'opened') })
  const { context } = await all.contexts.append(eventOf(record), record, trace)
  return { all, place: all.place, id: context }
}

describe('the traces of a context', () => {
  it('are those of its latest events, the last one last', async () => {
    const { place, id } = await withEvent(traceparent(1))
    expect(idsOf(await notedTraces(place, id))).toEqual([1])
    for (let n = 2; n <= MAX_TRACES + 2; n++) await noteTrace(place, id, traceparent(n))
    const noted = await notedTraces(place, id)
    expect(idsOf(noted)).toEqual([3, 4, 5, 6, 7, 8, 9, 10])
    expect(noted.contexts.at(-1)?.traceparent).toBe(traceparent(10))
  })

  it('are none where no event was traced, and then cost nothing', async () => {
    const { place, id } = await withEvent()
    expect(idsOf(await notedTraces(place, id))).toEqual([])
    expect(await redis.client().keys('*:traces')).toEqual([])
  })

  it('are forgotten once they were used, but for those that came meanwhile', async () => {
    const { place, id } = await withEvent(traceparent(1))
    const { noted } = await notedTraces(place, id)
    await noteTrace(place, id, traceparent(2))
    await forgetTraces(place, id, noted)
    const later = await notedTraces(place, id)
    expect(idsOf(later)).toContain(2)
    await forgetTraces(place, id, later.noted)
    expect(await redis.client().keys('*:traces')).toEqual([])
  })

  it('go by themselves, so that nothing is left where nobody enriches', async () => {
    const { place, id } = await withEvent(traceparent(1))
    const left = await redis.client().pttl(place.keys.traces(id))
    expect(left).toBeGreaterThan(3_500_000)
    expect(left).toBeLessThanOrEqual(3_600_000)
  })

  it('go with the context', async () => {
    const { place } = await withEvent(traceparent(1))
    expect(await redis.client().keys('*:traces')).toHaveLength(1)
    await removeInactive([place], { inactiveMs: -10_000, dryRun: false })
    expect(await redis.client().keys('*context*')).toEqual([])
  })

  it('that cannot be noted do not keep the event out of its context', async () => {
    const all = assembled(link)
    const { record } = recordOf({ delivery: 'd-1', json: pullRequest(1, 'opened') })
    const { context } = await all.contexts.append(eventOf(record), record)
    await redis.client().del(all.place.keys.traces(context))
    await redis.client().lpush(all.place.keys.traces(context), 'of another type')
    const second = recordOf({ delivery: 'd-2', json: pullRequest(1, 'edited') }).record
    expect(await all.contexts.append(eventOf(second), second, traceparent(2))).toMatchObject({ events: 2 })
  })
})
