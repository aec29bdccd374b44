/** The processes under tests/support/cluster.ts: how nodes are configured, started and made into a cluster. */
import { isFault } from '@weir/core/faults'
import { freePort } from '../../scripts/free-port.ts'
import { type RedisServer, type ServerTls, startRedis } from '../../scripts/private-redis.ts'
import { ask, type RedisAccess, type RedisWord } from './access.ts'
import { type ClusterView, parseView } from './cluster-view.ts'
import { type BracketOptions, until } from './fleet.ts'

export interface ClusterOptions extends BracketOptions {
  /** Default: 3. The slots are dealt out in equal ranges. */
  readonly masters?: number
  /** Default: 0. */
  readonly replicasPerMaster?: number
  /** Silence after which a node counts as failing, ms. Default: 1,000. */
  readonly nodeTimeoutMs?: number
  /** `no`: slots whose master is there are served while others are not. Default: yes, as Redis does. */
  readonly requireFullCoverage?: 'yes' | 'no'
  /** When the append-only files are fsynced. Default: always. */
  readonly appendfsync?: 'always' | 'everysec' | 'no'
  /** Replicas that must have answered within `minReplicasMaxLagS`, else a master refuses writes. Default: 0 = off. */
  readonly minReplicasToWrite?: number
  /** Seconds. Default: 2; a replica answers once a second. */
  readonly minReplicasMaxLagS?: number
  /** Password of the default user. Default: none. */
  readonly password?: string
  /** ACL users, e.g. 'weir on >secret ~* &* +@all -eval'. */
  readonly users?: readonly string[]
  /** Nodes speak TLS only, among themselves too; with `client` the bracket itself gets in (`access`). */
  readonly tls?: { readonly server: ServerTls; readonly client: ServerTls }
  /** More options of the servers. */
  readonly args?: readonly string[]
  /** Receives every line of every log, after the name of the node: `node 0`. */
  readonly onLog?: (name: string, line: string) => void
}

export interface ClusterNode extends RedisServer {
  /** Its name among the nodes: 40 hex digits. */
  readonly id: string
}

export const SLOTS = 16_384
/** Attempts at finding a bus port that nobody takes between the search and the bind. */
const BUS_PORT_ATTEMPTS = 4

/** A node that knows nobody yet. */
export async function startNode(options: ClusterOptions, name: string): Promise<RedisServer> {
  const { password, users = [], tls, onLog } = options
  const start = async () =>
    startRedis({
      ...(tls ? { tls: tls.server } : {}),
      ...(onLog ? { onLog: (line: string) => onLog(name, line) } : {}),
      ...(options.appendfsync ? { appendfsync: options.appendfsync } : {}),
      config: [
        'cluster-enabled yes',
        'cluster-config-file nodes.conf',
        // By default 10,000 above the port, which is beyond the last one for many free ports.
        `cluster-port ${await freePort()}`,
        `cluster-node-timeout ${options.nodeTimeoutMs ?? 1_000}`,
        `cluster-require-full-coverage ${options.requireFullCoverage ?? 'yes'}`,
        // The age of a replica's data never forbids it to take over: a paused master has stale replicas.
        'cluster-replica-validity-factor 0',
        'repl-diskless-sync-delay 0',
        'repl-ping-replica-period 1',
        `min-replicas-to-write ${options.minReplicasToWrite ?? 0}`,
        `min-replicas-max-lag ${options.minReplicasMaxLagS ?? 2}`,
        ...(tls ? ['tls-cluster yes'] : []),
        ...(password === undefined ? [] : [`requirepass "${password}"`, `masterauth "${password}"`]),
        ...users.map((user) => `user ${user}`),
      ],
      args: options.args ?? [],
    })
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start()
    } catch (error) {
      const taken = isFault(error, 'REDIS_UNAVAILABLE') && error.message.includes('is taken')
      if (!taken || attempt === BUS_PORT_ATTEMPTS) throw error
    }
  }
}

/** The same server with the name that it gave itself. */
export async function nameNode(server: RedisServer, access: RedisAccess): Promise<ClusterNode> {
  const id = String(await ask({ port: server.port, access }, 'CLUSTER', 'MYID'))
  return Object.create(server, { id: { value: id, enumerable: true } })
}

export async function viewOf(node: RedisServer, access: RedisAccess): Promise<ClusterView> {
  return parseView(String(await ask({ port: node.port, access }, 'CLUSTER', 'NODES')))
}

/** Deals out the slots, introduces all nodes to each other, and gives each master its replicas. */
export async function formCluster(
  nodes: readonly ClusterNode[],
  masterCount: number,
  access: RedisAccess,
): Promise<void> {
  const cluster = (node: RedisServer, ...words: RedisWord[]) =>
    ask({ port: node.port, access }, 'CLUSTER', ...words)
  const masters = nodes.slice(0, masterCount)
  const replicas = nodes.slice(masterCount)
  const perMaster = replicas.length / masterCount
  const startOf = (index: number) => Math.ceil((index * SLOTS) / masterCount)

  for (const [index, node] of nodes.entries()) {
    await cluster(node, 'SET-CONFIG-EPOCH', index + 1)
    if (index < masterCount) await cluster(node, 'ADDSLOTSRANGE', startOf(index), startOf(index + 1) - 1)
  }
  const [first, ...others] = nodes
  for (const node of others) {
    const { busPort } = await viewOf(node, access)
    if (first) await cluster(first, 'MEET', '127.0.0.1', node.port, busPort)
  }
  await until(async () => {
    for (const node of nodes) {
      const { members } = await viewOf(node, access)
      const known = members.filter(
        ({ flags, link }) =>
          link === 'connected' && !flags.some((flag) => /handshake|noaddr|fail/.test(flag)),
      )
      if (known.length < nodes.length)
        throw new Error(`node ${node.port} knows ${known.length} of ${nodes.length} nodes`)
    }
  })
  for (const [index, replica] of replicas.entries()) {
    const master = masters[Math.floor(index / perMaster)]
    if (master) await cluster(replica, 'REPLICATE', master.id)
  }
}

/** Throws unless this node is a master, or a replica that is linked to its master and has what that had. */
export async function expectInSync(
  node: RedisServer,
  nodes: readonly RedisServer[],
  access: RedisAccess,
): Promise<void> {
  const role = (server: RedisServer) => ask({ port: server.port, access }, 'ROLE') as Promise<unknown[]>
  const [kind, , masterPort, link] = await role(node)
  if (kind === 'master') return
  const master = nodes.find(({ port }) => port === Number(masterPort))
  if (!master) throw new Error(`${node.port} replicates ${masterPort}, which is none of ours`)
  if (link !== 'connected') throw new Error(`replica ${node.port} is ${link}`)
  const [, offset] = await role(master)
  const reached = (await role(node))[4]
  if (Number(reached) < Number(offset)) throw new Error(`replica ${node.port} is at ${reached} of ${offset}`)
}
