/**
 * A real Redis under real Sentinels, for tests of failovers: a master, its replicas and the Sentinels, all on loopback.
 *
 *   await withSentinel(async (sentinel) => {
 *     const old = await sentinel.master()
 *     await old.kill('SIGKILL')
 *     const promoted = await sentinel.untilMasterIsNot(old)
 *     await old.restart()                    // comes back believing that it is the master; the Sentinels demote it
 *     await sentinel.untilReplicasInSync()
 *   })
 *
 * It starts in half a second. Its clocks are quick (SENTINEL DEBUG, Redis 7.0): a dead master is replaced in two to
 * three seconds, a healthy one (`failover`) in one, a returned one is demoted in one. The data servers have a configuration
 * file that the Sentinels rewrite, as on a real machine: a demoted master that is restarted stays a replica.
 */
import type { Redis } from 'ioredis'
import type { RedisServer, ServerTls } from '../../scripts/private-redis.ts'
import { ask, type ClientOptions, type RedisAccess, type RedisWord } from './access.ts'
import { type Fleet, isAwake, type Topology, until, withTopology } from './fleet.ts'
import { type SentinelOptions, startDataServer, startSentinelServer } from './sentinel-servers.ts'

export type { SentinelOptions } from './sentinel-servers.ts'

export interface SentinelTopology {
  readonly masterName: string
  /** The Sentinels as `127.0.0.1:port`. */
  readonly addresses: readonly string[]
  /** How to get at the data servers, as the default user. */
  readonly access: RedisAccess
  /** How to get at the Sentinels. */
  readonly sentinelAccess: RedisAccess
  readonly sentinels: readonly RedisServer[]
  /** The data servers; the first one was the first master. */
  readonly servers: readonly RedisServer[]
  /** Waits until all Sentinels that run name the same master, and that one thinks so too. */
  master(): Promise<RedisServer>
  /** All other data servers, whatever state they are in. */
  replicas(): Promise<RedisServer[]>
  /** SENTINEL FAILOVER: a healthy master is replaced. Resolves with the new one when the Sentinels agree. */
  failover(): Promise<RedisServer>
  untilMasterIs(server: RedisServer): Promise<void>
  /** Resolves with the new master, once all Sentinels that run agree on it. */
  untilMasterIsNot(server: RedisServer): Promise<RedisServer>
  /** Every replica that runs is linked to the agreed master and has all that the master had when asked. */
  untilReplicasInSync(): Promise<void>
  /** One command on a connection of its own, as the default user. */
  ask(server: RedisServer, command: string, ...args: RedisWord[]): Promise<unknown>
  /** One command to a Sentinel on a connection of its own. */
  askSentinel(sentinel: RedisServer, command: string, ...args: RedisWord[]): Promise<unknown>
  /** A connection to one data server, closed at the end. */
  client(server: RedisServer, options?: ClientOptions): Redis
}

/** Runs `use` with a fresh topology and ends all of it, whatever happens; fails when connections are left open. */
export function withSentinel<T>(
  use: (sentinel: SentinelTopology) => Promise<T>,
  options: SentinelOptions = {},
): Promise<T> {
  return withTopology((fleet: Fleet) => startSentinel(fleet, options), use, options)
}

