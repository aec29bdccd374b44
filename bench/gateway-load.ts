/**
 * A sender of signed GitHub deliveries that costs little itself: bare connections, requests put together beforehand.
 * Each connection sends its next request when it has the answer to the one before.
 */
import { createHmac, randomUUID } from 'node:crypto'
import { connect, type Socket } from 'node:net'

export interface Payload {
  readonly type: string
  readonly body: Buffer
}

/** A request but for its delivery id. */
interface Prepared {
  readonly before: string
  readonly after: string
  readonly body: Buffer
}

/** Connections to one server, kept from one run to the next. */
export interface Sender {
  /** Sends `count` deliveries with ids of their own. Rejects when one is not answered 202. */
  run(count: number): Promise<void>
  close(): void
}

export interface Load {
  connect(port: number): Promise<Sender>
  /** One run on connections of its own. */
  run(port: number, count: number): Promise<void>
}

/** @param secret what the deliveries are signed with; the headers are those that GitHub sends */
export function createLoad(payloads: readonly Payload[], secret: string, connections: number): Load {
  const requests: readonly Prepared[] = payloads.map(({ type, body }) => ({
    before: `POST /webhooks/github HTTP/1.1\r\nHost: weir.example.com\r\nUser-Agent: GitHub-Hookshot/044aadd\r\nAccept: */*\r\nContent-Type: application/json\r\nX-GitHub-Delivery: `,
    after: `\r\nX-GitHub-Event: ${type}\r\nX-GitHub-Hook-ID: 292430182\r\nX-GitHub-Hook-Installation-Target-ID: 79929171\r\nX-GitHub-Hook-Installation-Target-Type: repository\r\nX-Hub-Signature: sha1=${hmac('sha1', secret, body)}\r\nX-Hub-Signature-256: sha256=${hmac('sha256', secret, body)}\r\nContent-Length: ${body.length}\r\n\r\n`,
    body,
  }))

  const load: Load = {
    async connect(port) {
      const sockets = await Promise.all(Array.from({ length: connections }, () => open(port)))
      let sent = 0
      const next = (): Buffer => {
        const { before, after, body } = requests[sent++ % requests.length] as Prepared
        const head = `${before}${randomUUID()}${after}`
        const whole = Buffer.allocUnsafe(head.length + body.length)
        whole.write(head, 0, 'latin1')
        body.copy(whole, head.length)
        return whole
      }
      return {
        async run(count) {
          let left = count
          await Promise.all(
            sockets.map((socket) => converse(socket, () => (left-- > 0 ? next() : undefined))),
          )
        },
        close() {
          for (const socket of sockets) socket.destroy()
        },
      }
    },
    async run(port, count) {
      const sender = await load.connect(port)
      try {
        await sender.run(count)
      } finally {
        sender.close()
      }
    },
  }
  return load
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => resolve(socket))
    socket.once('error', reject)
  })
}

/** One request after the other, until there is none. */
function converse(socket: Socket, next: () => Buffer | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const proceed = () => {
      const request = next()
      if (request === undefined) end(resolve)
      else socket.write(request)
    }
    const onData = (chunk: Buffer) => {
      answer += chunk.toString('latin1')
      if (!isWhole(answer)) return
      if (!answer.startsWith('HTTP/1.1 202 ')) return end(() => reject(new Error(`answered ${answer}`)))
      answer = ''
      proceed()
    }
    const onClose = () => end(() => reject(new Error('the server closed the connection')))
    const end = (settle: () => void) => {
      socket.off('data', onData)
      socket.off('close', onClose)
      settle()
    }
    socket.on('data', onData)
    socket.on('close', onClose)
    if (socket.destroyed) onClose()
    else proceed()
  })
}

function hmac(algorithm: string, secret: string, body: Buffer): string {
  return createHmac(algorithm, secret).update(body).digest('hex')
}

function isWhole(answer: string): boolean {
  const end = answer.indexOf('\r\n\r\n')
  if (end < 0) return false
  const length = /content-length: (\d+)/i.exec(answer)?.[1]
  return length === undefined ? answer.endsWith('\r\n0\r\n\r\n') : answer.length >= end + 4 + Number(length)
}
