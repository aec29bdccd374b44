/** A Cluster of one server, its partitions, and contexts in its shards. */
import { configuredContexts } from '@weir/context-lifecycle/configured'
import type { ContextPlace } from '@weir/context-lifecycle/context-place'
import { systemClock } from '@weir/core/clock'
import { loadConfig } from '@weir/core/config/load'
import type { Config } from '@weir/core/config/schema'
import { mintEventId } from '@weir/core/event'
import type { Sealing } from '@weir/core/keyring/keyring'
import { connectPartition, type Partition } from '@weir/core/partition'
import type { EventRecord } from '@weir/core/record'
import type { RedisLink } from '@weir/core/redis/link'
import { ensurePlan } from '@weir/core/stream/plans'
import { sealedWith } from '@weir/security/envelope'
import { afterEach, beforeEach, expect } from 'vitest'
import { eventOf, pullRequest } from './contexts.ts'
import type { SharedRedis } from './redis.ts'

type Env = Readonly<Record<string, string>>

/** Makes a Cluster of one server, before each test. */
export function useAllSlots(redis: Pick<SharedRedis, 'client'>): void {
  beforeEach(async () => {
    const control = redis.client()
    const state = async () => String(await control.call('CLUSTER', 'INFO'))
    if ((await state()).includes('cluster_slots_assigned:0')) {
      await control.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
    }
    await expect.poll(state).toContain('cluster_state:ok')
  })
}

/** @param redis with `--cluster-enabled yes`; opens two partitions on it, which are closed after the test */
export function useClusterPartitions(redis: SharedRedis): (env: Env) => Promise<[Partition, Partition]> {
  const opened: Partition[] = []
  useAllSlots(redis)
  afterEach(async () => {
    await Promise.all(opened.splice(0).map(({ link }) => link.close()))
  })
  return async (env) => {
    const { config } = await loadConfig({ env })
    const connect = (number: number) => connectPartition(config, number, 'test')
    const partitions: [Partition, Partition] = [connect(0), connect(1)]
    opened.push(...partitions)
    await Promise.all(partitions.map(({ link }) => link.ready(AbortSignal.timeout(5_000))))
    await ensurePlan(partitions[0], 2)
    return partitions
  }
}

/** Contexts of so many pull requests of a tenant; its digests are encrypted where the configuration says so. Returns where they lie. */
export async function rememberPullRequests(
  config: Config,
  { home, keyring }: { readonly home: RedisLink; readonly keyring: Sealing | undefined },
  count: number,
  tenant = 'acme',
): Promise<readonly Pick<ContextPlace, 'keys'>[]> {
  const { contexts, places, close } = configuredContexts(config, {
    home,
    keyring,
    name: 'test-contexts',
    keyOf: sealedWith,
    clock: systemClock,
  })
  await Promise.all(places.map(({ link }) => link.ready(AbortSignal.timeout(5_000))))
  for (let number = 1; number <= count; number++) {
    const packed = Buffer.from(`[]\n${JSON.stringify(pullRequest(number, 'opened'))}`)
    const record: EventRecord = {
      ...{ id: mintEventId(number), tenant, tool: 'github', type: 'pull_request', receivedAt: number },
      ...{ encoding: 'plain', dictionary: '', packed, locator: Buffer.alloc(16), derived: false },
      ...{ traceparent: '', attempts: 0 },
    }
    await contexts.append(eventOf(record), record)
  }
  await close()
  return places
}
