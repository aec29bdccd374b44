/** Contexts are moved because somebody says so. */
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type MemoryStore, memoryStore } from '../../../../tests/support/cold.ts'
import { assembled, eventOf, pullRequest, recordOf } from '../../../../tests/support/contexts.ts'
import { useRedis } from '../../../../tests/support/redis.ts'
import type { ColdStore } from '../cold/cold-store.ts'
import { contextIdOf } from '../context-id.ts'
import { transitionContexts } from './transition.ts'

const redis = useRedis()
let link: RedisLink
let store: MemoryStore
const idOf = (number: number) => contextIdOf('acme', 'github', `acme/site#${number}`)

beforeEach(async () => {
  store = memoryStore()
  link = connectRedis({
    url: redis.url,
    commandTimeoutMs: 5_000,
    connectTimeoutMs: 1_000,
    reconnectMaxDelayMs: 100,
    name: 'transition',
  })
  await link.ready()
})
afterEach(() => link.close())

const world = (to: ColdStore = store, through = link) => assembled(through, { store: to })
type World = ReturnType<typeof world>

async function append({ contexts }: World, number: number, delivery: string): Promise<string> {
  const { record } = recordOf({ delivery, json: pullRequest(number, 'edited', { body: delivery }) })
  await contexts.append(eventOf(record), record)
  return record.id
}
describe('a transition of every context', () => {
  it('tells which cannot be moved, and moves the others', async () => {
    const all = world()
    for (const n of [1, 2, 3, 4, 5]) await append(all, n, `${n}`)
    await link.call('SETRANGE', all.keys.head(idOf(1)), 35, 'no identity')
    // More events than there are.
    await link.call('SETRANGE', all.keys.head(idOf(2)), 1, Buffer.from([0, 0, 0, 9]))
    const found = await transitionContexts(
      {
        ...all,
        places: [all.place],
        placeOf: () => all.place,
        concurrency: 2,
        now: Date.now,
        onProgress: () => undefined,
      },
      { to: 'cold', inactiveMs: 0, dryRun: false },
    )
    expect(found).toMatchObject({ moved: 3, complete: true })
    expect(found.stuck.map(({ context }) => context).sort()).toEqual([idOf(1), idOf(2)].sort())
  })
})
