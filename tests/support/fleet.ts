/**
 * Several real servers that make up one Redis: started together, ended together, and looked at together. What
 * tests/support/sentinel.ts and cluster.ts have in common.
 */
import type { Redis } from 'ioredis'
import type { RedisServer } from '../../scripts/private-redis.ts'
import {
  type ClientOptions,
  connectTo,
  expectNoConnections,
  openConnections,
  type RedisAccess,
} from './access.ts'
import { until as untilWithin } from './until.ts'

/** How long servers may take to come to agree, ms. A failover that failed is tried again only after seconds. */
const AGREE_TIMEOUT_MS = 20_000

export interface Fleet {
  /** Takes on servers that are being started. When one fails, the others are waited for all the same, to be ended. */
  launch(access: RedisAccess, starts: readonly Promise<RedisServer>[]): Promise<RedisServer[]>
  /** A connection that is closed at the end of the test. */
  client(server: RedisServer, access: RedisAccess, options?: ClientOptions): Redis
  closeClients(): void
  /** Ids of the connections that are open now, by port. */
  connections(): Promise<Connections>
  /** Fails when there are connections that were not `known`, on any server that runs; paused ones continue. */
  expectNoConnections(known?: Connections): Promise<void>
  /** Paused servers continue, dead ones are started again. */
  wake(handles: readonly RedisServer[]): Promise<void>
  /** Ends all servers and connections. Harmless when repeated. */
  stop(): Promise<void>
}

export type Connections = ReadonlyMap<number, ReadonlySet<string>>

/** What a bracket needs of a topology, besides what the test sees of it. */
export interface Topology {
  readonly fleet: Fleet
  /** Everything runs and is in sync, and all data are gone. */
  heal(): Promise<void>
}

export interface BracketOptions {
  /** `allowed`: connections may be left open. Default: `forbidden`. */
  readonly openConnections?: 'forbidden' | 'allowed'
}

export function createFleet(): Fleet {
  const members: { readonly server: RedisServer; readonly access: RedisAccess }[] = []
  let clients: Redis[] = []
  const closeClients = () => {
    for (const client of clients) client.disconnect()
    clients = []
  }
  return {
    async launch(access, starts) {
      const outcomes = await Promise.allSettled(starts)
      const servers = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
      members.push(...servers.map((server) => ({ server, access })))
      const failure = outcomes.find((outcome) => outcome.status === 'rejected')
      if (failure) throw failure.reason
      return servers
    },
    client(server, access, options) {
      const client = connectTo({ port: server.port, access }, options)
      clients.push(client)
      return client
    },
    closeClients,
    async connections() {
      const awakeMembers = members.filter(({ server }) => isAwake(server))
      const sets = awakeMembers.map(
        async ({ server, access }) =>
          [server.port, await openConnections({ port: server.port, access })] as const,
      )
      return new Map(await Promise.all(sets))
    },
    async expectNoConnections(known = new Map()) {
      for (const { server, access } of members) {
        if (!server.running) continue
        await server.kill('SIGCONT') // a test may have paused it
        await expectNoConnections({ port: server.port, access }, known.get(server.port))
      }
    },
    async wake(handles) {
      for (const server of handles) {
        if (server.running) await server.kill('SIGCONT')
      }
      await Promise.all(handles.map((server) => (server.running ? undefined : server.restart())))
    },
    async stop() {
      closeClients()
      await Promise.all(members.map(({ server }) => server.stop()))
    },
  }
}

/** Runs, and is not paused. */
export function isAwake(server: RedisServer): boolean {
  return server.running && !server.paused
}

/** Repeats `check` until it does not throw, and resolves with what it returns; its last error says what was missing. */
export function until<T>(check: () => Promise<T>): Promise<T> {
  return untilWithin(check, AGREE_TIMEOUT_MS)
}

/** Runs `use` with a fresh topology and ends all of it, whatever happens; fails when connections are left open. */
export async function withTopology<T extends Topology, R>(
  start: (fleet: Fleet) => Promise<T>,
  use: (topology: NoInfer<T>) => Promise<R>,
  options: BracketOptions,
): Promise<R> {
  const fleet = createFleet()
  try {
    const result = await use(await start(fleet))
    fleet.closeClients()
    if (options.openConnections !== 'allowed') await fleet.expectNoConnections()
    return result
  } finally {
    await fleet.stop()
  }
}
