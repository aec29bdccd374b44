import { describe, expect, it } from 'vitest'
import { useProcesses } from '../support/use-processes.ts'
import { withPipeline } from './pipeline.ts'

const processes = useProcesses()
/** Processes start and stop several times; the machine may be busy. */
const PATIENT = { timeout: 180_000 }

describe('events that kill the process that handles them', () => {
  it(
    'are quarantined after quarantine_after deliveries; no innocent event is, and all are settled',
    PATIENT,
    () =>
      withPipeline(processes, 0, async ({ sender, ...pipeline }) => {
        const innocent: (string | undefined)[] = []
        for (let n = 0; n < 30; n++) innocent.push(await sender.send())
        const atOnce = await sender.send({ deadlyFrom: 1 })
        for (let n = 0; n < 30; n++) innocent.push(await sender.send(n % 5 === 0 ? { failures: 2 } : {}))
        const inRetry = await sender.send({ failures: 1, deadlyFrom: 2 })
        for (let n = 0; n < 30; n++) innocent.push(await sender.send())
        const dead = [atOnce ?? '', inRetry ?? '']

        // A supervisor that starts it again whenever it dies, as Kubernetes does.
        let deaths = 0
        let supervised = true
        const supervisor = (async () => {
          while (supervised) {
            const consumer = pipeline.startConsumer()
            const exit = await consumer.exit
            if (exit.signal === 'SIGKILL') deaths++
          }
        })()
        await pipeline.expectNothingLost(dead)
        supervised = false
        await pipeline.consumers()[0]?.kill('SIGTERM')
        await supervisor

        const letters = await pipeline.letters()
        expect(letters.map(({ record, reason }) => [record?.id, reason]).sort()).toEqual(
          dead.map((id) => [id, 'poison']).sort(),
        )
        const runs = pipeline.runs()
        expect(runs.get(dead[0] ?? '')).toBe(5)
        expect(runs.get(dead[1] ?? '')).toBe(1 + 5) // one failure, then five that killed
        expect(deaths).toBe(10)
        expect(pipeline.effects().size).toBe(innocent.length)
      }),
  )
})
