/**
 * A private Redis server: its own port on 127.0.0.1, its own data directory, every write fsynced (appendfsync
 * always) and nothing evicted. For `pnpm start` without a Redis setting, for the demo, tests and benchmarks.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
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
const READY = /Ready to accept connections|Sentinel ID is/
/** Written into the data directory when the server has `config`. */
const CONFIG_FILE = 'redis.conf'

/** PEM files of a server that speaks TLS and asks every client for a certificate of the same authority. */
export interface ServerTls {
  readonly caFile: string
  readonly certFile: string
  readonly keyFile: string
}

export interface RedisServerOptions {
  /** `sentinel`: the same program as a Sentinel, which needs its `config`. Default: `server`. */
  readonly kind?: 'server' | 'sentinel'
  /** Data directory, kept at stop. Default: a temporary one, deleted at stop. */
  readonly directory?: string
  /** TCP port; 0 (default) = a free one. */
  readonly port?: number
  /** More server options, e.g. ['--maxmemory', '8mb']. They win over the defaults. */
  readonly args?: readonly string[]
  /**
   * Lines of a configuration file that the server may rewrite (a Sentinel does so, and has its servers do so); a restart
   * finds what was rewritten. `args` and the defaults win over it. Default: no file.
   */
  readonly config?: readonly string[]
  /** TLS 1.3 only, no plain port. Default: plain. */
  readonly tls?: ServerTls
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
  /** True between SIGSTOP and SIGCONT: it holds its port and answers nothing. */
  readonly paused: boolean
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
  let paused = false
  try {
    writeConfig(directory, options)
    const first = await launchOnFreePort(options.port ?? 0, launch)
    port = first.port
    child = first.child
  } catch (error) {
    if (temporary) rmSync(directory, { recursive: true, force: true })
    throw error
  }

  return {
    url: `${options.tls ? 'rediss' : 'redis'}://127.0.0.1:${port}`,
    port,
    directory,
    get pid() {
      return pidOf(child)
    },
    get running() {
      return isRunning(child)
    },
    get paused() {
      return paused && isRunning(child)
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
      if (signal === 'SIGSTOP' || signal === 'SIGCONT') paused = signal === 'SIGSTOP'
      child.process.kill(signal)
      if (signal === 'SIGKILL' || signal === 'SIGTERM') await child.exit
    },
    async restart(signal = 'SIGTERM') {
      if (stopped) throw new Fault('REDIS_UNAVAILABLE', 'this Redis server was stopped for good')
      if (signal === 'SIGKILL') child.process.kill('SIGKILL')
      await endChild(child, STOP_GRACE_MS)
      paused = false
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
  const child = spawnTied(binary, commandLine(port, directory, options), {
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

/** Configuration file first, then the defaults, then the caller's own arguments: the last one wins. */
function commandLine(port: number, directory: string, options: RedisServerOptions): string[] {
  const sentinel = options.kind === 'sentinel'
  const settings = {
    ...(options.tls ? tlsSettings(port, options.tls) : { port: String(port) }),
    bind: '127.0.0.1',
    'protected-mode': 'yes',
    daemonize: 'no',
    dir: directory,
    logfile: '',
    // A Sentinel has no data and refuses their settings.
    ...(sentinel
      ? {}
      : {
          save: '',
          appendonly: 'yes',
          appendfsync: options.appendfsync ?? 'always',
          'maxmemory-policy': 'noeviction',
        }),
  }
  return [
    ...(options.config ? [join(directory, CONFIG_FILE)] : []),
    ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    ...(options.args ?? []),
    ...(sentinel ? ['--sentinel'] : []),
  ]
}

function tlsSettings(port: number, tls: ServerTls): Record<string, string> {
  return {
    port: '0',
    'tls-port': String(port),
    'tls-ca-cert-file': tls.caFile,
    'tls-cert-file': tls.certFile,
    'tls-key-file': tls.keyFile,
    'tls-auth-clients': 'yes',
    'tls-protocols': 'TLSv1.3',
    'tls-replication': 'yes',
  }
}

/** A file that is there already was rewritten by the server: it knows better. */
function writeConfig(directory: string, { config }: RedisServerOptions): void {
  const file = join(directory, CONFIG_FILE)
  if (config && !existsSync(file))
    writeFileSync(file, config.map((line) => `${line}\n`).join(''), { mode: 0o600 })
}

/** Resolves when all output has been read: 'exit' may come before the last lines. */
async function drained(child: TiedChild): Promise<void> {
  const { stdout, stderr } = child.process
  const open = [stdout, stderr].filter((stream) => stream !== null && !stream.closed)
  await Promise.all(open.map((stream) => new Promise((resolve) => stream?.once('close', resolve))))
}

function isRunning(child: TiedChild): boolean {
  return child.process.exitCode === null && child.process.signalCode === null
}

function pidOf(child: TiedChild): number {
  const { pid } = child.process
  if (pid === undefined) throw new Fault('REDIS_UNAVAILABLE', 'the Redis server has no process')
  return pid
}
