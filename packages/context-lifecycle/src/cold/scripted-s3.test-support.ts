/** An S3 server that answers what a test tells it to, request by request, and a clock whose time-outs it decides. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '@weir/core/clock'
import { afterEach, beforeEach } from 'vitest'

export interface Heard {
  readonly method: string
  /** With the query. */
  readonly path: string
  readonly headers: IncomingMessage['headers']
  /** Whole, unless the answer came before it. */
  body: Buffer
}

/** Called when the request is whole; in place of that, at its headers, where `early` says so. */
export type Reply = ((response: ServerResponse, request: IncomingMessage) => void) & { readonly early?: true }

export interface ScriptedS3 {
  readonly endpoint: string
  readonly heard: readonly Heard[]
  /** The next requests get these answers, the last of them again and again. */
  script(...replies: readonly Reply[]): void
  /** Resolves when the server has begun to answer this many requests. */
  answered(count: number): Promise<void>
}

export const xml =
  (status: number, body: string, headers: Readonly<Record<string, string>> = {}): Reply =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/xml', ...headers }).end(body)

export const error = (status: number, code: string, headers?: Readonly<Record<string, string>>): Reply =>
  xml(
    status,
    `<?xml version="1.0"?><Error><Code>${code}</Code><Message>said ${code}</Message></Error>`,
    headers,
  )

export const ok =
  (body: Buffer | string = ''): Reply =>
  (response) =>
    response.writeHead(200).end(body)

/** A page of a list; `next` is the token of the next one. */
export const page = (names: readonly string[], next = '', more = ''): Reply => {
  const contents = names.map((name) => `<Contents><Key>${name}</Key><Size>1</Size></Contents>`).join('')
  const rest = next === '' ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`
  return xml(
    200,
    `<ListBucketResult><IsTruncated>${next !== ''}</IsTruncated>${rest}${more}${contents}</ListBucketResult>`,
  )
}

export const silence: Reply = () => undefined

/** As `reply`, at the headers of a request, without waiting for its body. */
export const early = (reply: Reply): Reply => Object.assign(reply, { early: true as const })

export function useScriptedS3(): ScriptedS3 {
  let replies: Reply[] = []
  let heard: Heard[] = []
  let waiting: { readonly count: number; readonly resolve: () => void }[] = []
  let answered = 0
  const answer = (reply: Reply, response: ServerResponse, request: IncomingMessage) => {
    reply(response, request)
    answered++
    for (const { count, resolve } of waiting) if (answered >= count) resolve()
  }
  const server = createServer((request, response) => {
    const reply = replies.length > 1 ? (replies.shift() as Reply) : replies[0]
    if (reply === undefined) throw new Error('the script has no answer')
    const one = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      body: Buffer.alloc(0),
    }
    heard.push(one)
    request.on('error', () => undefined)
    if (reply.early) {
      request.once('data', () => answer(reply, response, request))
      return
    }
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      one.body = Buffer.concat(chunks)
      answer(reply, response, request)
    })
  })
  beforeEach(async () => {
    replies = []
    heard = []
    waiting = []
    answered = 0
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  })
  afterEach(async () => {
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  })
  return {
    get endpoint() {
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    },
    get heard() {
      return heard
    },
    script(...next) {
      replies = [...next]
    },
    answered: (count) =>
      new Promise((resolve) => {
        if (answered >= count) resolve()
        else waiting.push({ count, resolve })
      }),
  }
}

/**
 * A clock on which an attempt's time runs out when the test says so, and pauses are over at once; `pauses` has them, ms.
 * @param attemptMs how an attempt's time-out is told from a pause
 */
export function attemptClock(attemptMs: number) {
  const pauses: number[] = []
  const ends = new Set<() => void>()
  const clock: Clock = {
    now: () => 1_700_000_000_000,
    monotonic: () => 0,
    wait: (ms, signal) => {
      if (ms !== attemptMs) {
        pauses.push(ms)
        return Promise.resolve()
      }
      return new Promise((resolve) => {
        const end = () => {
          ends.delete(end)
          resolve()
        }
        ends.add(end)
        signal?.addEventListener('abort', end, { once: true })
      })
    },
  }
  return {
    clock,
    pauses,
    /** The time of every attempt that runs is up. */
    expire() {
      for (const end of [...ends]) end()
    },
    /** Attempts whose time runs. */
    get running() {
      return ends.size
    },
  }
}
