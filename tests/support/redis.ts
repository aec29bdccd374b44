/**
 * Real Redis servers for tests.
 *
 * - `withRedis(async (redis, server) => …)`: a fresh server for one test, for tests that stop, kill or configure it.
 *   Starting one costs about 50 ms.
 * - `const server = useRedis()`: one server for all tests of a file, emptied before each. Cheaper.
 *
 * Both end what they started, and fail a test that leaves connections open.
 */
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { type RedisServer, type RedisServerOptions, startRedis } from '../../scripts/private-redis.ts'
import { ask, type ClientOptions, openConnections as connectionsOf, expectNoConnections } from './access.ts'

export type { RedisServer, RedisServerOptions } from '../../scripts/private-redis.ts'
export type { ClientOptions } from './access.ts'

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
  let knownIds: ReadonlySet<string> = new Set()

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
    await ask(current, 'FLUSHALL')
    knownIds = await connectionsOf(current)
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
