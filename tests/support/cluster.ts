/**
 * A real Redis Cluster on loopback, for tests of slots that move and masters that die.
 *
 *   await withCluster(async (cluster) => {
 *     const owner = await cluster.masterOf('webhook-events:{0}')
 *     await cluster.migrateSlot(slot, other, { onStep: async (step) => (step.kind === 'migrating' ? 'stop' : 'go on') })
 *   }, { masters: 3, replicasPerMaster: 1 })
 *
 * It starts in about two seconds and a half: a master that was just started does not serve for two seconds. A dead
 * master with a replica is replaced in two to four seconds, about three times `nodeTimeoutMs`.
 */
import type { Redis } from 'ioredis'
import type { RedisServer } from '../../scripts/private-redis.ts'
import { ask, type ClientOptions, type RedisAccess, type RedisWord } from './access.ts'
import { type MigrateOptions, migrateSlot } from './cluster-migration.ts'
import {
  type ClusterNode,
  type ClusterOptions,
  expectInSync,
  formCluster,
  nameNode,
  startNode,
  viewOf,
} from './cluster-nodes.ts'
import { agreedSlots } from './cluster-view.ts'
import { type Fleet, isAwake, type Topology, until, withTopology } from './fleet.ts'

export type { MigrateOptions, MigrationStep } from './cluster-migration.ts'
export { type ClusterNode, type ClusterOptions, SLOTS } from './cluster-nodes.ts'

const FAILOVER_ATTEMPTS = 3

export interface ClusterTopology {
  /** All nodes as `127.0.0.1:port`. */
  readonly seeds: readonly string[]
  /** First the first masters, then the first replicas, master by master. */
  readonly nodes: readonly ClusterNode[]
  /** How to get at the nodes, as the default user. */
  readonly access: RedisAccess
  /** Slot of a key, by a node's own word. */
  slotOf(key: string): Promise<number>
  /** Waits until all nodes that run agree on who serves this slot (a number) or key. It may be dead. */
  masterOf(slotOrKey: number | string): Promise<ClusterNode>
  /** Nodes that replicate this one, by the word of those that run. */
  replicasOf(master: ClusterNode): Promise<ClusterNode[]>
  /** As soon as all nodes that run agree that another node serves it: that one. */
  untilMasterOfIsNot(slotOrKey: number | string, node: ClusterNode): Promise<ClusterNode>
  /** All nodes that run agree on the slots, see the cluster up, and are in sync as far as they are replicas. */
  untilStable(): Promise<void>
  /** CLUSTER INFO says so on this node, or on all that run: in state `fail` they answer CLUSTERDOWN. */
  untilState(state: 'ok' | 'fail', node?: ClusterNode): Promise<void>
  /**
   * Moves a slot with its keys as redis-cli does, key by key, serving all the while. `onStep` may stop it half-way;
   * a further call goes on from there.
   */
  migrateSlot(slot: number, to: ClusterNode, options?: MigrateOptions): Promise<'moved' | 'stopped'>
  /** CLUSTER FAILOVER: a replica takes over from the master of this slot or key, with its consent. Resolves with it. */
  failover(slotOrKey: number | string): Promise<ClusterNode>
  /** One command on a connection of its own, to this node and no other. */
  ask(node: ClusterNode, command: string, ...args: RedisWord[]): Promise<unknown>
  /** A plain connection to one node, closed at the end. */
  client(node: ClusterNode, options?: ClientOptions): Redis
}

/** Runs `use` with a fresh cluster and ends all of it, whatever happens; fails when connections are left open. */
export function withCluster<T>(
  use: (cluster: ClusterTopology) => Promise<T>,
  options: ClusterOptions = {},
): Promise<T> {
  return withTopology((fleet: Fleet) => startCluster(fleet, options), use, options)
}

