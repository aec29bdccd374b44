/** How a test gets at a real Redis server of any kind: who it is there, over which wire, and one question at a time. */
import { readFileSync } from 'node:fs'
import { ServerConnector } from '@weir/core/redis/streams'
import { Redis, type RedisOptions } from 'ioredis'
import { until } from './until.ts'

/** ioredis' options; replies keep the shapes of RESP2. */
export type ClientOptions = Omit<RedisOptions, 'replyMapping'>

/** PEM files of a client: the authority it trusts, and who it is. */
export interface TlsFiles {
  readonly caFile: string
  /** Without certificate and key: an anonymous client. */
  readonly certFile?: string
  readonly keyFile?: string
}

export interface RedisAccess {
  /** ACL user. Default: the default user. */
  readonly username?: string
  readonly password?: string
  /** Default: plain TCP. */
  readonly tls?: TlsFiles
}

/** A server on 127.0.0.1 and how to get in. */
export interface RedisTarget {
  readonly port: number
  readonly access?: RedisAccess
}

/** A word of a command. */
export type RedisWord = string | number | Buffer

/** Name of the support's own connections: never counted as left open. */
const CONTROL_NAME = 'test-control'
/** How long one question may take, ms. A server that is paused never answers. */
const QUESTION_MS = 5_000
/** How long connections that a test has just closed may take to disappear from CLIENT LIST, ms. */
const LEAK_TIMEOUT_MS = 5_000
const HOST = '127.0.0.1'

/** What ioredis needs to know for this access. */
function clientOptions(access: RedisAccess = {}): ClientOptions {
  const { username, password, tls } = access
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls: readTls(tls) }),
  }
}

/** A client of its own for a test; the test (or its bracket) disconnects it. */
export function connectTo(target: RedisTarget, options: ClientOptions = {}): Redis {
  const place = { host: HOST, port: target.port, Connector: ServerConnector }
  const redis = new Redis({ ...place, ...clientOptions(target.access), ...options })
  // Connection errors show in the commands that fail; ioredis prints those that nobody listens to.
  redis.on('error', () => undefined)
  return redis
}

/** One command on a connection of its own. Rejects when the server does not answer within five seconds. */
export function ask(target: RedisTarget, command: string, ...args: RedisWord[]): Promise<unknown> {
  return question(target, (redis) => redis.call(command, args))
}

/** As `ask`, but strings arrive as Buffers. */
export function askBuffer(target: RedisTarget, command: string, ...args: RedisWord[]): Promise<unknown> {
  return question(target, (redis) => redis.callBuffer(command, args))
}

async function question<T>(target: RedisTarget, use: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = connectTo(target, {
    connectionName: CONTROL_NAME,
    protocol: 2,
    disableClientInfo: true,
    lazyConnect: true,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    connectTimeout: QUESTION_MS,
    commandTimeout: QUESTION_MS,
    retryStrategy: () => null,
  })
  try {
    await redis.connect()
    return await use(redis)
  } finally {
    redis.disconnect()
  }
}

/** Ids of the connections that are open now, except the server's own affairs. */
export async function openConnections(target: RedisTarget): Promise<ReadonlySet<string>> {
  return new Set((await listConnections(target)).map(idOf))
}

/** Fails when anybody but us, and those that were `known` before, is still connected, naming the connections. */
export async function expectNoConnections(
  target: RedisTarget,
  known: ReadonlySet<string> = new Set(),
): Promise<void> {
  await until(async () => {
    const open = (await listConnections(target)).filter((line) => !known.has(idOf(line)))
    if (open.length > 0) throw new Error(`the test left connections to Redis open:\n${open.join('\n')}`)
  }, LEAK_TIMEOUT_MS)
}

/** Replication (flags S and M), Sentinels, and MIGRATE's cached socket: the servers' own affairs. */
const THEIR_OWN = / flags=[SM]| name=sentinel-| cmd=restore/

/** The lines of CLIENT LIST, without our own and without what says nothing about whose it is. */
async function listConnections(target: RedisTarget): Promise<string[]> {
  return String(await ask(target, 'CLIENT', 'LIST'))
    .split('\n')
    .filter((line) => line !== '' && !line.includes(` name=${CONTROL_NAME} `) && !THEIR_OWN.test(line))
    .map((line) => line.replace(/ (?:fd|laddr|qbuf|argv-mem|multi-mem|rbs|rbp|obl|oll|omem|tot-mem)\S*/g, ''))
}

function idOf(line: string): string {
  return line.slice(0, line.indexOf(' '))
}

function readTls({ caFile, certFile, keyFile }: TlsFiles) {
  return {
    ca: readFileSync(caFile),
    ...(certFile === undefined ? {} : { cert: readFileSync(certFile) }),
    ...(keyFile === undefined ? {} : { key: readFileSync(keyFile) }),
  }
}
