/**
 * A private Redis server: its own port on 127.0.0.1, its own data directory, every write fsynced (appendfsync
 * always) and nothing evicted. For `pnpm start` without a Redis setting, for the demo, tests and benchmarks.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Fault } from '@weir/core/faults'
import { freePort } from './free-port.ts'
import { ensureRedisBinary } from './redis-binary.ts'
import { describeExit, type Exit, endChild, spawnTied, type TiedChild } from './tied-child.ts'

/** How long loading an existing append-only file may take, ms. A million packed events load in a few seconds. */
const READY_TIMEOUT_MS = 60_000
/** How long a clean SHUTDOWN may take before SIGKILL, ms. Nothing is lost by the latter: every write is fsynced. */
const STOP_GRACE_MS = 10_000
/** Attempts at finding a port that nobody takes between the search and the bind. */
const PORT_ATTEMPTS = 8
/** Last log lines kept for the message of a failed start. */
const KEPT_LINES = 20

const PORT_TAKEN = /bind: Address already in use/
const READY = /Ready to accept connections/

export interface RedisServerOptions {
  /** Data directory, kept at stop. Default: a temporary one, deleted at stop. */
  readonly directory?: string
  /** TCP port; 0 (default) = a free one. */
  readonly port?: number
  /** More server options, e.g. ['--maxmemory', '8mb']. They win over the defaults. */
  readonly args?: readonly string[]
  /** When the append-only file is fsynced. Default: always. */
  readonly appendfsync?: 'always' | 'everysec' | 'no'
  /** The server program. Default: redis-server or valkey-server from PATH, installed if need be and possible. */
  readonly binary?: string
  /** Receives every line of the server's log. */
  readonly onLog?: (line: string) => void
}

export interface RedisServer {
  readonly url: string
  readonly port: number
  readonly directory: string
  /** Process id of the server that runs now, or of the last one. */
  readonly pid: number
  /** False once the server process has ended, until it is restarted. */
  readonly running: boolean
  /** Resolves when the server that runs now ends, for whatever reason. */
  readonly exit: Promise<Exit>
  /** Ends it (SIGTERM; SIGKILL where the data is temporary) and removes temporary data. Harmless when repeated. */
  stop(): Promise<void>
  /** Sends a signal. Resolves at once for SIGSTOP and SIGCONT, else when the process has ended. */
  kill(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void>
  /** Ends it if it still runs (`signal`, default SIGTERM) and starts it with the same port and data. */
  restart(signal?: 'SIGKILL' | 'SIGTERM'): Promise<void>
}

/**
 * Starts a server and resolves when it accepts connections.
 * Throws a Fault (REDIS_UNAVAILABLE) with the end of the server's log when it does not come up.
 */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const binary = options.binary ?? ensureRedisBinary()
  const temporary = options.directory === undefined
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'weir-redis-'))
  mkdirSync(directory, { recursive: true })
  const launch = (port: number) => launchServer(binary, port, directory, temporary, options)

  let port = 0
  let child: TiedChild
  let stopped = false
  try {
    const first = await launchOnFreePort(options.port ?? 0, launch)
    port = first.port
    child = first.child
  } catch (error) {
    if (temporary) rmSync(directory, { recursive: true, force: true })
    throw error
  }

  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    directory,
    get pid() {
      return pidOf(child)
    },
    get running() {
      return child.process.exitCode === null && child.process.signalCode === null
    },
    get exit() {
      return child.exit
    },
    async stop() {
      if (stopped) return
      stopped = true
      if (temporary) child.process.kill('SIGKILL')
      await endChild(child, STOP_GRACE_MS)
      if (temporary) rmSync(directory, { recursive: true, force: true })
    },
    async kill(signal) {
      child.process.kill(signal)
      if (signal === 'SIGKILL' || signal === 'SIGTERM') await child.exit
    },
    async restart(signal = 'SIGTERM') {
      if (stopped) throw new Fault('REDIS_UNAVAILABLE', 'this Redis server was stopped for good')
      if (signal === 'SIGKILL') child.process.kill('SIGKILL')
      await endChild(child, STOP_GRACE_MS)
      child = (await launchOnFreePort(port, launch)).child
    },
  }
}

type Launched = { readonly kind: 'ready'; readonly child: TiedChild } | { readonly kind: 'port-taken' }

/** `wanted` 0: any free port. A wanted port may be held for a moment by a connection that passes: try again too. */
async function launchOnFreePort(
  wanted: number,
  launch: (port: number) => Promise<Launched>,
): Promise<{ port: number; child: TiedChild }> {
  let port = wanted
  for (let attempt = 0; attempt < PORT_ATTEMPTS; attempt += 1) {
    port = wanted === 0 ? await freePort() : wanted
    const launched = await launch(port)
    if (launched.kind === 'ready') return { port, child: launched.child }
  }
  throw new Fault('REDIS_UNAVAILABLE', `port ${port} is taken: the private Redis cannot listen on it`)
}

/** Starts the server once and waits for its own word that it is ready. */
async function launchServer(
  binary: string,
  port: number,
  directory: string,
  temporary: boolean,
  options: RedisServerOptions,
): Promise<Launched> {
  const settings = {
    port: String(port),
    bind: '127.0.0.1',
    'protected-mode': 'yes',
    daemonize: 'no',
    dir: directory,
    logfile: '',
    save: '',
    appendonly: 'yes',
    appendfsync: options.appendfsync ?? 'always',
    'maxmemory-policy': 'noeviction',
  }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
  const child = spawnTied(binary, [...args, ...(options.args ?? [])], {
    stdio: ['ignore', 'pipe', 'pipe'],
    deathSignal: temporary ? 'SIGKILL' : 'SIGTERM',
  })
  const lines: string[] = []
  let timer: NodeJS.Timeout | undefined
  const ready = new Promise<'ready' | 'slow'>((resolve) => {
    timer = setTimeout(() => resolve('slow'), READY_TIMEOUT_MS)
    for (const stream of [child.process.stdout, child.process.stderr]) {
      if (!stream) continue
      createInterface({ input: stream }).on('line', (line) => {
        options.onLog?.(line)
        lines.push(line)
        if (lines.length > KEPT_LINES) lines.shift()
        if (READY.test(line)) resolve('ready')
      })
    }
  })
  const outcome = await Promise.race([ready, child.exit])
  clearTimeout(timer)
  if (outcome === 'ready') return { kind: 'ready', child }
  await endChild(child, 0)
  if (outcome !== 'slow') await drained(child)
  if (lines.some((line) => PORT_TAKEN.test(line))) return { kind: 'port-taken' }
  const why = outcome === 'slow' ? `not ready after ${READY_TIMEOUT_MS / 1000} s` : describeExit(outcome)
  throw new Fault('REDIS_UNAVAILABLE', `the private Redis did not start (${why}):\n${lines.join('\n')}`)
}

/** Resolves when all output has been read: 'exit' may come before the last lines. */
async function drained(child: TiedChild): Promise<void> {
  const { stdout, stderr } = child.process
  const open = [stdout, stderr].filter((stream) => stream !== null && !stream.closed)
  await Promise.all(open.map((stream) => new Promise((resolve) => stream?.once('close', resolve))))
}

function pidOf(child: TiedChild): number {
  const { pid } = child.process
  if (pid === undefined) throw new Fault('REDIS_UNAVAILABLE', 'the Redis server has no process')
  return pid
}
