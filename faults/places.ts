/** Where the events of a run are: Redis as one server, under Sentinels, or as a Cluster. All real, all on this machine. */
import { type RedisServer, startRedis } from '../scripts/private-redis.ts'
import { ask } from '../tests/support/access.ts'
import type { ServerClock } from '../tests/support/clock.ts'
import { type ClusterTopology, startCluster } from '../tests/support/cluster.ts'
import { createFleet } from '../tests/support/fleet.ts'
import { startProxy, type Proxy as TcpProxy } from '../tests/support/proxy.ts'
import { type SentinelTopology, startSentinel } from '../tests/support/sentinel.ts'

interface Common {
  /** As the table has it. */
  readonly name: string
  /** How Weir finds it. */
  readonly env: Readonly<Record<string, string>>
  /** Settings below `webhook.redis`. */
  readonly settings: Readonly<Record<string, unknown>>
  /** Everything runs again, agrees and is in sync. */
  untilHealed(): Promise<void>
  stop(): Promise<void>
}

export interface OneServer extends Common {
  readonly kind: 'one server'
  readonly server: RedisServer
  /** Gateways and consumers come to it through this one. */
  readonly proxy: TcpProxy
  ask(command: string, ...args: (string | number)[]): Promise<unknown>
}

export interface UnderSentinels extends Common {
  readonly kind: 'under Sentinels'
  readonly sentinel: SentinelTopology
}

export interface OnCluster extends Common {
  readonly kind: 'on a Cluster'
  readonly cluster: ClusterTopology
}

export type Place = OneServer | UnderSentinels | OnCluster

export type Durability = 'local' | 'replica'

/** @param clock whose clock it goes by: the machine's, or one that can be moved (Linux) */
export async function oneServer(appendfsync: 'always' | 'everysec', clock?: ServerClock): Promise<OneServer> {
  const server = await startRedis({ appendfsync, ...(clock && { binary: clock.binary }) })
  const proxy = await startProxy(server.port)
  return {
    kind: 'one server',
    name: `one server, AOF ${appendfsync}`,
    env: { REDIS_URL: proxy.url },
    settings: {},
    server,
    proxy,
    ask: (command, ...args) => ask({ port: server.port }, command, ...args),
    async untilHealed() {
      await server.kill('SIGCONT')
      if (!server.running) await server.restart()
      proxy.resume()
    },
    async stop() {
      await proxy.close()
      await server.stop()
    },
  }
}

const REPLICAS = 2

export async function underSentinels(durability: Durability): Promise<UnderSentinels> {
  const fleet = createFleet()
  try {
    const sentinel = await startSentinel(fleet, { replicas: REPLICAS, appendfsync: 'everysec' })
    return {
      kind: 'under Sentinels',
      name: `Sentinels, ${durability}`,
      env: {
        REDIS_SENTINEL_ENABLED: 'true',
        REDIS_ADDRESSES: sentinel.addresses.join(','),
        REDIS_MASTER_NAME: sentinel.masterName,
      },
      settings: settingsOf(durability, REPLICAS),
      sentinel,
      untilHealed: () => sentinel.untilReplicasInSync(),
      stop: () => fleet.stop(),
    }
  } catch (error) {
    await fleet.stop()
    throw error
  }
}

const MASTERS = 3

export async function onCluster(durability: Durability): Promise<OnCluster> {
  const fleet = createFleet()
  try {
    const cluster = await startCluster(fleet, { masters: MASTERS, replicasPerMaster: 1 })
    return {
      kind: 'on a Cluster',
      name: `Cluster, ${durability}`,
      env: { REDIS_CLUSTER_ENABLED: 'true', REDIS_ADDRESSES: cluster.seeds.join(',') },
      settings: { partitions: MASTERS, ...settingsOf(durability, 1) },
      cluster,
      untilHealed: () => cluster.untilStable(),
      stop: () => fleet.stop(),
    }
  } catch (error) {
    await fleet.stop()
    throw error
  }
}

function settingsOf(durability: Durability, replicas: number) {
  return durability === 'local' ? {} : { durability, replicas, replica_timeout: '200ms' }
}
