/**
 * The sender of a run, a process of its own that keeps a record of every attempt and answer: see files.ts. What is not accepted it sends
 * again, as GitLab and Standard Webhooks do: the same delivery, to the next gateway, until somebody accepts it.
 *
 *     node faults/ledger/sender.ts <directory> <secret>      (orders and answers by IPC)
 */
import { createHmac, randomUUID } from 'node:crypto'
import { openSync, writeSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { randomFrom } from '../../scripts/random.ts'
import { ATTEMPTS_FILE, hashOf, type Order } from './files.ts'

/** What it is told. */
export type SenderOrder =
  | {
      readonly kind: 'send'
      readonly ports: readonly number[]
      /** Deliveries under way at once. */
      readonly concurrency: number
      /** Pause of each of them between two deliveries, ms. */
      readonly paceMs: number
      readonly seed: string
      readonly mix: Mix
    }
  /** No new delivery; those under way are still brought to an end. */
  | { readonly kind: 'stop' }

/** What deliveries are like: every so manieth, 0 = none. */
export interface Mix {
  readonly failingEvery: number
  readonly deadlyEvery: number
  /** How long the handler works for each of them, ms. */
  readonly takesMs: number
  /** Characters of padding at most. */
  readonly padding: number
}

/** What it tells. */
export type SenderWord =
  | { readonly kind: 'progress'; readonly accepted: number; readonly longestGapMs: number }
  | { readonly kind: 'done'; readonly givenUp: number }

/** How long an answer may take, ms: GitHub's patience. */
const ANSWER_LIMIT_MS = 10_000
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1_000
/** How long after the stop deliveries are still sent again, ms. */
const GRACE_MS = 60_000
const TELL_EVERY_MS = 50

const [directory, secret] = process.argv.slice(2) as [string, string]
const file = openSync(join(directory, ATTEMPTS_FILE), 'a')
const agent = new Agent({ keepAlive: true, noDelay: true })

let next = 0
let accepted = 0
let givenUp = 0
let stoppedAt: number | undefined
let acceptedAt = performance.now()
let longestGapMs = 0

/** @returns the status and the event's id; 0 = no answer */
function post(port: number, delivery: string, body: Buffer): Promise<{ status: number; eventId: string }> {
  return new Promise((resolve) => {
    const nothing = () => resolve({ status: 0, eventId: '-' })
    const asked = request(
      {
        host: '127.0.0.1',
        port,
        path: '/webhooks/github',
        method: 'POST',
        agent,
        timeout: ANSWER_LIMIT_MS,
        headers: {
          'content-type': 'application/json',
          'content-length': body.length,
          'x-github-event': 'issues',
          'x-github-delivery': delivery,
          'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
        },
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (part: string) => {
          text += part
        })
        response.on('error', nothing)
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, eventId: eventIdIn(text) ?? '-' }),
        )
      },
    )
    asked.on('timeout', () => asked.destroy())
    asked.on('error', nothing)
    asked.end(body)
  })
}

function eventIdIn(answer: string): string | undefined {
  try {
    return (JSON.parse(answer) as { event_id?: string }).event_id
  } catch {
    return undefined
  }
}

/** Sends a delivery until it is accepted; resolves with whether it was. */
async function deliver(
  ports: readonly number[],
  delivery: number,
  body: Buffer,
  random: () => number,
): Promise<boolean> {
  const id = randomUUID()
  const hash = hashOf(body)
  for (let attempt = 0; ; attempt++) {
    writeSync(file, `S ${delivery} ${hash}\n`)
    const { status, eventId } = await post(ports[(delivery + attempt) % ports.length]!, id, body)
    writeSync(file, `A ${delivery} ${status} ${eventId}\n`)
    if (status === 202 || status === 200) return true
    if (stoppedAt !== undefined && performance.now() - stoppedAt > GRACE_MS) return false
    await pause(random() * Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt))
  }
}

async function work(order: Extract<SenderOrder, { kind: 'send' }>, random: () => number): Promise<void> {
  const { failingEvery, deadlyEvery, takesMs, padding } = order.mix
  while (stoppedAt === undefined) {
    const delivery = next++
    const instructions: Order = {
      delivery,
      ...(isOneOf(delivery, failingEvery) && { failures: 1 }),
      ...(isOneOf(delivery, deadlyEvery) && { deadly: true }),
      ...(takesMs > 0 && { takesMs }),
      padding: 'ü'.repeat(Math.floor(random() * padding)),
    }
    if (instructions.deadly) writeSync(file, `P ${delivery}\n`)
    const subject = { number: Math.floor(delivery / 4) + 1, title: `Delivery ${delivery}` }
    const body = Buffer.from(
      JSON.stringify({
        action: 'edited',
        issue: subject,
        repository: { full_name: 'weir/faults' },
        sender: { login: 'sender' },
        ...instructions,
      }),
    )
    if (await deliver(order.ports, delivery, body, random)) {
      const now = performance.now()
      longestGapMs = Math.max(longestGapMs, now - acceptedAt)
      acceptedAt = now
      accepted++
    } else givenUp++
    if (order.paceMs > 0) await pause(order.paceMs)
  }
}

function isOneOf(delivery: number, every: number): boolean {
  return every > 0 && delivery % every === every - 1
}

const tell = (word: SenderWord) => void process.send?.(word)

async function send(order: Extract<SenderOrder, { kind: 'send' }>): Promise<void> {
  const random = randomFrom(order.seed)
  acceptedAt = performance.now()
  const telling = setInterval(() => tell({ kind: 'progress', accepted, longestGapMs }), TELL_EVERY_MS)
  await Promise.all(Array.from({ length: order.concurrency }, () => work(order, random)))
  clearInterval(telling)
  tell({ kind: 'progress', accepted, longestGapMs })
  tell({ kind: 'done', givenUp })
  process.disconnect()
  agent.destroy()
}

process.on('message', (order: SenderOrder) => {
  if (order.kind === 'send') void send(order)
  else stoppedAt = performance.now()
})
process.on('disconnect', () => process.exit(0))
