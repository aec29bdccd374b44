/** Enrichment as jobs: one for a burst, tried again when it fails, and never lost. */

import { caughtUp } from '@weir/context-lifecycle/search/behind'
import type { CardMaker, MadeCard } from '@weir/context-lifecycle/search/make-card'
import { systemClock } from '@weir/core/clock'
import { connectQueue, connectRedis, type RedisLink } from '@weir/core/redis/link'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { assembled, eventOf, pullRequest, recordOf } from '../../../tests/support/contexts.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { createEnrichmentJobs, ENRICHMENT_QUEUE, type EnrichmentJobs } from './enrichment-jobs.ts'
import { createCuratorMetrics } from './metrics.ts'

const redis = useRedis()
let link: RedisLink
const closing: (() => Promise<void>)[] = []
const settings = () => ({
  url: redis.url,
  commandTimeoutMs: 5_000,
  connectTimeoutMs: 1_000,
  reconnectMaxDelayMs: 100,
  name: 'enrichment',
})
beforeEach(async () => {
  link = connectRedis(settings())
  await link.ready()
})
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
  await link.close()
})

function world() {
  const all = assembled(link)
  const made: string[] = []
  const append = async (number: number, delivery: string) => {
    const { record } = recordOf({ delivery, json: pullRequest(number, 'edited') })
    return (await all.contexts.append(eventOf(record), record)).context
  }
  /** As the real one: what it makes is not behind any more. */
  const makes =
    (outcome: (id: string, time: number) => MadeCard | Error): CardMaker =>
    async (id, lag) => {
      made.push(id)
      const found = outcome(id, made.filter((each) => each === id).length)
      if (found instanceof Error) throw found
      if (found.kind === 'made') await caughtUp(all.place, lag, id, Number.MAX_SAFE_INTEGER)
      return found
    }
  const start = async (
    makeCard: CardMaker,
  ): Promise<{ jobs: EnrichmentJobs; metrics: ReturnType<typeof createCuratorMetrics> }> => {
    const connection = connectQueue(settings())
    const metrics = createCuratorMetrics()
    const jobs = createEnrichmentJobs({
      makeCard,
      places: [all.place],
      placeOf: () => all.place,
      connection,
      pumps: { words: { quietMs: 0, maxDelayMs: 0, intervalMs: 20 } },
      concurrency: 2,
      clock: systemClock,
      metrics,
      log: pino({ level: 'silent' }),
    })
    await jobs.start()
    closing.push(async () => {
      await jobs.stop()
      connection.disconnect()
    })
    return { jobs, metrics }
  }
  const behind = async () => Number(await link.call('ZCARD', all.keys.dirty))
  return { all, append, made, makes, start, behind }
}
const MADE: MadeCard = { kind: 'made', enriched: true }

describe('enrichment', () => {
  it('of a burst of events is one job', async () => {
    const { append, made, makes, start, behind } = world()
    for (let n = 0; n < 50; n++) await append(7, `${n}`)
    await start(makes(() => MADE))
    await expect.poll(behind).toBe(0)
    expect(made).toHaveLength(1)
  })

  it('that fails is tried again, and one that must wait waits', async () => {
    const { append, made, makes, start, behind } = world()
    const [failing, waiting] = [await append(1, 'a'), await append(2, 'b')]
    const { metrics } = await start(
      makes((id, time) => {
        if (time > 1) return MADE
        return id === failing ? new Error('no') : { kind: 'later', retryInMs: 30, why: 'not now' }
      }),
    )
    await expect.poll(behind).toBe(0)
    expect(made.filter((id) => id === failing)).toHaveLength(2)
    expect(made.filter((id) => id === waiting)).toHaveLength(2)
    const { values } = await metrics.enriched.get()
    const counts = Object.fromEntries(values.map(({ labels, value }) => [labels.outcome, value]))
    expect(counts).toEqual({ failed: 1, later: 1, enriched: 2 })
  })

  it('is not lost with its queue', async () => {
    const { append, makes, start, behind } = world()
    await append(1, 'a')
    let away = true
    await start(makes(() => (away ? { kind: 'later', retryInMs: 3_600_000, why: 'not now' } : MADE)))
    const client = redis.client()
    const queue = () => client.keys(`${ENRICHMENT_QUEUE.prefix}*`)
    await expect.poll(async () => client.zcard(`${ENRICHMENT_QUEUE.prefix}:enrichment:delayed`)).toBe(1)
    away = false
    await client.del(...(await queue()))
    await expect.poll(behind).toBe(0)
  })

  it('is shared by two curators, and no context is worked on by both at once', async () => {
    const { append, makes, start, behind } = world()
    const working = new Set<string>()
    for (let n = 0; n < 30; n++) await append(n, `${n}`)
    const maker = makes(() => MADE)
    const careful: CardMaker = async (id, lag, signal) => {
      expect(working.has(id)).toBe(false)
      working.add(id)
      const outcome = await maker(id, lag, signal)
      working.delete(id)
      return outcome
    }
    await start(careful)
    await start(careful)
    await expect.poll(behind).toBe(0)
  })
})
