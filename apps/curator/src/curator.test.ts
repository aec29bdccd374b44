import { contextKeys } from '@weir/context-lifecycle/context-keys'
import { systemClock } from '@weir/core/clock'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { pino } from 'pino'
import { afterEach, describe, expect, it } from 'vitest'
import { useRedis } from '../../../tests/support/redis.ts'
import { type Curator, createCurator } from './curator.ts'
import { createCuratorMetrics } from './metrics.ts'

const redis = useRedis()
const links: RedisLink[] = []
let curator: Curator | undefined

afterEach(async () => {
  await curator?.stop()
  await Promise.all(links.splice(0).map((link) => link.close()))
})

/** A curator whose sweeps do this, with a connection that has only just been asked for. */
function open(run: (link: RedisLink) => Promise<void>) {
  const link = connectRedis({
    url: redis.url,
    commandTimeoutMs: 5_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 100,
    name: 'curator',
  })
  links.push(link)
  const metrics = createCuratorMetrics()
  const told: string[] = []
  const log = pino({}, { write: (line) => void told.push((JSON.parse(line) as { event: string }).event) })
  const swept = { looked: 0, collected: 0, coldAway: undefined }
  curator = createCurator({
    sweep: { run: () => run(link).then(() => swept) },
    library: { refresh: async () => void (await link.call('PING')) },
    places: [{ link, keys: contextKeys('webhook-events', false, 0) }],
    ready: (signal) => link.ready(signal),
    intervalMs: 1,
    clock: systemClock,
    metrics,
    log,
  })
  const failures = async () => (await metrics.sweepFailures.get()).values[0]?.value ?? 0
  return { curator, told, failures }
}

describe('a curator', () => {
  it('begins its first sweep when Redis is connected to', async () => {
    const first = Promise.withResolvers<void>()
    const { curator, told, failures } = open(async (link) => {
      first.resolve()
      await link.call('PING')
    })
    curator.start()
    await first.promise
    await curator.stop()
    expect(told).toEqual([])
    expect(await failures()).toBe(0)
  })

  it('tells what makes its sweeps fail once, and that they go on again', async () => {
    const third = Promise.withResolvers<void>()
    let sweeps = 0
    const { curator, told, failures } = open(async () => {
      sweeps++
      if (sweeps < 3) throw new Error('no luck')
      third.resolve()
    })
    curator.start()
    await third.promise
    await curator.stop()
    expect(told).toEqual(['sweep_failed', 'sweep_back'])
    expect(await failures()).toBe(2)
  })
})
