/**
 * A connection to Redis whose every answer is one of three: the reply, a fault that says nothing happened, or
 * REDIS_UNAVAILABLE, which says that nobody knows.
 *
 * What ioredis would do by itself is switched off, because each of these doubled or delayed events when measured:
 * re-sending unanswered commands after a reconnect (one XADD made two entries), queueing while offline (45 s and
 * more), waiting without a limit. Commands in flight when the connection closes are rejected at once.
 */
import { type RedisOptions as AllOptions, Redis } from 'ioredis'
import { Fault, messageOf } from '../faults.ts'
import { clusterSlot } from './cluster-slot.ts'
import { createScriptCommands } from './command.ts'
import { createDiverter, type ReplySink } from './divert.ts'
import { explained } from './explain.ts'
import { type MasterFinder, masterConnector, type NodeOptions } from './master-connector.ts'
import type { RedisPlace } from './place.ts'
import { begunInPlace, type RedisArg, type Script } from './script.ts'
import { sentinelMaster } from './sentinel-master.ts'
import { ServerConnector } from './streams.ts'
import { type TlsFiles, tlsOptions } from './tls.ts'

export type { RedisArg } from './script.ts'
export type RedisReply = null | number | string | Buffer | RedisReply[]

/** Where to connect to, and how. */
export type RedisSettings = RedisPlace & ConnectionSettings

export interface ConnectionSettings {
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** undefined = plain TCP, or what a rediss:// URL says. */
  readonly tls?: TlsFiles | undefined
  /** ms until an unanswered command counts as unknown. */
  readonly commandTimeoutMs: number
  readonly connectTimeoutMs: number
  /** Upper end of the reconnect backoff, ms. */
  readonly reconnectMaxDelayMs: number
  /** Shown by CLIENT LIST. */
  readonly name: string
}

export interface RedisLink {
  /** True between "ready" and "close". */
  readonly connected: boolean
  /** Number of the connection: another one after every (re)connect. */
  readonly epoch: number
  /** `host:port` of the server that this connection goes to, '' when there is none. */
  readonly peer: string
  /** One command; bulk strings arrive as Buffers. */
  call(command: string, ...args: RedisArg[]): Promise<RedisReply>
  /** One script by its SHA-1; sent whole when the server does not know it (restart, SCRIPT FLUSH). */
  run(script: Script, keys: readonly string[], args: readonly RedisArg[]): Promise<RedisReply>
  /**
   * One command whose reply, a list, goes to the sink as it comes (see divert.ts); false when the reply was null.
   * No other command may be under way on this link.
   */
  pour(sink: ReplySink, command: string, ...args: RedisArg[]): Promise<boolean>
  /** Called after every (re)connect; returns the function that removes the listener. */
  onConnect(listener: () => void): () => void
  onDisconnect(listener: () => void): () => void
  /** Resolves when connected; rejects Fault REDIS_UNAVAILABLE when the signal aborts first. */
  ready(signal?: AbortSignal): Promise<void>
  /** Drops the connection as a failed network would and connects anew. */
  reconnect(): void
  close(): Promise<void>
}

export interface LinkOptions {
  /** A link for blocking reads has no command time-out of its own; its caller watches the clock. */
  readonly blocking?: boolean
  /** Told about every connection error; ioredis would otherwise print them. */
  readonly onError?: (error: Error) => void
}

/** Without those of RESP3, whose replies have other shapes. */
type RedisOptions = Omit<AllOptions, 'replyMapping'>

const FIRST_RECONNECT_MS = 50
/** What ioredis says of a command that was not answered within `commandTimeout`; deadlines.ts says the same. */
const TIMED_OUT = 'Command timed out'
/** How long a dropped connection may take to say goodbye, ms. A half-open one never would (ioredis' default is 2 s). */
const GOODBYE_MS = 0

export function connectRedis(settings: RedisSettings, options: LinkOptions = {}): RedisLink {
  const { node, pauseMs, onError } = partsOf(settings, options)
  const redisOptions: RedisOptions = {
    ...node,
    connectionName: settings.name,
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: pauseMs,
    reconnectOnError,
  }
  if (!options.blocking) redisOptions.commandTimeout = settings.commandTimeoutMs
  const redis = clientOf(settings, redisOptions, node, pauseMs)
  redis.on('error', onError)
  return linkOf(redis, 'cluster' in settings)
}

/**
 * The client that a queue of BullMQ works with, in whatever topology: to the master of the slot that its keys share. It waits for
 * Redis as long as that is away, which BullMQ asks for.
 */
