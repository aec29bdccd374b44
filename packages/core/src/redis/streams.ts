/** The streams below connections to Redis, and how ioredis comes to the one of a single server. */
import { connect as connectTcp, type NetConnectOpts } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { AbstractConnector, type RedisOptions } from 'ioredis'

const DEFAULT_PORT = 6379

export type NetStream = Awaited<ReturnType<AbstractConnector['connect']>>

/**
 * A stream that may tell of several errors. ioredis listens for one; and a TLS connection that is closed while its handshake
 * fails has two (our mistrust of a certificate, and what the server says to a goodbye in the midst of it). An error that nobody
 * hears ends the process (https://nodejs.org/api/events.html#error-events).
 */
export function openStream(to: NetConnectOpts, tls: RedisOptions['tls']): NetStream {
  // Copied for each connection: its files are read at that moment (tls.ts).
  const stream = tls ? connectTls({ ...to, ...tls }) : connectTcp(to)
  stream.on('error', () => undefined)
  return stream
}

/** In place of ioredis' own connector to one server, for the streams above. */
export class ServerConnector extends AbstractConnector {
  readonly #options: RedisOptions

  /** @param options those of the client: ioredis says no more of their type */
  constructor(options: unknown) {
    const given = options as RedisOptions
    super(given.disconnectTimeout ?? 0)
    this.#options = given
  }

  /** Rejects when it was given up meanwhile. */
  override async connect(): Promise<NetStream> {
    this.connecting = true
    // ioredis sets out to connect from within its constructor: whoever made it may still give up.
    await Promise.resolve()
    if (!this.connecting) throw new Error('Connection is closed.')
    const { path, host, port, family, tls } = this.#options
    const to: NetConnectOpts = path
      ? { path }
      : { port: port ?? DEFAULT_PORT, ...(host && { host }), ...(family && { family }) }
    const stream = openStream(to, tls)
    stream.once('error', (error: Error) => {
      this.firstError = error
    })
    this.stream = stream
    return stream
  }
}
