import { systemClock } from '@weir/core/clock'
import { loadConfig } from '@weir/core/config/load'
import { keysOf, redisSettings } from '@weir/core/config/parts'
import type { Config } from '@weir/core/config/schema'
import { partitionOf } from '@weir/core/plan'
import { connectRedis } from '@weir/core/redis/link'
import { changePartitions } from '@weir/core/stream/plans'
import { pino } from 'pino'
import { afterEach, describe, expect, it } from 'vitest'
import { useAllSlots } from '../../../tests/support/cluster-partitions.ts'
import { useRedis } from '../../../tests/support/redis.ts'
import { type ConsumerContext, type ConsumerPlace, type Consumers, createConsumers } from './consumers.ts'
import { createConsumerMetrics } from './metrics.ts'

const redis = useRedis({ appendfsync: 'no', args: ['--cluster-enabled', 'yes'] })
useAllSlots(redis)
const log = pino({ level: 'silent' })
const running: Consumers[] = []

afterEach(async () => {
  await Promise.all(running.splice(0).map((consumers) => consumers.stop()))
})

interface Made {
  readonly place: ConsumerPlace
  readonly context: ConsumerContext
  started: number
  stopped: number
}

/** The consumers themselves only note what is done with them. */
async function consumersOf(partitions: number, settledIn: readonly number[] = []) {
  const { config }: { config: Config } = await loadConfig({
    env: {
      REDIS_CLUSTER_ENABLED: 'true',
      REDIS_ADDRESSES: `127.0.0.1:${redis.port}`,
      REDIS_PARTITIONS: String(partitions),
    },
  })
  const made: Made[] = []
  const metrics = createConsumerMetrics()
  const asked: number[] = []
  const consumers = createConsumers({
    connect(partition) {
      const keys = keysOf(config, partition)
      const link = () => connectRedis(redisSettings(config, keys, 'test'))
      return { keys, link: link(), blocking: link() }
    },
    make(place, context) {
      const own: Made = { place, context, started: 0, stopped: 0 }
      made.push(own)
      return {
        name: 'test',
        start: () => void own.started++,
        stop: async () => void own.stopped++,
        state: () => ({ redis: true, held: 2, running: 1, unsettled: 0, last_read_ms: null }),
      }
    },
    plan: { configured: partitions, refreshMs: 50 },
    prefetchCount: 100,
    async wasSettled({ keys }) {
      asked.push(keys.partition)
      return settledIn.includes(keys.partition)
    },
    metrics,
    clock: systemClock,
    log,
  })
  running.push(consumers)
  return { consumers, made, metrics, asked }
}

describe('the consumers of a process', () => {
  it('are one for each partition of the plan, whatever is configured, with equal parts of the credits', async () => {
    const first = await consumersOf(4)
    await first.consumers.start()
    expect(first.made.map(({ started }) => started)).toEqual([1, 1, 1, 1])
    const second = await consumersOf(2)
    await second.consumers.start()
    expect(second.made).toHaveLength(4)
    for (const { context } of second.made) {
      expect(context.credits()).toBe(25)
      expect(context.process()).toEqual({ held: 8, running: 4 })
    }
    expect(second.consumers.state()).toMatchObject({
      redis: true,
      held: 8,
      running: 4,
      partitions: [0, 1, 2, 3].map((partition) => ({ partition, held: 2 })),
    })
  })

  it('become more when the plan grows, and stay when it shrinks: what is there is worked off', async () => {
    const { consumers, made } = await consumersOf(2)
    await consumers.start()
    const { place } = made[0]!
    await changePartitions(place, 5)
    await expect.poll(() => made.map(({ started }) => started)).toEqual([1, 1, 1, 1, 1])
    expect(made[0]!.context.credits()).toBe(20)
    await changePartitions(place, 1)
    await consumers.stop()
    expect(made.map(({ started, stopped }) => [started, stopped])).toEqual(Array(5).fill([1, 1]))
  })

  it('ask where else a late event may have been settled: only where its key was', async () => {
    const { consumers, made, asked } = await consumersOf(3, [0])
    await consumers.start()
    const { context } = made[2]!
    const locator = Buffer.alloc(16)
    locator.writeUInt32BE(2, 12)
    expect(await context.settledElsewhere(locator)).toBe(false)
    expect(asked).toEqual([])
    await changePartitions(made[0]!.place, 2)
    await expect.poll(async () => context.settledElsewhere(locator)).toBe(true)
    expect(partitionOf(locator, 2)).toBe(0)
    expect(new Set(asked)).toEqual(new Set([0]))
  })

  it('show the gravest state of a tool’s breakers', async () => {
    const { consumers, made, metrics } = await consumersOf(2)
    await consumers.start()
    const shown = async () => (await metrics.breaker.get()).values.map(({ value }) => value)
    const [one, two] = made as [Made, Made]
    one.context.metrics.breaker.set({ tool_id: 'github' }, 1)
    two.context.metrics.breaker.set({ tool_id: 'github' }, 0)
    expect(await shown()).toEqual([1])
    one.context.metrics.breaker.set({ tool_id: 'github' }, 2)
    expect(await shown()).toEqual([2])
    one.context.metrics.breaker.set({ tool_id: 'github' }, 0)
    expect(await shown()).toEqual([0])
  })
})
