/**
 * The flood of bench/flood.ts, a process of its own: badly signed requests with bodies, from another address of this machine,
 * at a constant rate. It has the lowest priority: a flood comes from elsewhere, and what it costs its sender is not measured.
 *
 *     node bench/flood-sender.ts <port> <requests a second>     (ends when its parent says so)
 */
import { connect, type Socket } from 'node:net'
import { lowerPriority } from '@weir/core/priority'
import { githubPayloads } from './payloads.ts'

/** Loopback has a whole network of addresses: this one is nobody's but the flood's. */
const FROM = '127.0.0.2'
/** A refusal without reading the body keeps its connection for a second: there have to be many. */
const CONNECTIONS = 8000
const TICK_MS = 1
/** What it is late by beyond this is left out: made up for in one go, it would be no constant rate. */
const CATCH_UP_MS = 5
const LOWEST_PRIORITY = 19

lowerPriority(LOWEST_PRIORITY)

const [port, rate] = process.argv.slice(2).map(Number) as [number, number]
const { body } = githubPayloads().find(({ type }) => type === 'push')!
const request = Buffer.concat([
  Buffer.from(
    `POST /webhooks/github HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: flood\r\nX-Hub-Signature-256: sha256=${'0'.repeat(64)}\r\nContent-Length: ${body.length}\r\n\r\n`,
  ),
  body,
])

let sent = 0
let answered = 0
let opened = 0
const statuses: Record<string, number> = {}
const sockets: (Socket | undefined)[] = Array.from({ length: CONNECTIONS }, () => undefined)
const idle: number[] = sockets.map((_, i) => i)

function send(at: number): void {
  let socket = sockets[at]
  if (socket === undefined || socket.destroyed) {
    socket = connect({ port, host: '127.0.0.1', localAddress: FROM, noDelay: true })
    sockets[at] = socket
    opened++
    socket.on('data', (chunk) => {
      // One request is under way on each connection.
      const status = chunk.toString('latin1', 9, 12)
      if (!chunk.toString('latin1', 0, 5).startsWith('HTTP/')) return
      statuses[status] = (statuses[status] ?? 0) + 1
      answered++
      // The gateway says when it keeps no connection; a flood does not wait for it to end.
      if (/\r\nconnection: close\r\n/i.test(chunk.toString('latin1'))) socket?.destroy()
      idle.push(at)
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      if (sockets[at] === socket) sockets[at] = undefined
    })
  }
  socket.write(request)
  sent++
}

const started = performance.now()
/** Requests that were not sent, because this process had no processor when they were due. */
let missed = 0
const timer = setInterval(() => {
  const due = ((performance.now() - started) / 1000) * rate
  missed += Math.max(0, Math.floor(due - sent - missed - (rate * CATCH_UP_MS) / 1000))
  while (sent + missed < due && idle.length > 0) send(idle.pop()!)
}, TICK_MS)
process.once('message', () => {
  clearInterval(timer)
  process.send?.({ sent, missed, answered, opened, statuses }, undefined, {}, () => process.exit(0))
})
process.send?.('ready')
