import { describe, expect, it } from 'vitest'
import { useProcesses } from '../support/use-processes.ts'
import { type FaultPipeline, withPipeline } from './pipeline.ts'

const processes = useProcesses()
/** Processes start and stop several times; the machine may be busy. */
const PATIENT = { timeout: 90_000 }

/** Lets this much real time pass under load. */
async function elapse(ms: number): Promise<void> {
  const since = performance.now()
  await expect.poll(() => performance.now() - since, { timeout: ms + 5_000 }).toBeGreaterThan(ms)
}

/** Everything works again by itself: what is sent now is processed soon, though the spool may still drain. */
async function expectRecovered({ sender, ...pipeline }: FaultPipeline): Promise<void> {
  const probe = await sender.send()
  expect(probe).toBeDefined()
  await expect.poll(() => pipeline.hasEffect(probe ?? '')).toBe(true)
}

describe('Redis away while events come in', () => {
  it('for a second (paused): no event is refused, nothing is lost', PATIENT, () =>
    withPipeline(processes, 1, async (pipeline) => {
      const { redis, sender } = pipeline
      sender.start(4)
      await sender.untilAccepted(100)
      await redis.kill('SIGSTOP')
      await elapse(1_000)
      await redis.kill('SIGCONT')
      await sender.untilAccepted(100)
      await expectRecovered(pipeline)
      await sender.stop()
      await pipeline.expectNothingLost()
      expect([...sender.statuses.keys()]).toEqual([202])
    }),
  )

  it('for longer than every time-out (paused): gateway and consumer recover by themselves', PATIENT, () =>
    withPipeline(processes, 2, async (pipeline) => {
      const { redis, sender } = pipeline
      sender.start(4)
      await sender.untilAccepted(100)
      await redis.kill('SIGSTOP')
      const before = sender.accepted.size
      await elapse(8_000)
      expect(sender.accepted.size).toBeGreaterThan(before) // by the spool
      await redis.kill('SIGCONT')
      await sender.untilAccepted(100)
      await expectRecovered(pipeline)
      await sender.stop()
      await pipeline.expectNothingLost()
      expect([...sender.statuses.keys()]).toEqual([202])
    }),
  )

  it('for longer than every time-out (stopped, connections refused): likewise', PATIENT, () =>
    withPipeline(processes, 2, async (pipeline) => {
      const { redis, sender } = pipeline
      sender.start(4)
      await sender.untilAccepted(100)
      await redis.kill('SIGTERM')
      const before = sender.accepted.size
      await elapse(8_000)
      expect(sender.accepted.size).toBeGreaterThan(before)
      await redis.restart()
      await sender.untilAccepted(100)
      await expectRecovered(pipeline)
      await sender.stop()
      await pipeline.expectNothingLost()
      expect([...sender.statuses.keys()]).toEqual([202])
    }),
  )
})
