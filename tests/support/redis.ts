/**
 * Real Redis servers for tests.
 *
 * - `withRedis(async (redis, server) => …)`: a fresh server for one test, for tests that stop, kill or configure it.
 *   Starting one costs about 50 ms.
 * - `const server = useRedis()`: one server for all tests of a file, emptied before each. Cheaper.
 *
 * Both end what they started, and fail a test that leaves connections open.
 */
import { Redis, type RedisOptions } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import { type RedisServer, type RedisServerOptions, startRedis } from '../../scripts/private-redis.ts'

export type { RedisServer, RedisServerOptions } from '../../scripts/private-redis.ts'

/** How long connections that a test has just closed may take to disappear from CLIENT LIST, ms. */
const LEAK_TIMEOUT_MS = 1_000
const CONTROL_NAME = 'test-control'

/** ioredis' options; replies keep the shapes of RESP2. */
export type ClientOptions = Omit<RedisOptions, 'replyMapping'>

/** Runs `use` with a fresh server and a client connected to it; ends both, whatever happens. */
export async function withRedis<T>(
  use: (redis: Redis, server: RedisServer) => Promise<T>,
  options: RedisServerOptions = {},
): Promise<T> {
  const server = await startRedis(options)
  const redis = connect(server.url)
  try {
    const result = await use(redis, server)
    redis.disconnect()
    if (server.running) await expectNoConnections(server)
    return result
  } finally {
    redis.disconnect()
    await server.stop()
  }
}

export interface SharedRedis {
  readonly url: string
  readonly port: number
  /** The server itself, for tests that pause, kill or restart it; it runs again before the next test. */
  readonly server: RedisServer
  /** A new connection, closed after the test. */
  client(options?: ClientOptions): Redis
}

export interface SharedRedisOptions extends RedisServerOptions {
  /** `allowed`: connections may stay open from test to test (an app runs for the whole file). Default: `forbidden`. */
  readonly openConnections?: 'forbidden' | 'allowed'
}

/** One server for all tests of the file (or of the `describe` in which this is called), emptied before each test. */
export function useRedis(options: SharedRedisOptions = {}): SharedRedis {
  const { openConnections = 'forbidden', ...serverOptions } = options
  let server: RedisServer | undefined
  let clients: Redis[] = []
  /** Connections that an earlier test left open: that one has failed for it, not the next ones too. */
  let knownIds = new Set<string>()

  const started = (): RedisServer => {
    if (!server) throw new Error('the Redis server of this file runs only inside its tests and hooks')
    return server
  }

  beforeAll(async () => {
    server = await startRedis(serverOptions)
  })
  beforeEach(async () => {
    const current = started()
    if (!current.running) await current.restart()
    const control = connect(current.url, { connectionName: CONTROL_NAME })
    await control.flushall()
    knownIds = new Set((await listConnections(control)).map(idOf))
    control.disconnect()
  })
  afterEach(async () => {
    const current = started()
    for (const client of clients) client.disconnect()
    clients = []
    if (!current.running) return
    await current.kill('SIGCONT') // a test may have paused it
    if (openConnections === 'forbidden') await expectNoConnections(current, knownIds)
  })
  afterAll(() => server?.stop())

  return {
    get url() {
      return started().url
    },
    get port() {
      return started().port
    },
    get server() {
      return started()
    },
    client(clientOptions = {}) {
      const client = connect(started().url, clientOptions)
      clients.push(client)
      return client
    },
  }
}

function connect(url: string, options: ClientOptions = {}): Redis {
  const redis = new Redis(url, options)
  // Connection errors show in the commands that fail; ioredis prints those that nobody listens to.
  redis.on('error', () => undefined)
  return redis
}

/** Fails when anybody but us, and those that were `known` before, is still connected, naming the connections. */
async function expectNoConnections(
  server: RedisServer,
  known: ReadonlySet<string> = new Set(),
): Promise<void> {
  const control = connect(server.url, { connectionName: CONTROL_NAME })
  const newConnections = async () => (await listConnections(control)).filter((line) => !known.has(idOf(line)))
  try {
    await expect
      .poll(newConnections, { timeout: LEAK_TIMEOUT_MS, message: 'the test left connections to Redis open' })
      .toEqual([])
  } finally {
    control.disconnect()
  }
}

/** The lines of CLIENT LIST, without our own and without what says nothing about whose it is. */
async function listConnections(control: Redis): Promise<string[]> {
  return String(await control.call('CLIENT', 'LIST'))
    .split('\n')
    .filter((line) => line !== '' && !line.includes(` name=${CONTROL_NAME} `))
    .map((line) => line.replace(/ (?:fd|laddr|qbuf|argv-mem|multi-mem|rbs|rbp|obl|oll|omem|tot-mem)\S*/g, ''))
}

function idOf(line: string): string {
  return line.slice(0, line.indexOf(' '))
}
