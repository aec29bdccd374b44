/** What becomes of an event whose attempt ended, and what that says of its tool's handlers. */
import { type FaultCode, isFault, messageOf } from '@weir/core/faults'
import { PermanentError } from '@weir/core/handlers/handler'
import { type Backoff, retryDelay } from './backoff.ts'
import { MalformedEvent } from './decode.ts'
import type { HeldItem } from './held.ts'
import { ConsumerStopping, OwnershipLost } from './run.ts'
import type { Outcome } from './settler.ts'

/** How an attempt ended, and what that says of the tool's handlers to its breaker. */
export interface Verdict {
  /** undefined = nothing is ours to settle. */
  readonly outcome: Outcome | undefined
  readonly failure: unknown
  readonly judged: 'success' | 'failure' | 'nothing'
}

export interface VerdictOptions {
  /** Failed attempts after which an event is dead: max_retries + 1. */
  readonly maxAttempts: number
  readonly backoff: Backoff
  readonly random: () => number
  /** Delay until what is missing is looked for again, ms. */
  readonly needsRetryMs: number
  /** Takes secrets out of a message. */
  readonly redact: (text: string) => string
}

export interface Verdicts {
  /** Of an event that did not come as far as its handlers. */
  unreadable(item: HeldItem, error: unknown): Verdict
  /** Of one whose handlers failed, or were cut short. */
  failed(item: HeldItem, error: unknown): Verdict
  /** What people are told of an error: handlers' errors often quote a request, with its token. */
  told(error: unknown): string
}

const SETTLED: Outcome = { kind: 'settled' }
export const SUCCESS: Verdict = { outcome: SETTLED, failure: undefined, judged: 'success' }
export const NOT_WANTED: Verdict = { outcome: SETTLED, failure: undefined, judged: 'nothing' }

/** What an event waits for that cannot be read yet. */
const WAITS: Partial<Record<FaultCode, 'key' | 'newer'>> = {
  KEY_MISSING: 'key',
  KEYRING_UNAVAILABLE: 'key',
  KEYRING_CORRUPT: 'key',
  RECORD_NEWER: 'newer',
}
/** Somebody has to do something about these. */
export const LOUD: ReadonlySet<string> = new Set(['dictionary', 'key', 'newer'])

export function createVerdicts(options: VerdictOptions): Verdicts {
  const told = (error: unknown): string => options.redact(messageOf(error))

  const tryAgain = (item: HeldItem, reason: 'handler' | 'timeout', error: string): Outcome => {
    const attempts = item.attempts + 1
    if (attempts >= options.maxAttempts) return { kind: 'dead', reason, attempts, error }
    const delayMs = retryDelay(options.backoff, attempts, options.random)
    return { kind: 'park', reason: 'retry', delayMs, attempts, error }
  }

  /** Why it is dead at once, if it is. */
  const hopeless = (error: unknown): string | undefined => {
    if (isFault(error, 'RECORD_CORRUPT')) return 'corrupt'
    if (isFault(error, 'KEY_DESTROYED')) return 'key-destroyed'
    if (error instanceof MalformedEvent) return 'malformed'
    return error instanceof PermanentError ? 'permanent' : undefined
  }

  const outcomeUnread = (item: HeldItem, failure: unknown): Outcome => {
    const error = told(failure)
    const reason = hopeless(failure)
    if (reason !== undefined) return { kind: 'dead', reason, attempts: item.attempts + 1, error }
    if (!isFault(failure)) return tryAgain(item, 'handler', error)
    const waitsFor = WAITS[failure.code] ?? 'dictionary'
    return { kind: 'park', reason: waitsFor, delayMs: options.needsRetryMs, attempts: item.attempts, error }
  }

  return {
    told,
    unreadable: (item, failure) => ({ outcome: outcomeUnread(item, failure), failure, judged: 'nothing' }),
    failed(item, failure) {
      if (failure instanceof OwnershipLost) return { outcome: undefined, failure, judged: 'nothing' }
      if (failure instanceof ConsumerStopping) {
        const { attempts } = item
        const outcome = { kind: 'park', reason: 'retry', delayMs: 0, attempts, error: '' } as const
        return { outcome, failure, judged: 'nothing' }
      }
      const error = told(failure)
      if (failure instanceof PermanentError) {
        const outcome = { kind: 'dead', reason: 'permanent', attempts: item.attempts + 1, error } as const
        return { outcome, failure, judged: 'nothing' }
      }
      const reason = isFault(failure, 'HANDLER_TIMEOUT') ? 'timeout' : 'handler'
      return { outcome: tryAgain(item, reason, error), failure, judged: 'failure' }
    },
  }
}
