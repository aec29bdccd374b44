/**
 * A real master with its replicas, without anybody who would replace it, for tests of what the replicas confirm.
 *
 *   const redis = useReplicated({ replicas: 2 })
 *   it('…', async () => { await redis.current.replicas[0].kill('SIGSTOP') … })
 */
import type { Redis } from 'ioredis'
import type { RedisServer } from '../../scripts/private-redis.ts'
import { startRedis } from '../../scripts/private-redis.ts'
import { ask, type ClientOptions, type RedisWord } from './access.ts'
import { type BracketOptions, type Fleet, isAwake, type Topology, until } from './fleet.ts'
import { useTopology } from './use-topology.ts'

export interface ReplicatedOptions extends BracketOptions {
  /** Default: 1. */
  readonly replicas?: number
  /** When the append-only files are fsynced. Default: no. */
  readonly appendfsync?: 'always' | 'everysec' | 'no'
  /** The server program. Default: the one that is installed. */
  readonly binary?: string
}

export interface ReplicatedRedis {
  readonly url: string
  readonly master: RedisServer
  readonly replicas: readonly RedisServer[]
  /** One command on a connection of its own. */
  ask(server: RedisServer, command: string, ...args: RedisWord[]): Promise<unknown>
  /** A connection to one server, closed after the test. */
  client(server: RedisServer, options?: ClientOptions): Redis
  /** Every replica that runs is online and has all that the master had when asked. */
  untilInSync(): Promise<void>
}

/** One master for all tests of the file; before each, all run, are in sync and empty. */
export function useReplicated(options: ReplicatedOptions = {}): { readonly current: ReplicatedRedis } {
  return useTopology((fleet) => start(fleet, options), options)
}

async function start(fleet: Fleet, options: ReplicatedOptions): Promise<ReplicatedRedis & Topology> {
  const server = (...args: string[]) =>
    startRedis({
      appendfsync: options.appendfsync ?? 'no',
      args: ['--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1', ...args],
      ...(options.binary === undefined ? {} : { binary: options.binary }),
    })
  const [master] = await fleet.launch({}, [server()])
  if (master === undefined) throw new Error('the master did not start')
  const count = options.replicas ?? 1
  const replicas = await fleet.launch(
    {},
    Array.from({ length: count }, () => server('--replicaof', '127.0.0.1', String(master.port))),
  )
  const askServer = (where: RedisServer, command: string, ...args: RedisWord[]) =>
    ask({ port: where.port }, command, ...args)
  const inSync = async () => {
    const [, offset] = (await askServer(master, 'ROLE')) as [string, number]
    for (const replica of replicas.filter(isAwake)) {
      const [, , , link, seen] = (await askServer(replica, 'ROLE')) as [
        string,
        string,
        number,
        string,
        number,
      ]
      if (link !== 'connected' || seen < offset)
        throw new Error(`${replica.port} is ${link}, at ${seen} of ${offset}`)
    }
    const info = String(await askServer(master, 'INFO', 'replication'))
    const online = info.match(/state=online/g)?.length ?? 0
    const awake = replicas.filter(isAwake).length
    if (online < awake) throw new Error(`the master has ${online} of ${awake} replicas`)
  }
  await until(inSync)
  return {
    fleet,
    url: master.url,
    master,
    replicas,
    ask: askServer,
    client: (where, clientOptions) => fleet.client(where, {}, clientOptions),
    untilInSync: () => until(inSync),
    async heal() {
      await fleet.wake([master, ...replicas])
      await askServer(master, 'CONFIG', 'SET', 'min-replicas-to-write', '0')
      await until(inSync)
      await askServer(master, 'FLUSHALL')
      await until(inSync)
    },
  }
}
