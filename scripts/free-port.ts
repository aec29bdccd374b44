/** TCP ports on this machine's loopback: finding a free one, and asking whether one is taken. */
import { once } from 'node:events'
import { createServer } from 'node:net'

/** A port that was free on 127.0.0.1 a moment ago. Somebody may take it before its user does: be ready to retry. */
export async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string')
    throw new TypeError('a TCP server has an address with a port')
  return address.port
}

/** Could a server listen on this port now, on loopback and on all addresses? */
export async function isPortFree(port: number): Promise<boolean> {
  for (const host of ['127.0.0.1', '0.0.0.0']) {
    const server = createServer()
    const taken = await new Promise<boolean>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'EADDRINUSE') resolve(true)
        else reject(error)
      })
      server.listen(port, host, () => server.close(() => resolve(false)))
    })
    if (taken) return false
  }
  return true
}
