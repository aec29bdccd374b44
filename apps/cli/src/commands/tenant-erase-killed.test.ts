/** An erasure that is killed in earnest; erasure.test.ts of @weir/context-lifecycle has every step of one. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDirectoryStore } from '@weir/context-lifecycle/cold/directory-store'
import { contextIdOf } from '@weir/context-lifecycle/context-id'
import { systemClock } from '@weir/core/clock'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { assembled, eventOf, pullRequest, recordOf } from '../../../../tests/support/contexts.ts'
import { usePipeline } from '../../../../tests/support/pipeline.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import { useProcesses } from '../../../../tests/support/use-processes.ts'
import { run } from '../cli.test-support.ts'

const redis = useRedis({ appendfsync: 'no' })
const open = usePipeline(redis)
const processes = useProcesses()
let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-erase-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const CONTEXTS = 120

it('is finished by another run after SIGKILL', { timeout: 90_000 }, async () => {
  const pipeline = await open()
  const store = createDirectoryStore(join(directory, 'cold'), { clock: systemClock })
  const { contexts, mover, keys } = assembled(pipeline.link, { store })
  for (let number = 1; number <= CONTEXTS; number++) {
    const { record } = recordOf({ delivery: `${number}`, json: pullRequest(number, 'opened') })
    await contexts.append(eventOf(record), record)
    const id = contextIdOf('acme', 'github', `acme/site#${number}`)
    if (number % 4 === 0) await mover.cool(id, 1)
    if (number % 20 === 0) await mover.freeze(id)
  }
  for (let n = 0; n < 20; n++) await pipeline.kill({ tenant: 'acme' })
  await pipeline.kill({ tenant: 'globex' })
  const env = { REDIS_URL: redis.url, WEIR_DATA_DIR: directory }
  const client = redis.client()
  const left = () => client.zcard(keys.active)

  let killed = 0
  for (let tries = 0; tries < 2 && (await left()) > 0; tries++) {
    const before = await left()
    const child = processes.start('apps/cli/src/main.ts', {
      args: ['tenant', 'erase', 'acme', '--yes', '--trim'],
      env,
    })
    // As soon as it has begun to remove contexts.
    await expect.poll(left, { timeout: 15_000, interval: 1 }).toBeLessThan(before)
    await child.kill('SIGKILL')
    killed += 1
    await pipeline.ledger()
  }
  expect(killed).toBeGreaterThan(0)
  const done = await run(['tenant', 'erase', 'acme', '--yes', '--trim', '--json'], { env })
  expect(done).toMatchObject({ code: 0, err: '' })
  expect(await left()).toBe(0)
  for await (const { name } of store.list('contexts/')) expect(name).toBe('')
  expect(await pipeline.ledger()).toMatchObject({ dead: 1, purged: 20 })
})
