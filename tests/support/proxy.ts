/**
 * A TCP proxy that fails as networks do: half-open connections, answers that never arrive, one side gone.
 *
 *   const proxy = await startProxy(redis.port)
 *   proxy.stall()      nothing is forwarded any more, nothing is closed
 *   proxy.resume()     what was held back flows again; connections lost in between stay lost
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface Proxy {
  readonly port: number
  readonly url: string
  /** Connections that are open on the client's side. */
  readonly clients: number
  /** Connections that were ever made. */
  readonly connections: number
  /** Stops forwarding: `replies` only towards the client, `both` in both directions. New connections too. */
  stall(direction?: 'replies' | 'both'): void
  /** Throws away whatever is sent, in both directions; nothing is closed. New connections too. */
  swallow(): void
  /** Forwards again, beginning with what was held back; what was swallowed is lost. */
  resume(): void
  /** Drops the clients; the server keeps its side open and does not notice. */
  dropClients(): void
  close(): Promise<void>
}

interface Pair {
  readonly client: Socket
  readonly server: Socket
}

/** Listens on a free port of 127.0.0.1 and forwards to `targetPort` there. */
export async function startProxy(targetPort: number): Promise<Proxy> {
  const pairs = new Set<Pair>()
  /** Server sides whose client is gone. */
  const orphans = new Set<Socket>()
  let stalled: 'no' | 'replies' | 'both' | 'swallow' = 'no'
  const obey = ({ client, server }: Pair) => {
    if (stalled === 'both') client.pause()
    else client.resume()
    if (stalled === 'no' || stalled === 'swallow') server.resume()
    else server.pause()
  }
  let connections = 0
  const listener = createServer({ pauseOnConnect: true }, (client) => {
    connections++
    const server = connect(targetPort, '127.0.0.1')
    const pair = { client, server }
    pairs.add(pair)
    client.on('data', (chunk) => {
      if (stalled !== 'swallow') server.write(chunk)
    })
    server.on('data', (chunk) => {
      if (stalled !== 'swallow') client.write(chunk)
    })
    client.on('close', () => {
      pairs.delete(pair)
      // While stalled, the end of one side is not told to the other either.
      if (stalled === 'no' && !orphans.has(server)) server.destroy()
      else orphans.add(server)
    })
    server.on('close', () => {
      orphans.delete(server)
      if (stalled === 'no') client.destroy()
    })
    client.on('error', () => client.destroy())
    server.on('error', () => server.destroy())
    obey(pair)
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    get clients() {
      return pairs.size
    },
    get connections() {
      return connections
    },
    stall(direction = 'both') {
      stalled = direction
      for (const pair of pairs) obey(pair)
    },
    swallow() {
      stalled = 'swallow'
      for (const pair of pairs) obey(pair)
    },
    resume() {
      stalled = 'no'
      for (const server of orphans) server.destroy()
      for (const pair of pairs) {
        if (pair.server.destroyed) pair.client.destroy()
        else obey(pair)
      }
    },
    dropClients() {
      for (const { client, server } of [...pairs]) {
        orphans.add(server)
        client.destroy()
      }
    },
    async close() {
      for (const { client, server } of pairs) {
        client.destroy()
        server.destroy()
      }
      for (const server of orphans) server.destroy()
      const closed = once(listener, 'close')
      listener.close()
      await closed
    },
  }
}
