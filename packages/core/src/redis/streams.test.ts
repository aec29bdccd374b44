import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { masterConnector } from './master-connector.ts'
import type { Address } from './place.ts'
import { ServerConnector } from './streams.ts'

let server: Server
let address: Address
beforeEach(async () => {
  server = createServer((socket) => socket.resume())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('the server has no port')
  address = { host: '127.0.0.1', port: bound.port }
})
afterEach(() => new Promise((resolve) => server.close(resolve)))

it.each([
  ['to one server', () => new ServerConnector({ ...address })],
  ['to a master', () => new (masterConnector({ find: async () => address }, {}, () => 1))()],
])('a stream %s may tell of more than one error', async (_, make) => {
  const stream = await make().connect(() => undefined)
  stream.emit('error', new Error('the first'))
  stream.emit('error', new Error('the second'))
  stream.destroy()
  await once(stream, 'close')
})

it('a connection to one server that was given up before it began is not begun', async () => {
  const connector = new ServerConnector({ ...address })
  const connecting = connector.connect()
  connector.disconnect()
  await expect(connecting).rejects.toThrow('Connection is closed.')
})

it('a server that is not there is told of', async () => {
  server.close()
  await once(server, 'close')
  const redis = new Redis({ ...address, Connector: ServerConnector, retryStrategy: () => 1 })
  const [error] = await once(redis, 'error')
  expect(String(error)).toContain('ECONNREFUSED')
  redis.disconnect()
})