/** Starts one and resolves when it serves. */
export async function startCluster(
  fleet: Fleet,
  options: ClusterOptions,
): Promise<ClusterTopology & Topology> {
  const { masters = 3, replicasPerMaster = 0, password } = options
  const access: RedisAccess = {
    ...(password === undefined ? {} : { password }),
    ...(options.tls ? { tls: options.tls.client } : {}),
  }
  const askNode = (node: RedisServer, command: string, ...args: RedisWord[]) =>
    ask({ port: node.port, access }, command, ...args)

  const count = masters * (1 + replicasPerMaster)
  const servers = await fleet.launch(
    access,
    Array.from({ length: count }, (_, index) => startNode(options, `node ${index}`)),
  )
  const nodes = await Promise.all(servers.map((server) => nameNode(server, access)))
  await formCluster(nodes, masters, access)

  const awake = () => nodes.filter(isAwake)
  const views = () => Promise.all(awake().map((node) => viewOf(node, access)))
  const nodeOf = (id: string | undefined): ClusterNode => {
    const node = nodes.find((candidate) => candidate.id === id)
    if (!node) throw new Error(`${id ?? 'nobody'} is none of ours`)
    return node
  }
  const slotOf = async (key: string) => {
    const [node] = awake()
    if (!node) throw new Error('no node runs')
    return Number(await askNode(node, 'CLUSTER', 'KEYSLOT', key))
  }
  const toSlot = async (slotOrKey: number | string) =>
    typeof slotOrKey === 'number' ? slotOrKey : slotOf(slotOrKey)

  /** These checks throw, saying what is not so yet; `until` repeats them. */
  const agreedMaster = async (slot: number) => nodeOf(agreedSlots(await views()).owner(slot))
  const inState = async (state: 'ok' | 'fail', of: readonly ClusterNode[]) => {
    for (const node of of) {
      const info = String(await askNode(node, 'CLUSTER', 'INFO'))
      const seen = /cluster_state:(\w+)/.exec(info)?.[1]
      if (seen !== state) throw new Error(`node ${node.port} sees the cluster in state ${seen}`)
    }
  }
  const stable = async () => {
    await inState('ok', awake())
    const seen = await views()
    agreedSlots(seen)
    for (const { id, flags, link } of seen.flatMap(({ members }) => members)) {
      const node = nodeOf(id)
      if (isAwake(node) && (link !== 'connected' || flags.some((flag) => flag.startsWith('fail'))))
        throw new Error(`a node sees ${node.port} as ${link} ${flags.join()}`)
    }
    for (const node of awake()) await expectInSync(node, nodes, access)
  }
  const untilMasterOfIsNot = async (slotOrKey: number | string, node: ClusterNode) => {
    const slot = await toSlot(slotOrKey)
    return until(async () => {
      const master = await agreedMaster(slot)
      if (master === node) throw new Error(`slot ${slot} is still with ${node.port}`)
      return master
    })
  }
  const replicasOf = async (master: ClusterNode) => {
    const [view] = await views()
    return (view?.members ?? []).filter(({ masterId }) => masterId === master.id).map(({ id }) => nodeOf(id))
  }

  await until(stable)
  return {
    fleet,
    seeds: nodes.map((node) => `127.0.0.1:${node.port}`),
    nodes,
    access,
    slotOf,
    async masterOf(slotOrKey) {
      const slot = await toSlot(slotOrKey)
      return until(() => agreedMaster(slot))
    },
    replicasOf,
    untilMasterOfIsNot,
    untilStable: () => until(stable),
    untilState: (state, node) => until(() => inState(state, node ? [node] : awake())),
    async migrateSlot(slot, to, migrateOptions) {
      const from = await until(() => agreedMaster(slot))
      const { masterIds } = agreedSlots(await views())
      const others = awake().filter((node) => masterIds.has(node.id) && node !== from && node !== to)
      const outcome = await migrateSlot({ slot, from, to, others, access }, migrateOptions)
      if (outcome === 'moved') await untilMasterOfIsNot(slot, from)
      return outcome
    },
    async failover(slotOrKey) {
      const slot = await toSlot(slotOrKey)
      const master = await until(() => agreedMaster(slot))
      // One that has just come back is not known to its master at once.
      const replica = await until(async () => {
        const found = (await replicasOf(master)).find(isAwake)
        if (!found) throw new Error(`the master ${master.port} of slot ${slot} has no replica that runs`)
        return found
      })
      await until(() => expectInSync(replica, nodes, access))
      // Redis gives it up after 5 s when the replica has not caught up by then, as on a busy machine.
      for (let attempt = 1; ; attempt++) {
        try {
          await askNode(replica, 'CLUSTER', 'FAILOVER')
          return await untilMasterOfIsNot(slot, master)
        } catch (error) {
          if (attempt === FAILOVER_ATTEMPTS) throw error
        }
      }
    },
    ask: askNode,
    client: (node, clientOptions) => fleet.client(node, access, clientOptions),
    async heal() {
      await fleet.wake(nodes)
      for (const node of nodes) {
        const { openSlots } = await viewOf(node, access)
        for (const slot of openSlots) await askNode(node, 'CLUSTER', 'SETSLOT', slot, 'STABLE')
      }
      await until(stable)
      const { masterIds } = agreedSlots(await views())
      for (const id of masterIds) await askNode(nodeOf(id), 'FLUSHALL')
      await until(stable)
    },
  }
}
