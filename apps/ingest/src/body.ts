/**
 * Reading a request's body: as many bytes as allowed, in the time allowed, and every way it can go wrong told apart.
 */
import type { BodyFailure, Exchange } from './exchange.ts'
import { type Problem, problem } from './problem.ts'

export interface BodyLimits {
  /** Most bytes, as sent. */
  readonly maxBytes: number
  /** From the first bytes to the last, ms. A body that never begins is the server's last resort (server.ts). */
  readonly timeoutMs: number
}

const EMPTY = Buffer.alloc(0)

/**
 * Resolves with the raw bytes, or with why there are none. Never rejects.
 * @param declared Content-Length, bytes; -1 when there is none
 */
export function readBody(
  exchange: Exchange,
  declared: number,
  { maxBytes, timeoutMs }: BodyLimits,
): Promise<Buffer | BodyFailure> {
  return new Promise((resolve) => {
    const { request } = exchange
    let size = 0
    let first: Buffer | undefined
    let chunks: Buffer[] | undefined
    let timer: NodeJS.Timeout | undefined
    let finished = false
    const finish = (result: Buffer | BodyFailure): void => {
      // A request closes once it was read, which is no failure of its body.
      if (finished) return
      finished = true
      if (timer !== undefined) clearTimeout(timer)
      exchange.breakBody = undefined
      if (typeof result === 'string') {
        // What still comes is not for us; whoever answers drops it.
        request.off('data', onData)
        exchange.bodyFailed = true
      }
      resolve(result)
    }
    const onData = (chunk: Buffer): void => {
      size += chunk.length
      if (size > maxBytes) finish('too-large')
      else if (first === undefined) {
        first = chunk
        // Most bodies come whole; those need no watch, and a timer for each costs a microsecond.
        if (size !== declared) timer = setTimeout(finish, timeoutMs, 'too-slow')
      } else if (chunks === undefined) chunks = [first, chunk]
      else chunks.push(chunk)
    }
    exchange.breakBody = finish
    request.on('data', onData)
    request.on('end', () => finish(chunks === undefined ? (first ?? EMPTY) : Buffer.concat(chunks, size)))
    request.on('close', () => finish('gone'))
  })
}

export const SIZE_ADVICE = 'Send less, or raise webhook.security.max_payload_size.'

/** The refusal that a failure deserves; undefined when nobody is there to hear it. */
export function bodyProblem(failure: BodyFailure, { maxBytes, timeoutMs }: BodyLimits): Problem | undefined {
  switch (failure) {
    case 'too-large':
      return problem('BODY_TOO_LARGE', `The body has more than ${maxBytes} bytes. ${SIZE_ADVICE}`)
    case 'too-slow':
      return problem(
        'REQUEST_TIMEOUT',
        `The body did not arrive within ${timeoutMs / 1000} s; send it without pauses.`,
      )
    case 'truncated':
      return problem('BODY_TRUNCATED')
    case 'malformed':
      return problem('MALFORMED_REQUEST')
    case 'gone':
      return undefined
  }
}
