/**
 * The pipeline in processes of its own, as `pnpm start` runs it: a private Redis (or a Cluster on loopback), the gateway's main,
 * the consumer's main.
 * Configuration is the default but for the rate limits, which stay on (they cost what they cost) and out of reach.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { systemClock } from '@weir/core/clock'
import { loadConfig } from '@weir/core/config/load'
import { keysOf, redisSettings } from '@weir/core/config/parts'
import type { Config } from '@weir/core/config/schema'
import type { PartitionKeys } from '@weir/core/keys'
import type { Partition } from '@weir/core/partition'
import { connectRedis, type RedisLink } from '@weir/core/redis/link'
import { type Ledger, readLedger, sumLedgers } from '@weir/core/stream/ledger'
import { GATEWAY_NODE_OPTIONS } from '../scripts/node-options.ts'
import { type RedisServer, startRedis } from '../scripts/private-redis.ts'
import { describeExit, endChild, spawnTied } from '../scripts/tied-child.ts'
import { startCluster } from '../tests/support/cluster.ts'
import { createFleet } from '../tests/support/fleet.ts'
import { cpuOfProcess } from './machine.ts'

export const SECRET = 'benchmark-secret'

/** How long an app may take until it listens, ms. */
const START_TIMEOUT_MS = 30_000
/** How long an app may take to stop, ms. */
const STOP_GRACE_MS = 30_000
const POLL_MS = 20
const NODE_TIMEOUT_MS = 30_000

/** Pause between two sweeps: short, so that a sweep begins when it is wanted. */
const CURATOR_INTERVAL = '1s'

export interface App {
  readonly pid: number
  /** Port of its HTTP server: the gateway's own, the consumer's operations port. */
  readonly port: number
  /** CPU used so far, seconds. */
  cpu(): number
  /** Sum of all samples of a metric; 0 when there is none. */
  metric(name: string): Promise<number>
  /** All samples: name with labels → value. */
  metrics(): Promise<ReadonlyMap<string, number>>
  stop(): Promise<void>
}

export interface World {
  /** Where there are several: that of partition 0 or any other. */
  readonly redis: RedisServer
  readonly version: string
  readonly config: Config
  /** Of partition 0, the only one where there is no Cluster. */
  readonly keys: PartitionKeys
  readonly link: RedisLink
  /** CPU that Redis has used so far, all threads of all servers, seconds. */
  redisCpu(): number
  /** What the data of partition 0's server takes, bytes: `used_memory` without the buffers of clients and of the append-only file. */
  usedMemory(): Promise<number>
  /** Of all partitions. */
  ledger(): Promise<Ledger>
  /** Resolves when everything accepted is settled; throws when that takes longer than `timeoutMs`. */
  untilSettled(timeoutMs: number): Promise<Ledger>
  startGateway(): Promise<App>
  /** @param handlers path of a handler module; none = events that nobody wants */
  startConsumer(handlers?: string, env?: Readonly<Record<string, string>>): Promise<App>
  startCurator(env?: Readonly<Record<string, string>>): Promise<App>
  /** Ends everything, in the order of `start`. */
  stop(): Promise<void>
}

export interface WorldOptions {
  readonly appendfsync: 'always' | 'everysec' | 'no'
  /** More options of the Redis server. */
  readonly redisArgs?: readonly string[]
  /** Default: one server, which is no Cluster. */
  readonly cluster?: { readonly masters: number; readonly partitions: number }
}

/** The servers, and what the apps are told of them. */
interface Topology {
  readonly servers: readonly RedisServer[]
  readonly env: Readonly<Record<string, string>>
  stop(): Promise<void>
}

export async function startWorld(options: WorldOptions): Promise<World> {
  const topology = await startServers(options)
  const directory = mkdtempSync(join(tmpdir(), 'weir-bench-'))
  try {
    return await worldWith(topology, directory)
  } catch (error) {
    await topology.stop()
    rmSync(directory, { recursive: true, force: true })
    throw error
  }
}

async function startServers({ appendfsync, redisArgs = [], cluster }: WorldOptions): Promise<Topology> {
  if (cluster === undefined) {
    const server = await startRedis({ appendfsync, args: redisArgs })
    return { servers: [server], env: { REDIS_URL: server.url }, stop: server.stop }
  }
  const fleet = createFleet()
  try {
    const { nodes, seeds } = await startCluster(fleet, {
      masters: cluster.masters,
      appendfsync,
      args: redisArgs,
      // A node that is kept from its core for a second is busy, not dead.
      nodeTimeoutMs: NODE_TIMEOUT_MS,
    })
    const env = {
      REDIS_CLUSTER_ENABLED: 'true',
      REDIS_ADDRESSES: seeds.join(','),
      REDIS_PARTITIONS: String(cluster.partitions),
    }
    return { servers: nodes, env, stop: fleet.stop }
  } catch (error) {
    await fleet.stop()
    throw error
  }
}

