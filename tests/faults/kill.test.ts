import { describe, expect, it } from 'vitest'
import { useProcesses } from '../support/use-processes.ts'
import { withPipeline } from './pipeline.ts'

const processes = useProcesses()
/** Processes start and stop several times; the machine may be busy. */
const PATIENT = { timeout: 90_000 }

describe('SIGKILL in the middle of load', () => {
  it(
    'of gateway, consumers and Redis, again and again: nothing accepted is lost, every effect happens once',
    PATIENT,
    () =>
      withPipeline(processes, 2, async ({ redis, sender, ...pipeline }) => {
        sender.start(8)
        await sender.untilAccepted(200)
        for (let round = 0; round < 3; round++) {
          await pipeline.gateway().kill('SIGKILL')
          await pipeline.startGateway()
          await sender.untilAccepted(100)

          await pipeline.consumers()[0]?.kill('SIGKILL')
          await sender.untilAccepted(100)
          pipeline.startConsumer()

          await redis.kill('SIGKILL')
          await sender.untilAccepted(100) // into the spool
          await redis.restart()
          await sender.untilAccepted(100)
        }
        // All at once.
        await Promise.all([
          redis.kill('SIGKILL'),
          pipeline.gateway().kill('SIGKILL'),
          ...pipeline.consumers().map((consumer) => consumer.kill('SIGKILL')),
        ])
        await redis.restart()
        await pipeline.startGateway()
        pipeline.startConsumer()
        await sender.untilAccepted(100)
        await sender.stop()
        await pipeline.expectNothingLost()
        expect(sender.accepted.size).toBeGreaterThan(1_300)
      }),
  )
})
