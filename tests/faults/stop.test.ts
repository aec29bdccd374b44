import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { freePort } from '../../scripts/free-port.ts'
import type { TestProcess } from '../support/process.ts'
import { useProcesses } from '../support/use-processes.ts'
import { withPipeline } from './pipeline.ts'

const processes = useProcesses()
/** Processes start and stop several times; the machine may be busy. */
const PATIENT = { timeout: 90_000 }

/** Before it listens, a signal ends it as it ends any program. */
async function stopped(process: TestProcess) {
  await process.waitForLine(/"msg":"listening"/)
  return process.kill('SIGTERM')
}

describe('SIGTERM', () => {
  it('of everything under load, one after the other and started again, loses nothing', PATIENT, () =>
    withPipeline(processes, 2, async (pipeline) => {
      const { redis, sender } = pipeline
      sender.start(8)
      await sender.untilAccepted(200)
      for (const consumer of [...pipeline.consumers()]) {
        expect(await stopped(consumer)).toEqual({ code: 0, signal: null })
        pipeline.startConsumer()
        await sender.untilAccepted(50)
      }
      expect(await stopped(pipeline.gateway())).toEqual({ code: 0, signal: null })
      await pipeline.startGateway()
      await sender.untilAccepted(100)
      await redis.restart('SIGTERM')
      await sender.untilAccepted(100)
      await sender.stop()
      const ends = [pipeline.gateway(), ...pipeline.consumers()].map(stopped)
      expect(await Promise.all(ends)).toEqual(ends.map(() => ({ code: 0, signal: null })))
      pipeline.startConsumer()
      await pipeline.startGateway()
      await pipeline.expectNothingLost()
    }),
  )

  it(
    'with Redis away ends gateway and consumer in their time, and what was spooled is there at the next start',
    PATIENT,
    () =>
      withPipeline(processes, 1, async (pipeline) => {
        const { redis, sender } = pipeline
        sender.start(4)
        await sender.untilAccepted(100)
        await redis.kill('SIGKILL')
        await sender.untilAccepted(50)
        await sender.stop()
        const ends = [pipeline.gateway(), ...pipeline.consumers()].map(stopped)
        expect(await Promise.all(ends)).toEqual(ends.map(() => ({ code: 0, signal: null })))
        await redis.restart()
        await pipeline.startGateway()
        pipeline.startConsumer()
        await pipeline.expectNothingLost()
      }),
  )

  it('of a consumer that answers already, and still waits for the plan of its partitions, ends it in order', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'weir-early-stop-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const [ops, nobody] = [await freePort(), await freePort()]
    const file = join(directory, 'weir.yaml')
    writeFileSync(file, `webhook: { consumer: { ops_port: ${ops} } }`)
    const consumer = processes.start('apps/consumer/src/main.ts', {
      cwd: directory,
      env: {
        CONFIG_FILE: file,
        WEIR_DATA_DIR: directory,
        REDIS_CLUSTER_ENABLED: 'true',
        REDIS_ADDRESSES: `127.0.0.1:${nobody}`,
      },
    })
    await consumer.waitForHttp(`http://127.0.0.1:${ops}/ready`, { accept: () => true })
    expect(consumer.output()).not.toMatch(/"msg":"listening"/)
    await consumer.kill('SIGTERM')
    expect(await consumer.done).toEqual({ code: 0, signal: null })
    expect(consumer.output()).toMatch(/"msg":"stopped"/)
  })
})
