/** The processes under tests/support/sentinel.ts: how a data server and a Sentinel are configured and started. */
import {
  type RedisServer,
  type RedisServerOptions,
  type ServerTls,
  startRedis,
} from '../../scripts/private-redis.ts'
import type { BracketOptions } from './fleet.ts'

export interface SentinelOptions extends BracketOptions {
  /** Default: 2. */
  readonly replicas?: number
  /** Default: 3. */
  readonly sentinels?: number
  /** Sentinels that must think the master dead. Default: 2, or 1 of 1. */
  readonly quorum?: number
  /** Default: weir-master. */
  readonly masterName?: string
  /** Silence after which a Sentinel thinks a server dead, ms. Default: 1,000; with less a busy machine fails over by itself. */
  readonly downAfterMs?: number
  /** ms. Default: 3,000. */
  readonly failoverTimeoutMs?: number
  /** When the append-only files are fsynced. Default: always. */
  readonly appendfsync?: 'always' | 'everysec' | 'no'
  /** Replicas that must have answered within `minReplicasMaxLagS`, else the master refuses writes. Default: 0 = off. */
  readonly minReplicasToWrite?: number
  /** Seconds. Default: 2; a replica answers once a second. */
  readonly minReplicasMaxLagS?: number
  /** Password of the default user of the data servers. Default: none. */
  readonly password?: string
  /** Password of the Sentinels themselves. Default: none. */
  readonly sentinelPassword?: string
  /** ACL users of the data servers, e.g. 'weir on >secret ~* &* +@all -eval'. */
  readonly users?: readonly string[]
  /** Servers and Sentinels speak TLS only; with `client` the bracket itself gets in (`access`). */
  readonly tls?: { readonly server: ServerTls; readonly client: ServerTls }
  /** More options of the data servers, e.g. ['--maxmemory', '8mb']. */
  readonly args?: readonly string[]
  /** Receives every line of every log, after the name of the server: `server 1`, `sentinel 0`. */
  readonly onLog?: (name: string, line: string) => void
}

/**
 * SENTINEL DEBUG, ms: the real ones are 10 s, 1 s, 2 s, 1 s and 30 s. During a failover a replica counts only when its
 * INFO is younger than 5 × ping-period, and INFO is then asked once a second: with 100 ms no replica was good enough.
 */
const QUICK_CLOCKS = {
  'info-period': 200,
  'ping-period': 300,
  'publish-period': 200,
  'ask-period': 100,
  'tilt-period': 1_000,
}

/** A master, or a replica of the one on `masterPort`. */
export function startDataServer(
  options: SentinelOptions,
  name: string,
  masterPort?: number,
): Promise<RedisServer> {
  const { password, users = [], minReplicasToWrite = 0, minReplicasMaxLagS = 2 } = options
  return startRedis({
    ...common(options, name),
    ...(options.appendfsync ? { appendfsync: options.appendfsync } : {}),
    config: [
      'repl-diskless-sync-delay 0',
      'repl-ping-replica-period 1',
      `min-replicas-to-write ${minReplicasToWrite}`,
      `min-replicas-max-lag ${minReplicasMaxLagS}`,
      ...(password === undefined ? [] : [`requirepass "${password}"`, `masterauth "${password}"`]),
      ...users.map((user) => `user ${user}`),
      ...(masterPort === undefined ? [] : [`replicaof 127.0.0.1 ${masterPort}`]),
    ],
    args: options.args ?? [],
  })
}

/** A Sentinel that watches the master on `masterPort`; its clocks are quick after every (re)start. */
export async function startSentinelServer(
  options: SentinelOptions & { readonly masterName: string },
  name: string,
  masterPort: number,
  ask: (server: RedisServer, command: string, ...args: (string | number)[]) => Promise<unknown>,
): Promise<RedisServer> {
  const { masterName, sentinels = 3, replicas = 2, password, sentinelPassword } = options
  const server = await startRedis({
    ...common(options, name),
    kind: 'sentinel',
    config: [
      `sentinel monitor ${masterName} 127.0.0.1 ${masterPort} ${options.quorum ?? Math.min(2, sentinels)}`,
      `sentinel down-after-milliseconds ${masterName} ${options.downAfterMs ?? 1_000}`,
      `sentinel failover-timeout ${masterName} ${options.failoverTimeoutMs ?? 3_000}`,
      `sentinel parallel-syncs ${masterName} ${Math.max(1, replicas)}`,
      ...(password === undefined ? [] : [`sentinel auth-pass ${masterName} "${password}"`]),
      ...(sentinelPassword === undefined
        ? []
        : [`requirepass "${sentinelPassword}"`, `sentinel sentinel-pass "${sentinelPassword}"`]),
    ],
  })
  // Not kept in its file.
  const quicken = () => ask(server, 'SENTINEL', 'DEBUG', ...Object.entries(QUICK_CLOCKS).flat())
  try {
    await quicken()
  } catch (error) {
    await server.stop()
    throw error
  }
  const restart: RedisServer['restart'] = async (signal) => {
    await server.restart(signal)
    await quicken()
  }
  return Object.create(server, { restart: { value: restart } })
}

function common({ tls, onLog }: SentinelOptions, name: string): RedisServerOptions {
  return {
    ...(tls ? { tls: tls.server } : {}),
    ...(onLog ? { onLog: (line: string) => onLog(name, line) } : {}),
  }
}
