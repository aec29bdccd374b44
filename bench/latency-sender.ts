/**
 * The sender of bench/latency.ts, a process of its own: signed GitHub deliveries at a constant rate by the clock, whether
 * or not the answers come (open loop). A delivery that finds all connections busy opens another; nothing waits for an
 * answer, so a slow gateway cannot slow down the load that it is measured with (coordinated omission).
 *
 * It shares the machine with what it measures, so it is lean: bare connections, bodies signed beforehand.
 *
 *     node bench/latency-sender.ts <port> <secret>     (orders and answers by IPC)
 */
import { createHmac, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import {
  ANSWERED,
  COLUMNS,
  deliveryId,
  monotonicMs,
  type Order,
  SCHEDULED,
  SENT,
  type SenderMessage,
  STATUS,
} from './latency-deliveries.ts'
import { githubPayloads } from './payloads.ts'

/** Connections at most; deliveries beyond wait here, and their waiting counts. */
const MAX_CONNECTIONS = 1000
/** How long the last answers may take, ms. */
const LAST_ANSWERS_MS = 60_000
const ANSWER_POLL_MS = 10

const [port, secret] = process.argv.slice(2) as [string, string]
const run = randomBytes(4).toString('hex')
const requests = githubPayloads().map(({ type, body }) => ({
  before: `POST /webhooks/github HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: */*\r\nContent-Type: application/json\r\nUser-Agent: GitHub-Hookshot/044aadd\r\nX-GitHub-Delivery: `,
  after: `\r\nX-GitHub-Event: ${type}\r\nX-GitHub-Hook-ID: 292430182\r\nX-GitHub-Hook-Installation-Target-ID: 79929171\r\nX-GitHub-Hook-Installation-Target-Type: repository\r\nX-Hub-Signature-256: sha256=${createHmac('sha256', secret).update(body).digest('hex')}\r\nContent-Length: ${body.length}\r\n\r\n`,
  body,
}))

/** Told when a delivery set out (perhaps to wait for a connection), and with which status (0: the connection ended) it was answered. */
interface Listener {
  sent(number: number): void
  answered(number: number, status: number): void
}

function createConnections(listener: Listener) {
  const free: Socket[] = []
  const waiting: number[] = []
  let open = 0

  const start = (socket: Socket, number: number, busy: Map<Socket, number>) => {
    const { before, after, body } = requests[number % requests.length]!
    busy.set(socket, number)
    socket.cork()
    socket.write(`${before}${deliveryId(run, number)}${after}`, 'latin1')
    socket.write(body)
    socket.uncork()
  }
  const busy = new Map<Socket, number>()

  const openSocket = (): Socket => {
    open++
    const socket = connect({ port: Number(port), host: '127.0.0.1', noDelay: true })
    let answer = ''
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1')
      if (!isWhole(answer)) return
      const number = busy.get(socket)
      busy.delete(socket)
      if (number !== undefined) listener.answered(number, Number(answer.slice(9, 12)))
      answer = ''
      const next = waiting.shift()
      if (next === undefined) free.push(socket)
      else start(socket, next, busy)
    })
    // What went wrong shows in the delivery that has no answer.
    socket.on('error', () => undefined)
    socket.on('close', () => {
      open--
      const number = busy.get(socket)
      busy.delete(socket)
      if (number !== undefined) listener.answered(number, 0)
      const at = free.indexOf(socket)
      if (at >= 0) free.splice(at, 1)
      const next = waiting.shift()
      if (next !== undefined) start(openSocket(), next, busy)
    })
    return socket
  }

  return {
    get open() {
      return open
    },
    send(number: number) {
      listener.sent(number)
      const socket = free.pop()
      if (socket !== undefined) start(socket, number, busy)
      else if (open < MAX_CONNECTIONS) start(openSocket(), number, busy)
      else waiting.push(number)
    },
  }
}

function isWhole(answer: string): boolean {
  const end = answer.indexOf('\r\n\r\n')
  if (end < 0) return false
  const length = /content-length: (\d+)/i.exec(answer)?.[1]
  return length === undefined ? answer.endsWith('\r\n0\r\n\r\n') : answer.length >= end + 4 + Number(length)
}

/** What is measured now; deliveries outside it are warm-up. */
let table = new Float64Array(0)
let firstMeasured = 0
let unanswered = 0

const connections = createConnections({
  sent(number) {
    const row = (number - firstMeasured) * COLUMNS
    if (row >= 0) table[row + SENT] = monotonicMs()
  },
  answered(number, status) {
    unanswered--
    const row = (number - firstMeasured) * COLUMNS
    if (row < 0) return
    table[row + ANSWERED] = monotonicMs()
    table[row + STATUS] = status
  },
})

function tell(message: SenderMessage): void {
  process.send?.(message)
}

function obey({ rate, warmUp, count, first, file }: Order): void {
  const total = warmUp + count
  const interval = 1000 / rate
  table = new Float64Array(count * COLUMNS)
  firstMeasured = first + warmUp
  unanswered = 0
  let cpu = process.cpuUsage()
  let done = 0
  const begin = monotonicMs()

  const finish = (deadline: number) => {
    if (unanswered > 0 && monotonicMs() < deadline) return setTimeout(finish, ANSWER_POLL_MS, deadline)
    const used = process.cpuUsage(cpu)
    writeFileSync(file, table)
    tell({ kind: 'done', cpu: (used.user + used.system) / 1e6, connections: connections.open })
  }
  const tick = () => {
    const now = monotonicMs()
    for (; done < total; done++) {
      const due = begin + done * interval
      if (due > now) break
      if (done === warmUp) {
        cpu = process.cpuUsage()
        tell({ kind: 'measuring' })
      }
      if (done >= warmUp) table[(done - warmUp) * COLUMNS + SCHEDULED] = due
      unanswered++
      connections.send(first + done)
    }
    if (done === total) finish(monotonicMs() + LAST_ANSWERS_MS)
    else setTimeout(tick, Math.max(0, begin + done * interval - monotonicMs()))
  }
  tick()
}

process.on('message', (order: Order) => obey(order))
process.on('disconnect', () => process.exit(0))
tell({ kind: 'ready' })
