/**
 * Contexts of pull requests and a cold storage in memory, for tests of the tiers:
 *
 *   const tiers = useTiers(useRedis())
 *   const all = tiers.world()
 *   const event = await tiers.append(all, 7, 'delivery')
 *   await tiers.toCold(all, 7)
 */
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { afterEach, beforeEach } from 'vitest'
import type { ColdStore } from '../../packages/context-lifecycle/src/cold/cold-store.ts'
import { type ContextId, contextIdOf } from '../../packages/context-lifecycle/src/context-id.ts'
import { collectOld, type MemoryStore, memoryStore } from './cold.ts'
import { assembled, eventOf, pullRequest, recordOf } from './contexts.ts'
import type { SharedRedis } from './redis.ts'

export type TiersWorld = ReturnType<typeof assembled>

export interface TestTiers {
  readonly link: RedisLink
  /** Empty for each test. */
  readonly store: MemoryStore
  /** The movers and readers of one process. */
  world(store?: ColdStore, link?: RedisLink): TiersWorld
  /** Of tenant acme. */
  idOf(number: number): ContextId
  /** Puts an event into the context of a pull request. Resolves with its id. */
  append(world: TiersWorld, number: number, delivery: string): Promise<string>
  /** And deletes what that supersedes. */
  toCold(world: TiersWorld, number: number): Promise<void>
}

export function useTiers(redis: SharedRedis): TestTiers {
  let link: RedisLink
  let store: MemoryStore
  beforeEach(async () => {
    store = memoryStore()
    link = connectRedis({
      url: redis.url,
      commandTimeoutMs: 5_000,
      connectTimeoutMs: 1_000,
      reconnectMaxDelayMs: 100,
      name: 'tiers',
    })
    await link.ready()
  })
  afterEach(() => link.close())
  const idOf = (number: number) => contextIdOf('acme', 'github', `acme/site#${number}`)
  return {
    get link() {
      return link
    },
    get store() {
      return store
    },
    world: (to = store, through = link) => assembled(through, { store: to }),
    idOf,
    async append({ contexts }, number, delivery) {
      const { record } = recordOf({ delivery, json: pullRequest(number, 'edited', { body: delivery }) })
      await contexts.append(eventOf(record), record)
      return record.id
    },
    async toCold(all, number) {
      await all.mover.cool(idOf(number), 1)
      await all.mover.freeze(idOf(number))
      await collectOld(all)
    },
  }
}
