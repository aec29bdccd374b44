/** Several servers that make up one Redis, for all tests of a file (or of the `describe` in which this is called). */
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { type ClusterOptions, type ClusterTopology, startCluster } from './cluster.ts'
import { type BracketOptions, type Connections, createFleet, type Fleet, type Topology } from './fleet.ts'
import { type SentinelOptions, type SentinelTopology, startSentinel } from './sentinel.ts'

/** One topology for all tests of a file (or `describe`), healed and emptied before each. */
export function useTopology<T extends Topology>(
  start: (fleet: Fleet) => Promise<T>,
  options: BracketOptions,
): { readonly current: T } {
  const fleet = createFleet()
  let topology: T | undefined
  /** Connections that an earlier test left open: that one has failed for it, not the next ones too. */
  let known: Connections = new Map()
  const started = (): T => {
    if (!topology) throw new Error('the servers of this file run only inside its tests and hooks')
    return topology
  }
  beforeAll(async () => {
    topology = await start(fleet)
  })
  beforeEach(async () => {
    await started().heal()
    known = await fleet.connections()
  })
  afterEach(async () => {
    fleet.closeClients()
    if (options.openConnections !== 'allowed') await fleet.expectNoConnections(known)
  })
  afterAll(() => fleet.stop())
  return {
    get current() {
      return started()
    },
  }
}

/**
 * One cluster for all tests of the file (or of the `describe` in which this is called). Before each test every node runs,
 * the cluster is up, no slot is half-way and all is empty; which node serves what may differ.
 */
export function useCluster(options: ClusterOptions = {}): { readonly current: ClusterTopology } {
  return useTopology((fleet: Fleet) => startCluster(fleet, options), options)
}

/**
 * One topology for all tests of the file (or of the `describe` in which this is called). Before each test every server
 * runs, the Sentinels agree, the replicas are in sync and all is empty; which server is the master may differ.
 */
export function useSentinel(options: SentinelOptions = {}): { readonly current: SentinelTopology } {
  return useTopology((fleet: Fleet) => startSentinel(fleet, options), options)
}