async function worldWith(topology: Topology, directory: string): Promise<World> {
  const apps: App[] = []
  const configText = (handlers?: string) =>
    JSON.stringify({
      webhook: {
        ingest: { host: '127.0.0.1', port: 0 },
        consumer: { ops_port: 0, ...(handlers === undefined ? {} : { handlers }) },
        context_lifecycle: { curator: { ops_port: 0, interval: CURATOR_INTERVAL } },
        security: { global_rate_limit: 1e7, per_tool_rate_limits: { github: 1e7 } },
      },
    })
  const env = {
    PATH: process.env.PATH ?? '',
    // Contexts are a part of what is measured, unless they are switched off.
    CONTEXTS_ENABLED: process.env.CONTEXTS_ENABLED ?? 'true',
    ...topology.env,
    WEIR_DATA_DIR: join(directory, 'data'),
    GITHUB_WEBHOOK_SECRET: SECRET,
  }
  const { config } = await loadConfig({ text: configText(), env })
  const partitions = Array.from({ length: config.webhook.redis.partitions }, (_, number): Partition => {
    const keys = keysOf(config, number)
    return {
      keys,
      link: connectRedis({ ...redisSettings(config, keys, 'bench'), commandTimeoutMs: 60_000 }),
    }
  })
  await Promise.all(partitions.map(({ link }) => link.ready()))
  const { keys, link } = partitions[0]!
  const info = async (section: string) => String(await link.call('INFO', section))

  const start = async (main: string, handlers?: string, more = {}) => {
    const file = join(directory, `${main}.yaml`)
    writeFileSync(file, configText(handlers)) // JSON is YAML
    const app = await startApp(main, { ...env, ...more, CONFIG_FILE: file })
    apps.push(app)
    return app
  }
  const world: World = {
    redis: topology.servers[0]!,
    version: /redis_version:(\S+)/.exec(await info('server'))?.[1] ?? 'unknown',
    config,
    keys,
    link,
    redisCpu: () => topology.servers.reduce((sum, { pid }) => sum + cpuOfProcess(pid), 0),
    async usedMemory() {
      const memory = await info('memory')
      const bytes = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(memory)?.[1] ?? 0)
      return bytes('used_memory') - bytes('mem_clients_normal') - bytes('mem_aof_buffer')
    },
    async ledger() {
      const readings = await Promise.all(partitions.map((each) => readLedger(each.link, each.keys)))
      return sumLedgers(readings.map(({ ledger }) => ledger))
    },
    async untilSettled(timeoutMs) {
      const deadline = performance.now() + timeoutMs
      for (;;) {
        const ledger = await world.ledger()
        if (ledger.settled === ledger.accepted && ledger.spooled === 0) return ledger
        if (performance.now() > deadline)
          throw new Error(`not settled after ${timeoutMs} ms: ${JSON.stringify(ledger)}`)
        await systemClock.wait(POLL_MS)
      }
    },
    startGateway: () => start('ingest'),
    startConsumer: (handlers, more) => start('consumer', handlers, more),
    startCurator: (more) => start('curator', undefined, more),
    async stop() {
      for (const app of apps) await app.stop()
      await Promise.all(partitions.map((each) => each.link.close()))
      await topology.stop()
      rmSync(directory, { recursive: true, force: true })
    },
  }
  return world
}

/** Starts an app's main and waits for its word that it listens. */
async function startApp(name: string, env: Readonly<Record<string, string>>): Promise<App> {
  const main = fileURLToPath(new URL(`../apps/${name}/src/main.ts`, import.meta.url))
  const child = spawnTied(process.execPath, [...(name === 'ingest' ? GATEWAY_NODE_OPTIONS : []), main], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
    deathSignal: 'SIGKILL',
  })
  const started = new AbortController()
  const port = await Promise.race([
    portOf(child.process),
    child.exit.then((exit) => `ended before it listened (${describeExit(exit)})`),
    systemClock.wait(START_TIMEOUT_MS, started.signal).then(() => 'does not listen'),
  ])
  started.abort()
  if (typeof port === 'string') throw new Error(`${name} ${port}`)
  const pid = child.process.pid!
  const metrics = async () => samplesOf(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text())
  return {
    pid,
    port,
    cpu: () => cpuOfProcess(pid),
    metrics,
    async metric(wanted) {
      let sum = 0
      for (const [sample, value] of await metrics()) {
        if (sample === wanted || sample.startsWith(`${wanted}{`)) sum += value
      }
      return sum
    },
    async stop() {
      await endChild(child, STOP_GRACE_MS)
    },
  }
}

/** Its log is read to the end: a full pipe would stop the app. */
function portOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      if (!line.startsWith('{')) return
      const { msg, port } = JSON.parse(line) as { msg?: string; port?: number }
      if (msg === 'listening' && port !== undefined) resolve(port)
    })
  })
}

function samplesOf(text: string): ReadonlyMap<string, number> {
  const samples = new Map<string, number>()
  for (const line of text.split('\n')) {
    const space = line.lastIndexOf(' ')
    if (space > 0 && !line.startsWith('#')) samples.set(line.slice(0, space), Number(line.slice(space + 1)))
  }
  return samples
}
