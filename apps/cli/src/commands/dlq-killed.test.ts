/** A replay that is killed in earnest. */
import { decodeRecord } from '@weir/core/record'
import { claimParked } from '@weir/core/stream/parked'
import { expect, it } from 'vitest'
import { usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { useProcesses } from '../../../../tests/support/use-processes.ts'
import { run } from '../cli.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = usePipeline(redis)
const processes = useProcesses()
const LETTERS = 60

it('goes on after SIGKILL, and replays nothing twice', { timeout: 90_000 }, async () => {
  const pipeline = await open()
  const { link, keys } = pipeline
  for (let n = 0; n < LETTERS; n++) await pipeline.kill({ tenant: 'a' })
  const env = { REDIS_URL: redis.url }
  const child = processes.start('apps/cli/src/main.ts', {
    args: ['dlq', 'replay', '--tenant', 'a', '--rate', '50'],
    env,
  })
  const [, command = ''] = await child.waitForLine(
    /should it be killed, this does the rest: webhook-cli (.+)/,
  )
  const parked = async () => (await pipeline.ledger()).parked
  await expect.poll(parked, { timeout: 15_000, interval: 1 }).toBeGreaterThan(10)
  await child.kill('SIGKILL')
  const first = await parked()
  expect(first).toBeLessThan(LETTERS)

  // One of those that were replayed dies again: a run that takes it up a second time would leave nothing dead.
  const claimed = await claimParked(link, keys, 'somebody', 60_000, 1, 0)
  const [event] = claimed.events
  const record = decodeRecord(event!.fields)
  const { streamId } = event!
  await pipeline.bury({ streamId, record, holding: { kind: 'lease', token: 'somebody' } })
  const { letter_id: letter } = (await pipeline.view.find(record.id)) ?? {}

  const words = command.split(' ').filter((word) => !/^(--rate|50)$/.test(word))
  const rest = await run([...words, '--json'], { env })
  expect(rest.code).toBe(0)
  const left = LETTERS - first
  expect(rest.json()).toMatchObject({ matched: left, replayed: left, absent: 0, superseded: 0 })
  expect(await pipeline.ledger()).toMatchObject({ dead: 1, parked: LETTERS - 1 })
  expect(await pipeline.view.find(record.id)).toMatchObject({ place: 'dead', letter_id: letter })
})
