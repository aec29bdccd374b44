/**
 * Finds the master that owns a slot of a Cluster: asks the nodes for CLUSTER SLOTS, those first that were seen last. A
 * failover, or a slot that moved, needs nothing but a new connection, which link.ts makes after MOVED.
 */
import { messageOf } from '../faults.ts'
import { askNode, type MasterFinder, type NodeOptions } from './master-connector.ts'
import type { Address, ClusterPlace } from './place.ts'

interface Range {
  readonly first: number
  readonly last: number
  readonly master: Address
}

export function clusterSlot({ seeds, slot }: ClusterPlace, node: NodeOptions): MasterFinder {
  let known: readonly Address[] = []
  return {
    async find() {
      let reason = ''
      for (const asked of [...known, ...seeds]) {
        try {
          const ranges = rangesOf(await askNode(asked, node, 'CLUSTER', 'SLOTS'), asked)
          const owner = ranges.find(({ first, last }) => first <= slot && slot <= last)
          if (ranges.length > 0) known = distinct(ranges.map(({ master }) => master))
          if (owner !== undefined) return owner.master
          reason = `no master owns it, says ${asked.host}:${asked.port}; look at CLUSTER INFO`
        } catch (error) {
          reason = `${asked.host}:${asked.port} says: ${messageOf(error)}`
        }
      }
      throw new Error(`the master of slot ${slot} of the Redis Cluster cannot be found: ${reason}`)
    },
  }
}

/** https://redis.io/docs/latest/commands/cluster-slots/ */
function rangesOf(reply: unknown, asked: Address): Range[] {
  const ranges = reply as [number, number, [string | null, number]][]
  return ranges.map(([first, last, [host, port]]) => ({
    first,
    last,
    // A node that does not know its own name is where it was asked.
    master: { host: host === null || host === '' || host === '?' ? asked.host : host, port },
  }))
}

function distinct(addresses: readonly Address[]): Address[] {
  return [...new Map(addresses.map((address) => [`${address.host}:${address.port}`, address])).values()]
}