export function connectQueue(settings: RedisSettings, options: Pick<LinkOptions, 'onError'> = {}): Redis {
  const { node, pauseMs, onError } = partsOf(settings, options)
  const queueOptions: RedisOptions = {
    ...node,
    connectionName: settings.name,
    maxRetriesPerRequest: null,
    retryStrategy: pauseMs,
    reconnectOnError,
  }
  const redis = clientOf(settings, queueOptions, node, pauseMs)
  redis.on('error', onError)
  return redis
}

/** A demoted master answers READONLY for ever, one whose slot moved away MOVED: ask again who the master is. */
const reconnectOnError = ({ message }: Error) => message.startsWith('READONLY') || message.startsWith('MOVED')

/** What every connection has, also one that only asks where the master is; and what is done when it fails. */
function partsOf(settings: RedisSettings, options: Pick<LinkOptions, 'onError'>) {
  const speaksTls = settings.tls !== undefined || ('url' in settings && settings.url.startsWith('rediss:'))
  const onError = (error: Error) => options.onError?.(explained(error, speaksTls))
  const pauseMs = (times: number) => {
    const ceiling = Math.min(settings.reconnectMaxDelayMs, FIRST_RECONNECT_MS * 2 ** Math.min(times, 10))
    return ceiling / 2 + (Math.random() * ceiling) / 2
  }
  const tls = settings.tls && tlsOptions(settings.tls, onError)
  const node: NodeOptions = {
    protocol: 2, // replies of the same shape from every server version
    disableClientInfo: true,
    connectTimeout: settings.connectTimeoutMs,
    disconnectTimeout: GOODBYE_MS,
  }
  if (settings.username !== undefined) node.username = settings.username
  if (settings.password !== undefined) node.password = settings.password
  if (tls !== undefined) node.tls = tls
  return { node, pauseMs, onError }
}

function clientOf(
  place: RedisSettings,
  options: RedisOptions,
  node: NodeOptions,
  pauseMs: (times: number) => number,
): Redis {
  if ('url' in place) return new Redis(place.url, { ...options, Connector: ServerConnector })
  return new Redis({ ...options, Connector: masterConnector(finderOf(place, node, pauseMs), node, pauseMs) })
}

function finderOf(
  place: Exclude<RedisSettings, { url: string }>,
  node: NodeOptions,
  pauseMs: (times: number) => number,
): MasterFinder {
  if ('cluster' in place) return clusterSlot(place.cluster, node)
  const { username, password } = place.sentinel
  const { username: _user, password: _password, ...rest } = node
  const asSentinel: NodeOptions = rest
  if (username !== undefined) asSentinel.username = username
  if (password !== undefined) asSentinel.password = password
  return sentinelMaster(place.sentinel, asSentinel, pauseMs)
}

/**
 * Wraps an ioredis client that was made with the options above.
 * @param inCluster whether slots may be moved away under it
 */
