/** What can happen to a master and its replicas while events come in; in the end everything runs again. */
import { setTimeout as pause } from 'node:timers/promises'
import { expect } from 'vitest'
import type { RedisServer } from '../../scripts/private-redis.ts'
import type { ClusterTopology } from '../support/cluster.ts'
import type { SentinelTopology } from '../support/sentinel.ts'
import type { Load, Place } from './under-load.ts'

export interface Scenario<Topology> {
  readonly name: string
  happen(topology: Topology, load: Load): Promise<void>
}

/** Answers that a scenario waits for in between: fractions of a second of load. */
const A_WHILE = 200
/** Answers that come for certain after a state was seen. */
const SOME = 20
const LAG_MS = 700
const PADDING_BYTES = 100_000
/** Some of what was answered, whatever the last answers were. */
const HELD_BACK_BYTES = 2_000_000

export const SENTINEL_SCENARIOS: readonly Scenario<SentinelTopology>[] = [
  {
    name: 'replica hangs and returns',
    async happen(sentinel, load) {
      const [replica] = await sentinel.replicas()
      await replica!.kill('SIGSTOP')
      await load.answered(A_WHILE)
      await replica!.kill('SIGCONT')
    },
  },
  {
    name: 'master killed',
    async happen(sentinel, load) {
      const old = await sentinel.master()
      await old.kill('SIGKILL')
      await replaced(sentinel, old)
      await load.answered(A_WHILE)
      await old.restart()
    },
  },
  {
    name: 'master killed whose replicas lag',
    async happen(sentinel, load) {
      const old = await sentinel.master()
      const replicas = await sentinel.replicas()
      await Promise.all(replicas.map((replica) => replica.kill('SIGSTOP')))
      load.pad(PADDING_BYTES)
      if (load.durability === 'local') {
        await expect
          .poll(() => heldBack(sentinel, old), { timeout: 30_000, interval: 25 })
          .toBeGreaterThan(HELD_BACK_BYTES)
        await load.answered(SOME)
      } else await Promise.race([load.answered(4 * A_WHILE), pause(LAG_MS)])
      await old.kill('SIGKILL')
      load.pad(0)
      await Promise.all(replicas.map((replica) => replica.kill('SIGCONT')))
      await replaced(sentinel, old)
      await load.answered(A_WHILE)
      await old.restart()
    },
  },
  {
    name: 'master paused until a replica is promoted',
    async happen(sentinel, load) {
      const old = await sentinel.master()
      await old.kill('SIGSTOP')
      await replaced(sentinel, old)
      await load.answered(A_WHILE)
      await old.kill('SIGCONT')
    },
  },
  {
    name: 'SENTINEL FAILOVER of a healthy master',
    async happen(sentinel, load) {
      await sentinel.failover()
      await load.answered(A_WHILE)
    },
  },
]

/**
 * Bytes that a master has for each of its replicas and cannot get rid of: more than the kernel holds for a stopped process. They are lost
 * with it. Infinite when it has given them up: then whatever it answers from now on is.
 */
async function heldBack(sentinel: SentinelTopology, master: RedisServer): Promise<number> {
  const replicas = String(await sentinel.ask(master, 'CLIENT', 'LIST', 'TYPE', 'replica'))
  return Math.min(...[...replicas.matchAll(/ omem=(\d+) /g)].map(([, bytes]) => Number(bytes)))
}

/** Resolves when another server is the master; the Sentinels may take longer to agree that it is so. */
async function replaced(sentinel: SentinelTopology, old: RedisServer): Promise<void> {
  const others = sentinel.servers.filter((server) => server !== old)
  const roles = () =>
    Promise.all(others.map(async (server) => ((await sentinel.ask(server, 'ROLE')) as unknown[])[0]))
  await expect.poll(roles, { timeout: 30_000, interval: 25 }).toContain('master')
}

export function sentinelPlace(sentinel: SentinelTopology): Place {
  return {
    env: {
      REDIS_SENTINEL_ENABLED: 'true',
      REDIS_ADDRESSES: sentinel.addresses.join(','),
      REDIS_MASTER_NAME: sentinel.masterName,
    },
    untilHealed: () => sentinel.untilReplicasInSync(),
    streams: async () => [{ name: 'webhook-events', client: sentinel.client(await sentinel.master()) }],
  }
}

/** One partition for each of three masters, near enough. */
const PARTITIONS = ['{0}', '{1}', '{2}']

export const CLUSTER_SCENARIOS: readonly Scenario<ClusterTopology>[] = [
  {
    name: 'Cluster: master killed',
    async happen(cluster, load) {
      const old = await cluster.masterOf('webhook-events:{0}')
      await old.kill('SIGKILL')
      await cluster.untilMasterOfIsNot('webhook-events:{0}', old)
      await load.answered(A_WHILE)
      await old.restart()
    },
  },
  {
    name: 'Cluster: master paused until replaced, and returns',
    async happen(cluster, load) {
      const old = await cluster.masterOf('webhook-events:{0}')
      await old.kill('SIGSTOP')
      await cluster.untilMasterOfIsNot('webhook-events:{0}', old)
      await load.answered(A_WHILE)
      await old.kill('SIGCONT')
    },
  },
]

export function clusterPlace(cluster: ClusterTopology): Place {
  return {
    env: { REDIS_CLUSTER_ENABLED: 'true', REDIS_ADDRESSES: cluster.seeds.join(',') },
    untilHealed: () => cluster.untilStable(),
    streams: () =>
      Promise.all(
        PARTITIONS.map(async (tag) => {
          const name = `webhook-events:${tag}`
          return { name, client: cluster.client(await cluster.masterOf(name)) }
        }),
      ),
  }
}
