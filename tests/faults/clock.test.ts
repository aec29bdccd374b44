/** Redis' clock goes three days forward under load and comes back; nobody else's clock does. */
import { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { startRedis } from '../../scripts/private-redis.ts'
import { canShiftClock, createServerClock, DAY_MS, type ServerClock } from '../support/clock.ts'
import { useProcesses } from '../support/use-processes.ts'
import { type FaultPipeline, withPipelineOn } from './pipeline.ts'

const processes = useProcesses()
/** Processes start and stop several times; the machine may be busy. */
const PATIENT = { timeout: 90_000 }
const JUMP_MS = 3 * DAY_MS
const MINUTE_MS = 60_000

interface World extends FaultPipeline {
  readonly clock: ServerClock
  readonly redis: Awaited<ReturnType<typeof startRedis>>
  readonly client: Redis
}

async function withClock(consumers: number, test: (world: World) => Promise<void>): Promise<void> {
  const clock = createServerClock()
  const redis = await startRedis({ binary: clock.binary })
  const client = new Redis(redis.url, { maxRetriesPerRequest: null })
  client.on('error', () => undefined)
  try {
    await withPipelineOn(processes, { REDIS_URL: redis.url }, consumers, (pipeline) =>
      test({ ...pipeline, clock, redis, client }),
    )
  } finally {
    client.disconnect()
    await redis.stop()
    clock.remove()
  }
}

describe.skipIf(!canShiftClock)("Redis' clock", () => {
  it(
    'jumps three days forward and back under load, and a consumer dies meanwhile: nothing is lost or poison',
    PATIENT,
    () =>
      withClock(2, async ({ clock, sender, client, ...pipeline }) => {
        sender.start(8)
        await sender.untilAccepted(100)
        clock.set(JUMP_MS)
        await sender.untilAccepted(100)
        await pipeline.consumers()[0]?.kill('SIGKILL')
        await sender.untilAccepted(50)
        clock.set(0)
        pipeline.startConsumer()
        await sender.untilAccepted(200)
        const [behind] = await pipeline.readings()
        expect(behind?.clockBehindMs).toBeGreaterThan(JUMP_MS - MINUTE_MS)
        // Once more, the other way round: behind the machine, and forward to its time again.
        clock.set(-MINUTE_MS)
        await sender.untilAccepted(50)
        clock.set(0)
        await sender.untilAccepted(50)
        await sender.stop()
        await pipeline.expectNothingLost()
        // What is settled does not pile up, although its ids are days ahead.
        await expect.poll(() => client.xlen('webhook-events')).toBeLessThan(100)
        for (const consumer of pipeline.consumers()) {
          expect(consumer.output()).toMatch(/"event":"redis_clock".*was set back/)
        }
      }),
  )

  it('is days behind when the server comes back from a restart', PATIENT, () =>
    withClock(2, async ({ clock, redis, sender, ...pipeline }) => {
      clock.set(JUMP_MS)
      sender.start(8)
      await sender.untilAccepted(100)
      await redis.kill('SIGKILL')
      await pipeline.consumers()[0]?.kill('SIGKILL')
      clock.set(0)
      await sender.untilAccepted(20) // into the spool
      await redis.restart()
      await sender.untilAccepted(100)
      await sender.stop()
      await pipeline.expectNothingLost()
    }),
  )
})
