import { describe, expect, it } from 'vitest'
import { useProcesses } from '../support/use-processes.ts'
import { withPipeline } from './pipeline.ts'

const processes = useProcesses()
/** Processes start and stop several times; the machine may be busy. */
const PATIENT = { timeout: 90_000 }

describe('a consumer that sleeps longer than reclaim_idle', () => {
  it(
    'wakes up among others that took its events over: no double settle, effects once, the ledger balanced',
    PATIENT,
    () =>
      withPipeline(processes, 2, async ({ sender, ...pipeline }) => {
        sender.start(4, { takesMs: 40 })
        await sender.untilAccepted(200)
        for (let round = 0; round < 2; round++) {
          const sleeper = pipeline.consumers()[0]
          if (sleeper === undefined) throw new Error('no consumer runs')
          const inHand = () => pipeline.pendingOf(sleeper.pid)
          await sleeper.kill('SIGSTOP')
          await expect.poll(inHand).toBeGreaterThan(0)
          await expect.poll(inHand, { timeout: 10_000 }).toBe(0)
          await sleeper.kill('SIGCONT')
          await expect.poll(inHand, { timeout: 10_000 }).toBeGreaterThan(0) // it works again
          await sender.untilAccepted(50)
        }
        await sender.stop()
        await pipeline.expectNothingLost()
        expect(pipeline.consumers()).toHaveLength(2)
      }),
  )
})
