/**
 * Sends at a constant rate by the clock, whether or not the answers come (open loop): a slow gateway cannot slow down the load that
 * it is measured with. Times count from when a delivery was due, so that waiting for a connection counts (coordinated omission).
 */
import { Agent, request } from 'node:http'
import { Agent as TlsAgent, request as tlsRequest } from 'node:https'
import type { Clock } from '@weir/core/clock'
import { messageOf } from '@weir/core/faults'
import type { Delivery } from './deliveries.ts'

export interface Answered {
  /** Which delivery, from 0. */
  readonly n: number
  /** HTTP status; 0 = there was no answer. */
  readonly status: number
  /** Of what was accepted or seen before. */
  readonly eventId: string | undefined
  /** What was wrong, in the gateway's words, or why there was no answer. */
  readonly detail: string | undefined
  /** From when it was due, ms. */
  readonly ms: number
  /** How late it was sent, ms. */
  readonly lateMs: number
}

export interface SendPlan {
  /** Where the nth goes; all with the same protocol. */
  readonly url: (n: number) => string
  /** Deliveries a second. */
  readonly rate: number
  readonly count: number
  readonly maxConnections: number
  readonly delivery: (n: number) => Delivery
  readonly clock: Clock
  /** Ends it early. */
  readonly signal: AbortSignal
  readonly onAnswer: (answered: Answered) => void
}

/** How long an answer may take, ms. */
const ANSWER_LIMIT_MS = 30_000
/** Of an answer that is no event's; what follows is not read. */
const MAX_ANSWER_BYTES = 64 * 1024

/** Resolves with how many were sent, when all are answered. */
export async function sendAll(plan: SendPlan): Promise<number> {
  const { clock, rate, count, signal } = plan
  const secure = plan.url(0).startsWith('https:')
  const agent = new (secure ? TlsAgent : Agent)({
    keepAlive: true,
    maxSockets: plan.maxConnections,
    noDelay: true,
  })
  const began = clock.monotonic()
  const underWay = new Set<Promise<void>>()
  let sent = 0
  while (sent < count && !signal.aborted) {
    const now = clock.monotonic()
    for (; sent < count && began + (sent * 1000) / rate <= now; sent++) {
      const one = post(plan, secure ? tlsRequest : request, agent, sent, began + (sent * 1000) / rate)
      underWay.add(one)
      void one.then(() => underWay.delete(one))
    }
    await clock.wait(Math.max(0, began + (sent * 1000) / rate - clock.monotonic()), signal)
  }
  await Promise.all(underWay)
  agent.destroy()
  return sent
}

/** Never rejects: what goes wrong is an answer, too. */
async function post(
  plan: SendPlan,
  ask: typeof request,
  agent: Agent,
  n: number,
  dueAt: number,
): Promise<void> {
  const { clock } = plan
  const { headers, body } = plan.delivery(n)
  const lateMs = clock.monotonic() - dueAt
  try {
    const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
      const length = { 'content-length': body.length }
      const asked = ask(plan.url(n), {
        method: 'POST',
        agent,
        headers: { ...headers, ...length },
        timeout: ANSWER_LIMIT_MS,
      })
      asked.on('timeout', () => asked.destroy(new Error(`no answer within ${ANSWER_LIMIT_MS} ms`)))
      asked.on('error', reject)
      asked.on('response', (response) => {
        let read = ''
        response.setEncoding('utf8')
        response.on('data', (part: string) => {
          if (read.length < MAX_ANSWER_BYTES) read += part
        })
        response.on('error', reject)
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text: read }))
      })
      asked.end(body)
    })
    plan.onAnswer({ n, status, ...wordsOf(text), ms: clock.monotonic() - dueAt, lateMs })
  } catch (error) {
    const detail = messageOf(error)
    plan.onAnswer({ n, status: 0, eventId: undefined, detail, ms: clock.monotonic() - dueAt, lateMs })
  }
}

/** A gateway answers {"status","event_id"}, or a problem document. */
function wordsOf(text: string): Pick<Answered, 'eventId' | 'detail'> {
  let answer: unknown
  try {
    answer = JSON.parse(text)
  } catch {
    return { eventId: undefined, detail: 'the answer is not JSON: is this a gateway?' }
  }
  const field = (name: string): string | undefined => {
    const value: unknown =
      typeof answer === 'object' && answer !== null ? Reflect.get(answer, name) : undefined
    return typeof value === 'string' ? value : undefined
  }
  return { eventId: field('event_id'), detail: field('detail') ?? field('code') }
}
