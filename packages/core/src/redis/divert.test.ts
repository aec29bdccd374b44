import { createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { useRedis } from '../../../../tests/support/redis.ts'
import { withTlsRedis } from '../../../../tests/support/tls.ts'
import type { ReplySink } from './divert.ts'
import { connectRedis, type RedisLink } from './link.ts'

const redis = useRedis()

const settings = { commandTimeoutMs: 500, connectTimeoutMs: 500, reconnectMaxDelayMs: 20, name: 'divert' }

/** Gathers what comes until so many bytes are there. */
function sinkOf(bytes: number): ReplySink & { readonly chunks: Buffer[] } {
  const chunks: Buffer[] = []
  return {
    chunks,
    write(chunk) {
      chunks.push(chunk)
      return Buffer.concat(chunks).length >= bytes
    },
  }
}
const never: ReplySink = { write: () => false }

describe('a reply that is poured', () => {
  let link: RedisLink
  beforeEach(async () => {
    link = connectRedis({ url: redis.url, ...settings })
    await link.ready()
  })
  afterEach(() => link.close())

  it('goes to the sink, byte for byte, and the next one to the client', async () => {
    await link.call('RPUSH', 'list', 'a', Buffer.from([0, 13, 10, 255]))
    const expected = Buffer.concat([
      Buffer.from('*2\r\n$1\r\na\r\n$4\r\n'),
      Buffer.from([0, 13, 10, 255, 13, 10]),
    ])
    for (let round = 0; round < 3; round++) {
      const sink = sinkOf(expected.length)
      expect(await link.pour(sink, 'LRANGE', 'list', 0, -1)).toBe(true)
      expect(Buffer.concat(sink.chunks)).toEqual(expected)
      expect(await link.call('LLEN', 'list')).toBe(2)
    }
  })

  it('comes in as many chunks as it likes', async () => {
    const value = Buffer.alloc(1_000_000, 'x')
    await link.call('RPUSH', 'list', value)
    const sink = sinkOf(4 + 10 + value.length + 2)
    expect(await link.pour(sink, 'LRANGE', 'list', 0, -1)).toBe(true)
    expect(sink.chunks.length).toBeGreaterThan(1)
  })

  it('is not poured when it is null or an error', async () => {
    await link.call('XADD', 'stream', '*', 'a', '1')
    await link.call('XGROUP', 'CREATE', 'stream', 'group', '$')
    const read = ['XREADGROUP', 'GROUP', 'group', 'c', 'STREAMS', 'stream', '>'] as const
    expect(await link.pour(never, ...read)).toBe(false)
    await link.call('XGROUP', 'DESTROY', 'stream', 'group')
    await expect(link.pour(never, ...read)).rejects.toThrow(/NOGROUP/)
    expect(await link.call('PING')).toEqual(Buffer.from('PONG'))
  })

  it('is poured after a reconnect as before', async () => {
    await link.call('RPUSH', 'list', 'a')
    for (let round = 0; round < 3; round++) {
      expect(await link.pour(sinkOf(11), 'LRANGE', 'list', 0, -1)).toBe(true)
      const { epoch } = link
      link.reconnect()
      await expect.poll(() => link.epoch).toBeGreaterThan(epoch)
      await link.ready()
    }
  })

  it('without a connection fails at once', async () => {
    await redis.server.kill('SIGKILL')
    await expect.poll(() => link.connected).toBe(false)
    await expect(link.pour(never, 'LRANGE', 'list', 0, -1)).rejects.toMatchObject({
      code: 'REDIS_UNAVAILABLE',
    })
    await redis.server.restart()
  })

  it('that the sink does not understand ends the connection; the next one is as good as new', async () => {
    await link.call('RPUSH', 'list', 'a')
    const { epoch } = link
    const confused: ReplySink = {
      write() {
        throw new Error('what is this?')
      },
    }
    await expect(link.pour(confused, 'LRANGE', 'list', 0, -1)).rejects.toMatchObject({
      code: 'REDIS_UNAVAILABLE',
    })
    await expect.poll(() => link.epoch).toBeGreaterThan(epoch)
    await link.ready()
    expect(await link.call('LLEN', 'list')).toBe(1)
  })
})

it('is poured over TLS as well', () =>
  withTlsRedis(async ({ server, certificates }) => {
    const link = connectRedis({
      url: `redis://127.0.0.1:${server.port}`,
      tls: certificates.client,
      ...settings,
      connectTimeoutMs: 5_000,
    })
    try {
      await link.ready(AbortSignal.timeout(10_000))
      const value = Buffer.alloc(100_000, 'x')
      await link.call('RPUSH', 'list', value)
      for (let round = 0; round < 3; round++) {
        const sink = sinkOf(4 + 9 + value.length + 2)
        expect(await link.pour(sink, 'LRANGE', 'list', 0, -1)).toBe(true)
        expect(Buffer.concat(sink.chunks).toString()).toContain('$100000\r\nxxx')
      }
      expect(await link.call('LLEN', 'list')).toBe(1)
    } finally {
      await link.close()
    }
  }))

describe('a reply in pieces', () => {
  let server: Server
  let link: RedisLink
  /** What the server says to the command LRANGE, piece by piece; `end` closes the connection. */
  let pieces: (string | 'end')[]
  let connections = 0

  beforeEach(async () => {
    connections = 0
    server = createServer((socket: Socket) => {
      connections++
      socket.setNoDelay(true)
      socket.on('error', () => undefined)
      socket.on('data', (data) => {
        const text = String(data)
        // One reply for each command; those of the handshake say little.
        for (const _ of text.matchAll(/^\*\d+\r\n/gm)) {
          if (!text.includes('LRANGE')) socket.write(text.includes('info') ? '$0\r\n\r\n' : '+OK\r\n')
        }
        if (!text.includes('LRANGE')) return
        const say = () => {
          const piece = pieces.shift()
          if (piece === undefined) return
          if (piece === 'end') socket.destroy()
          else socket.write(piece, () => setImmediate(() => setImmediate(say)))
        }
        say()
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    link = connectRedis({ url: `redis://127.0.0.1:${port}`, ...settings })
    await link.ready()
  })
  afterEach(async () => {
    await link.close()
    await new Promise((resolve) => server.close(resolve))
  })

  it.each([
    ['a list whose first byte comes alone', ['*', '1\r\n$1', '\r\na\r\n'], true],
    ['a null whose first byte comes alone', ['*', '-1\r\n'], false],
    ['a null in one piece', ['*-1\r\n'], false],
  ])('is known for what it is: %s', async (_what, said, poured) => {
    pieces = [...said]
    const sink = sinkOf(11)
    expect(await link.pour(sink, 'LRANGE', 'list', 0, -1)).toBe(poured)
    expect(Buffer.concat(sink.chunks).toString()).toBe(poured ? said.join('') : '')
  })

  it('that breaks off is a fault; a new connection is made', async () => {
    pieces = ['*1\r\n$1', 'end']
    await expect(link.pour(sinkOf(11), 'LRANGE', 'list', 0, -1)).rejects.toMatchObject({
      code: 'REDIS_UNAVAILABLE',
    })
    await expect.poll(() => connections).toBe(2)
  })

  it('that stays out is a fault, and the connection is given up: its rest would be taken for another reply', async () => {
    pieces = ['*1\r\n$1']
    await expect(link.pour(sinkOf(11), 'LRANGE', 'list', 0, -1)).rejects.toMatchObject({
      code: 'REDIS_UNAVAILABLE',
    })
    await expect.poll(() => connections).toBe(2)
  })
})