export function linkOf(redis: Redis, inCluster = false): RedisLink {
  const guarded = new Map<Script, Script>()
  const toSend = (script: Script): Script => {
    if (!inCluster) return script
    let begun = guarded.get(script)
    if (begun === undefined) {
      begun = begunInPlace(script)
      guarded.set(script, begun)
    }
    return begun
  }
  /**
   * Commands of one turn of the event loop leave in one write: under load a gateway otherwise spends a tenth of its time
   * in the system calls of single commands.
   */
  let corked = false
  const gather = () => {
    const { stream } = redis
    if (corked || redis.status !== 'ready') return
    corked = true
    stream.cork()
    setImmediate(() => {
      corked = false
      stream.uncork()
    })
  }
  /**
   * A connection may die without a word (a machine or a firewall that is gone): TCP then tries for a quarter of an hour. So when a command was
   * not answered in time, and none that was sent after it either, the connection is given up. One time-out alone may be a hiccup.
   */
  let epoch = 0
  let sent = 0
  /** Commands sent when the first of them had no answer in time; those until then share its fate. undefined = all is well. */
  let suspectedAt: number | undefined
  const answered = () => {
    suspectedAt = undefined
  }
  const failed = (error: unknown, mine: number, at: number) => {
    if (messageOf(error) !== TIMED_OUT) {
      if (isReply(error)) answered()
    } else if (suspectedAt === undefined) suspectedAt = sent
    else if (mine > suspectedAt && at === epoch) {
      answered()
      redis.disconnect(true)
    }
  }
  const call = async (command: string, args: readonly RedisArg[], what = command): Promise<RedisReply> => {
    gather()
    const mine = ++sent
    const at = epoch
    try {
      const reply = (await redis.callBuffer(command, args as RedisArg[])) as RedisReply
      answered()
      return reply
    } catch (error) {
      failed(error, mine, at)
      throw faultOf(error, what)
    }
  }
  const commandOf = createScriptCommands()
  const diverter = createDiverter(redis)
  let closed = false
  redis.on('ready', () => {
    epoch++
    answered()
  })
  return {
    get epoch() {
      return epoch
    },
    get peer() {
      const { remoteAddress, remotePort } = redis.stream ?? {}
      return remoteAddress === undefined ? '' : `${remoteAddress}:${remotePort}`
    },
    get connected() {
      return redis.status === 'ready'
    },
    call: (command, ...args) => call(command, args),
    async run(asked, keys, args) {
      const script = toSend(asked)
      gather()
      const mine = ++sent
      const at = epoch
      try {
        const reply = (await redis.sendCommand(commandOf(script, keys, args))) as RedisReply
        answered()
        return reply
      } catch (error) {
        failed(error, mine, at)
        if (!messageOf(error).startsWith('NOSCRIPT')) throw faultOf(error, script.name)
      }
      return call('EVAL', [script.lua, keys.length, ...keys, ...args], script.name)
    },
    async pour(sink, command, ...args) {
      let poured = false
      if (redis.status === 'ready') diverter.begin(sink)
      try {
        await call(command, args)
      } finally {
        poured = diverter.end()
      }
      return poured
    },
    onConnect(listener) {
      redis.on('ready', listener)
      return () => void redis.off('ready', listener)
    },
    onDisconnect(listener) {
      redis.on('close', listener)
      return () => void redis.off('close', listener)
    },
    ready(signal) {
      if (redis.status === 'ready') return Promise.resolve()
      return new Promise((resolve, reject) => {
        const stop = () => {
          redis.off('ready', done)
          redis.off('end', ended)
          signal?.removeEventListener('abort', aborted)
        }
        const done = () => {
          stop()
          resolve()
        }
        const ended = () => {
          stop()
          reject(new Fault('REDIS_UNAVAILABLE', 'this connection to Redis was closed'))
        }
        const aborted = () => {
          stop()
          reject(new Fault('REDIS_UNAVAILABLE', 'stopped waiting for Redis', { cause: signal?.reason }))
        }
        if (closed) return ended()
        if (signal?.aborted) return aborted()
        redis.once('ready', done)
        redis.once('end', ended)
        signal?.addEventListener('abort', aborted, { once: true })
      })
    },
    reconnect: () => redis.disconnect(true),
    async close() {
      closed = true
      const ended = new Promise<void>((resolve) => redis.once('end', () => resolve()))
      const { status } = redis
      redis.disconnect()
      // Between two attempts there is no socket whose end ioredis would hear: the timer is gone, nothing follows.
      if (status === 'reconnecting') redis.emit('end')
      if (status !== 'end') await ended
    },
  }
}

/** Error replies after which the outcome of a write is unknown or will change by itself. */
const PASSING =
  /^(LOADING|READONLY|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|NOREPLICAS|MISCONF|BUSY|UNBLOCKED|MOVED|ASK)\b|^ERR Script attempted to access a non local key/
/** A command inside a script is refused without the code NOPERM (Redis 7.0). */
const FORBIDDEN = /^(NOAUTH|WRONGPASS|NOPERM)\b|^ERR The user executing the script/
const UNKNOWN_COMMAND = /^ERR unknown (command|subcommand)/i

function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError'
}

function faultOf(error: unknown, what: string): Error {
  const message = messageOf(error)
  // ioredis hangs the command's arguments on its errors: whole events, which would end in the log.
  if (error instanceof Error && 'command' in error) delete error.command
  if (message.startsWith('OOM')) {
    return new Fault(
      'REDIS_OUT_OF_MEMORY',
      `Redis refused ${what}: maxmemory is reached; add memory or drain the backlog`,
      { cause: error },
    )
  }
  if (FORBIDDEN.test(message)) {
    return new Fault(
      'REDIS_UNSUITABLE',
      `Redis refused ${what}: ${message.replace(/ script: .*$/, '')}; check the password and the ACL of this user (ACL LOG on the server names the command)`,
      { cause: error },
    )
  }
  if (UNKNOWN_COMMAND.test(message)) {
    return new Fault(
      'REDIS_UNSUITABLE',
      `Redis does not know ${what}: ${message}; Weir needs Redis or Valkey 7.0 or later`,
      { cause: error },
    )
  }
  if (!isReply(error) || PASSING.test(message)) {
    return new Fault('REDIS_UNAVAILABLE', `${what}: ${message}`, { cause: error })
  }
  return error as Error
}
