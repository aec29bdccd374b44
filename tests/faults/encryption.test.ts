import { describe, expect, it } from 'vitest'
import { startRedis } from '../../scripts/private-redis.ts'
import { MASTER_KEY } from '../support/keyring.ts'
import { useProcesses } from '../support/use-processes.ts'
import { withPipelineOn } from './pipeline.ts'

const processes = useProcesses()
/** Processes start and stop several times; the machine may be busy. */
const PATIENT = { timeout: 90_000 }

describe('encrypted events under load', () => {
  it(
    'while gateway, consumer, Redis and the Redis of the keyring are killed: none is lost, all open, every effect happens once',
    PATIENT,
    async () => {
      const [redis, keyring] = await Promise.all([startRedis(), startRedis()])
      const env = {
        REDIS_URL: redis.url,
        WEBHOOK_ENCRYPTION_ENABLED: 'true',
        ENCRYPTION_MASTER_KEY: MASTER_KEY,
        WEBHOOK_KEYRING_URL: keyring.url,
      }
      try {
        await withPipelineOn(processes, env, 2, async ({ sender, ...pipeline }) => {
          sender.start(8)
          await sender.untilAccepted(200)

          // The keyring being away stops nobody who has its keys: not a gateway, not a consumer, not the spool.
          await keyring.kill('SIGKILL')
          await sender.untilAccepted(100)
          await redis.kill('SIGKILL')
          await sender.untilAccepted(100)
          await redis.restart()
          await sender.untilAccepted(100)
          await keyring.restart()

          await pipeline.gateway().kill('SIGKILL')
          await pipeline.startGateway()
          await sender.untilAccepted(100)
          await pipeline.consumers()[0]?.kill('SIGKILL')
          pipeline.startConsumer()
          await sender.untilAccepted(100)

          // A consumer that starts without the keyring waits for it; its events do too, and use no attempt.
          await keyring.kill('SIGKILL')
          await Promise.all(pipeline.consumers().map((consumer) => consumer.kill('SIGKILL')))
          await pipeline.startConsumer().waitForLine(/"msg":"listening"/)
          await sender.untilAccepted(50)
          await keyring.restart()

          await sender.stop()
          await pipeline.expectNothingLost()
          const [partition] = await pipeline.partitions()
          const records = (await partition?.link.call('XINFO', 'STREAM', 'webhook-events')) as unknown[]
          expect(String(records)).toContain('sealed-')
        })
      } finally {
        await Promise.all([redis.stop(), keyring.stop()])
      }
    },
  )
})