/** Starts one and resolves when all agree. */
export async function startSentinel(
  fleet: Fleet,
  options: SentinelOptions,
): Promise<SentinelTopology & Topology> {
  const { masterName = 'weir-master' } = options
  const access = accessOf(options.password, options.tls?.client)
  const sentinelAccess = accessOf(options.sentinelPassword, options.tls?.client)
  const askServer = (server: RedisServer, command: string, ...args: RedisWord[]) =>
    ask({ port: server.port, access }, command, ...args)
  const askSentinel = (server: RedisServer, command: string, ...args: RedisWord[]) =>
    ask({ port: server.port, access: sentinelAccess }, command, ...args)

  const numbered = (count: number) => Array.from({ length: count }, (_, index) => index)
  const [first] = await fleet.launch(access, [startDataServer(options, 'server 0')])
  if (!first) throw new Error('the first master did not start')
  const servers = [
    first,
    ...(await fleet.launch(
      access,
      numbered(options.replicas ?? 2).map((n) => startDataServer(options, `server ${n + 1}`, first.port)),
    )),
  ]
  const sentinels = await fleet.launch(
    sentinelAccess,
    numbered(options.sentinels ?? 3).map((n) =>
      startSentinelServer({ ...options, masterName }, `sentinel ${n}`, first.port, askSentinel),
    ),
  )

  /** These checks throw, saying what is not so yet; `until` repeats them. */
  const agreedMaster = async (): Promise<RedisServer> => {
    const words = await Promise.all(
      sentinels
        .filter(isAwake)
        .map((sentinel) => askSentinel(sentinel, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', masterName)),
    )
    const ports = new Set(words.map((word) => (Array.isArray(word) ? Number(word[1]) : 0)))
    const [port] = ports
    const master = servers.find((server) => server.port === port)
    if (ports.size !== 1 || !master)
      throw new Error(`the Sentinels name ${[...ports].join(', ') || 'nobody'} as the master`)
    const { role } = await roleOf(master)
    if (role !== 'master') throw new Error(`${master.port}, named by the Sentinels, is a ${role}`)
    return master
  }
  const roleOf = async (server: RedisServer) => {
    const reply = await askServer(server, 'ROLE')
    if (!Array.isArray(reply)) throw new Error('ROLE answered with something else')
    const [role, ...rest] = reply
    if (role === 'master') return { role, offset: Number(rest[0]) } as const
    return { role, masterPort: Number(rest[1]), link: String(rest[2]), offset: Number(rest[3]) } as const
  }
  const inSync = async () => {
    const master = await agreedMaster()
    const { offset } = await roleOf(master)
    for (const replica of servers.filter(isAwake)) {
      if (replica === master) continue
      const seen = await roleOf(replica)
      const { port } = replica
      if (seen.role === 'master') throw new Error(`${port} thinks that it is the master too`)
      if (seen.masterPort !== master.port) throw new Error(`${port} is a replica of ${seen.masterPort}`)
      if (seen.link !== 'connected' || seen.offset < offset)
        throw new Error(`${port} is ${seen.link}, at ${seen.offset} of ${offset}`)
    }
  }
  /** Every Sentinel knows the other ones, and every replica as healthy: before that a failover can be refused. */
  const acquainted = async () => {
    const others = sentinels.filter(isAwake).length - 1
    const replicas = servers.filter(isAwake).length - 1
    for (const sentinel of sentinels.filter(isAwake)) {
      const master = fields(await askSentinel(sentinel, 'SENTINEL', 'MASTER', masterName))
      if (master.flags !== 'master') throw new Error(`Sentinel ${sentinel.port} sees a ${master.flags}`)
      if (Number(master['num-other-sentinels']) < others)
        throw new Error(`Sentinel ${sentinel.port} knows ${master['num-other-sentinels']} others`)
      const known = await askSentinel(sentinel, 'SENTINEL', 'REPLICAS', masterName)
      const healthy = (Array.isArray(known) ? known : [])
        .map(fields)
        .filter((replica) => replica.flags === 'slave' && replica['master-link-status'] === 'ok')
      if (healthy.length < replicas)
        throw new Error(`Sentinel ${sentinel.port} knows ${healthy.length} healthy replicas`)
    }
  }
  const settled = async () => {
    await inSync()
    await acquainted()
  }
  const untilMasterIsNot = (server: RedisServer) =>
    until(async () => {
      const master = await agreedMaster()
      if (master === server) throw new Error(`the master is still ${server.port}`)
      return master
    })

  await until(settled)
  return {
    fleet,
    masterName,
    addresses: sentinels.map((sentinel) => `127.0.0.1:${sentinel.port}`),
    access,
    sentinelAccess,
    sentinels,
    servers,
    master: () => until(agreedMaster),
    async replicas() {
      const master = await until(agreedMaster)
      return servers.filter((server) => server !== master)
    },
    async failover() {
      const old = await until(agreedMaster)
      return until(async () => {
        const master = await agreedMaster()
        if (master !== old) return master
        const sentinel = sentinels.find(isAwake)
        if (!sentinel) throw new Error('no Sentinel runs')
        // Refused (NOGOODSLAVE, INPROG) while no replica is healthy or a failover is under way; asked again, since the
        // Sentinel gives one up of which nothing comes in time.
        await askSentinel(sentinel, 'SENTINEL', 'FAILOVER', masterName)
        throw new Error(`the master is still ${old.port}`)
      })
    },
    untilMasterIs: (server) =>
      until(async () => {
        const master = await agreedMaster()
        if (master !== server) throw new Error(`the master is ${master.port}`)
      }),
    untilMasterIsNot,
    untilReplicasInSync: () => until(inSync),
    ask: askServer,
    askSentinel,
    client: (server, clientOptions) => fleet.client(server, access, clientOptions),
    async heal() {
      await fleet.wake([...servers, ...sentinels])
      await until(settled)
      await askServer(await until(agreedMaster), 'FLUSHALL')
      await until(inSync)
    },
  }
}

function accessOf(password: string | undefined, tls: ServerTls | undefined): RedisAccess {
  return { ...(password === undefined ? {} : { password }), ...(tls === undefined ? {} : { tls }) }
}

/** A flat reply [name, value, name, value, …] as an object. */
function fields(reply: unknown): Record<string, string> {
  const flat = Array.isArray(reply) ? reply.map(String) : []
  return Object.fromEntries(flat.flatMap((name, index) => (index % 2 ? [] : [[name, flat[index + 1] ?? '']])))
}
