/**
 * Runs held events through the stages, `num_workers` at a time, and hands each outcome to the settler. What needs not
 * wait for anything (nothing to ask Redis, a handler that is done when it returns) is done in one go, without a promise.
 *
 *   Redis does not answer a question that comes first → back into the queue, asked again later
 *   not ours any more               → dropped; whoever has it now settles it
 *   breaker open                    → parked until it may run, no attempt used
 *   settled already under another entry (waited longer than its window) → superseded
 *   stages succeed                  → settled
 *   PermanentError, malformed       → dead
 *   key or dictionary missing, or packed by a newer version → parked, no attempt used, loud
 *   its key was destroyed           → dead
 *   its context cannot take it      → back into the queue (Redis is away or full), no attempt used
 *   consumer stops                  → parked, due now, no attempt used
 *   anything else, or out of time   → parked with backoff; after max_retries → dead
 */
import type { Clock } from '@weir/core/clock'
import { Fault, type FaultCode, isFault, messageOf } from '@weir/core/faults'
import { type HandlerEvent, PermanentError } from '@weir/core/handlers/handler'
import type { EventRecord } from '@weir/core/record'
import type { Logger } from 'pino'
import { type Backoff, retryDelay } from './backoff.ts'
import type { Breakers } from './breakers.ts'
import { type Decoder, MalformedEvent } from './decode.ts'
import type { Held, HeldItem } from './held.ts'
import { ConsumerStopping, OwnershipLost, Run } from './run.ts'
import type { Outcome } from './settler.ts'
import { type FanOut, requestIdOf, runHandlers } from './stages.ts'
import type { Workers } from './workers.ts'

export interface ExecutorOptions {
  readonly held: Held
  readonly settle: (item: HeldItem, outcome: Outcome) => void
  readonly decoder: Decoder
  readonly fanOut: FanOut
  readonly breakers: Breakers
  readonly clock: Clock
  readonly log: Logger
  /** Shared with the executors of the process's other partitions. */
  readonly workers: Workers
  /** ms */
  readonly handlerTimeoutMs: number
  /** Failed attempts after which an event is dead: max_retries + 1. */
  readonly maxAttempts: number
  readonly backoff: Backoff
  readonly random: () => number
  /** Monotonic age of the last confirmation after which ownership is asked for again, ms. */
  readonly confirmAfterMs: number
  /** Is the item still ours? Renews it when it is. */
  readonly confirm: (item: HeldItem) => Promise<boolean>
  /** Might this event have been settled under another entry? Cheap and local; true asks Redis. */
  readonly mayBeSettled: (item: HeldItem) => boolean
  readonly wasSettled: (item: HeldItem) => Promise<boolean>
  /** Fetches the key and the dictionary that a record needs; rejects with the Fault that says which is missing. */
  readonly fetchNeeds: (record: EventRecord) => Promise<unknown>
  /** Delay until what is missing is looked for again, ms. */
  readonly needsRetryMs: number
  /** Resolves when Redis, which did not answer, is worth asking again; at once when the signal aborts. */
  readonly redisAgain: (signal: AbortSignal) => Promise<void>
  /** Takes secrets out of a message. */
  readonly redact: (text: string) => string
  /** Puts an event into its context, before its handlers run; undefined = there are no contexts. */
  readonly remember?: ((event: HandlerEvent, record: EventRecord) => Promise<unknown>) | undefined
  readonly onRun: (item: HeldItem, seconds: number, outcome: Outcome) => void
}

export interface Executor {
  /** Starts as many queued items as there are free workers; goes on by itself. */
  pump(): void
  readonly running: number
  /** Aborts running handlers that are over their time. */
  checkTimeouts(): void
  /** Aborts every running handler and starts no further one; what is queued stays queued. */
  shutDown(reason: Error): void
}

/** A half-open breaker is asked again no sooner than this, ms. */
const MIN_BREAKER_WAIT_MS = 100
/** Time-outs are checked several times a second; a longer gap means that the process stood still, ms. */
const STANDSTILL_MS = 1_000

/** Pause before it is told again that events are put back, ms. */
const TELL_AGAIN_MS = 10_000

/** Events started before the event loop gets a turn, so that answers, time-outs and signals are not kept waiting. */
const TURN = 100

/** How an attempt ended, and what that says of the tool's handlers to its breaker. */
interface Verdict {
  /** undefined = nothing is ours to settle. */
  readonly outcome: Outcome | undefined
  readonly failure: unknown
  readonly judged: 'success' | 'failure' | 'nothing'
}

/** What an event waits for that cannot be read yet. */
const WAITS: Partial<Record<FaultCode, 'key' | 'newer'>> = {
  KEY_MISSING: 'key',
  KEYRING_UNAVAILABLE: 'key',
  KEYRING_CORRUPT: 'key',
  RECORD_NEWER: 'newer',
}
/** Somebody has to do something about these. */
const LOUD: ReadonlySet<string> = new Set(['dictionary', 'key', 'newer'])

const SETTLED: Outcome = { kind: 'settled' }
const SUCCESS: Verdict = { outcome: SETTLED, failure: undefined, judged: 'success' }
const NOT_WANTED: Verdict = { outcome: SETTLED, failure: undefined, judged: 'nothing' }

export function createExecutor(options: ExecutorOptions): Executor {
  const { held, settle, decoder, fanOut, breakers, workers, clock, log, backoff, remember } = options
  /** Those that wait for something: a handler, a dictionary, a key. */
  const runs = new Set<Run>()
  const down = new AbortController()
  /** What people are told of an error: handlers' errors often quote a request, with its token. */
  const told = (error: unknown): string => options.redact(messageOf(error))

  /** The outcome of an event that did not come as far as its handlers. */
  const unreadable = (item: HeldItem, error: unknown): Outcome => {
    const attempts = item.attempts + 1
    const message = told(error)
    if (isFault(error, 'RECORD_CORRUPT')) return { kind: 'dead', reason: 'corrupt', attempts, error: message }
    if (isFault(error, 'KEY_DESTROYED'))
      return { kind: 'dead', reason: 'key-destroyed', attempts, error: message }
    if (error instanceof MalformedEvent)
      return { kind: 'dead', reason: 'malformed', attempts, error: message }
    if (error instanceof PermanentError)
      return { kind: 'dead', reason: 'permanent', attempts, error: message }
    if (isFault(error)) {
      const delayMs = options.needsRetryMs
      const reason = WAITS[error.code] ?? 'dictionary'
      return { kind: 'park', reason, delayMs, attempts: item.attempts, error: message }
    }
    return tryAgain(item, 'handler', message)
  }

  const failed = (item: HeldItem, error: unknown): Verdict => {
    const message = told(error)
    if (error instanceof OwnershipLost) return { outcome: undefined, failure: error, judged: 'nothing' }
    if (error instanceof ConsumerStopping) {
      const outcome = {
        kind: 'park',
        reason: 'retry',
        delayMs: 0,
        attempts: item.attempts,
        error: '',
      } as const
      return { outcome, failure: error, judged: 'nothing' }
    }
    if (error instanceof PermanentError) {
      const outcome = {
        kind: 'dead',
        reason: 'permanent',
        attempts: item.attempts + 1,
        error: message,
      } as const
      return { outcome, failure: error, judged: 'nothing' }
    }
    const reason = isFault(error, 'HANDLER_TIMEOUT') ? 'timeout' : 'handler'
    return { outcome: tryAgain(item, reason, message), failure: error, judged: 'failure' }
  }

  const tryAgain = (item: HeldItem, reason: 'handler' | 'timeout', error: string): Outcome => {
    const attempts = item.attempts + 1
    if (attempts >= options.maxAttempts) return { kind: 'dead', reason, attempts, error }
    const delayMs = retryDelay(backoff, attempts, options.random)
    return { kind: 'park', reason: 'retry', delayMs, attempts, error }
  }

  /** What the breaker learns: an event that says nothing of the handlers leaves the probe to another one. */
  const tell = (tool: string, judged: Verdict['judged'], probe: boolean): Promise<void> | undefined => {
    const told =
      judged !== 'nothing' ? breakers.report(tool, judged, probe) : probe ? breakers.release(tool) : undefined
    return told?.catch((error: unknown) => {
      log.warn({ tool, err: messageOf(error) }, 'breaker was not told')
    })
  }

  /** Starts one item, for which a worker was taken. */
  const begin = (item: HeldItem): void => {
    const now = clock.monotonic()
    if (now - item.confirmedAt > options.confirmAfterMs) {
      whatever(item, confirm(item))
      return
    }
    const gate = breakers.gate(item.record.tool)
    if (gate === undefined && !options.mayBeSettled(item)) execute(item, false, now)
    else whatever(item, ask(item, gate))
  }

  /** Work that may fail at any point before the item's outcome is known. */
  const whatever = (item: HeldItem, work: Promise<void>): void => {
    work.catch((error: unknown) => putBack(item, error))
  }

  /** Asks whether the item is still ours. */
  const confirm = async (item: HeldItem): Promise<void> => {
    if (await options.confirm(item)) return ask(item, breakers.gate(item.record.tool))
    held.remove(item)
    freed()
  }

  /** Asks what else has to be known before it may run. */
  const ask = async (item: HeldItem, gate: ReturnType<Breakers['gate']>): Promise<void> => {
    const { tool } = item.record
    let probe = false
    if (gate !== undefined) {
      const decision = await gate
      if (decision.kind === 'wait') {
        const delayMs = Math.max(decision.waitMs, MIN_BREAKER_WAIT_MS)
        settle(item, { kind: 'park', reason: 'breaker', delayMs, attempts: item.attempts, error: '' })
        return freed()
      }
      probe = decision.kind === 'probe'
    }
    if (options.mayBeSettled(item) && (await options.wasSettled(item))) {
      await tell(tool, 'nothing', probe)
      settle(item, { kind: 'superseded' })
      return freed()
    }
    if (down.signal.aborted) {
      await tell(tool, 'nothing', probe)
      held.requeue(item)
      return freed()
    }
    execute(item, probe, clock.monotonic())
  }

  const execute = (item: HeldItem, probe: boolean, started: number): void => {
    const run = new Run(item, probe, started + options.handlerTimeoutMs)
    const conclude = (verdict: Verdict) => finish(run, verdict, started)
    let event: HandlerEvent
    try {
      event = decoder.decode(item.record, item.attempts + 1)
    } catch (error) {
      if (isFault(error, 'DICTIONARY_MISSING') || isFault(error, 'KEY_MISSING')) decodeLater(run, conclude)
      else conclude({ outcome: unreadable(item, error), failure: error, judged: 'nothing' })
      return
    }
    remembered(run, event, conclude)
  }

  /**
   * Stage 2: the event comes into its context, and then to its handlers. While Redis does not take it, it is put back: it keeps
   * its attempts, and its breaker learns nothing.
   */
  const remembered = (run: Run, event: HandlerEvent, conclude: (verdict: Verdict) => void): void => {
    if (remember === undefined) {
      attempt(run, event, conclude)
      return
    }
    const { item } = run
    enroll(run)
    const work = remember(event, item.record).then(
      () => attempt(run, event, conclude),
      async (error: unknown) => {
        const away = isFault(error, 'REDIS_UNAVAILABLE') || isFault(error, 'REDIS_OUT_OF_MEMORY')
        if (!away) return conclude({ outcome: unreadable(item, error), failure: error, judged: 'nothing' })
        leave(run)
        await tell(item.record.tool, 'nothing', run.probe)
        throw error
      },
    )
    whatever(item, work)
  }

  /** Decodes an event once its key and dictionary are fetched. */
  const decodeLater = (run: Run, conclude: (verdict: Verdict) => void): void => {
    const { item } = run
    enroll(run)
    const work = options
      .fetchNeeds(item.record)
      .then(() => decoder.decode(item.record, item.attempts + 1))
      .then(
        (event) => remembered(run, event, conclude),
        (error: unknown) => conclude({ outcome: unreadable(item, error), failure: error, judged: 'nothing' }),
      )
    whatever(item, work)
  }

  const attempt = (run: Run, event: HandlerEvent, conclude: (verdict: Verdict) => void): void => {
    run.event = event
    const handlers = fanOut.handlersFor(event)
    let verdict = NOT_WANTED
    if (handlers.length > 0) {
      try {
        if (run.expired !== undefined) throw run.expired
        const work = runHandlers(handlers, event, run, log)
        if (work !== undefined) {
          enroll(run)
          run.follow(work, (ending) => conclude(ending.ok ? SUCCESS : failed(run.item, ending.error)))
          return
        }
        verdict = SUCCESS
      } catch (error) {
        verdict = failed(run.item, error)
      }
    }
    conclude(verdict)
  }

  /** From now on the run has a deadline, and can be aborted. */
  const enroll = (run: Run): void => {
    runs.add(run)
    run.item.abort = (reason) => run.expire(reason)
  }

  const leave = (run: Run): void => {
    if (run.item.abort === undefined) return
    runs.delete(run)
    run.item.abort = undefined
  }

  const finish = (run: Run, verdict: Verdict, started: number): void => {
    const { item, probe } = run
    leave(run)
    const told = tell(item.record.tool, verdict.judged, probe)
    if (told === undefined) hand(run, verdict, started)
    else void told.then(() => hand(run, verdict, started))
  }

  /** Hands the outcome on, and gives the worker back. */
  const hand = (run: Run, { outcome, failure }: Verdict, started: number): void => {
    const { item } = run
    if (outcome === undefined) {
      held.remove(item)
    } else {
      const seconds = (clock.monotonic() - started) / 1000
      if (outcome.kind !== 'settled') note(run, outcome, failure, seconds)
      options.onRun(item, seconds, outcome)
      settle(item, outcome)
    }
    freed()
  }

  const note = ({ item, event }: Run, outcome: Outcome, failure: unknown, seconds: number) => {
    const reason = outcome.kind === 'park' || outcome.kind === 'dead' ? outcome.reason : ''
    const { id, tool, tenant, type } = item.record
    log[LOUD.has(reason) ? 'error' : 'warn'](
      {
        event_id: id,
        request_id: event === undefined ? id : requestIdOf(event),
        tool,
        tenant,
        type,
        stream_id: item.streamId,
        attempt: item.attempts + 1,
        outcome: outcome.kind,
        reason,
        seconds,
        err: told(failure),
      },
      outcome.kind === 'dead' ? 'event dead-lettered' : 'event will be retried',
    )
  }

  /** Puts an item back whose questions Redis did not answer: it keeps its place among the held ones. */
  const putBack = async (item: HeldItem, error: unknown): Promise<void> => {
    const now = clock.monotonic()
    // Of a thousand held events each comes back here again and again: one of them speaks for all.
    const level = now - toldOfPutBack < TELL_AGAIN_MS ? 'debug' : 'warn'
    if (level === 'warn') toldOfPutBack = now
    log[level]({ event_id: item.record.id, err: messageOf(error) }, 'event put back')
    await options.redisAgain(down.signal)
    held.requeue(item)
    freed()
  }

  let toldOfPutBack = Number.NEGATIVE_INFINITY

  const freed = () => {
    workers.release()
    pump()
  }

  /** True while pump is at it (what is done in one go gives its worker back meanwhile), or will be called anyway. */
  let pumping = false
  let waiting = false
  /** Since the event loop had its turn for sure. */
  let started = 0
  const pumpLater = () => {
    waiting = false
    pump()
  }
  const pumpNextTurn = () => {
    started = 0
    pumpLater()
  }
  const pump = () => {
    if (pumping || waiting) return
    pumping = true
    try {
      for (; held.queued > 0 && !down.signal.aborted; started++) {
        if (started >= TURN) {
          waiting = true
          setImmediate(pumpNextTurn)
          return
        }
        if (!workers.take()) {
          waiting = true
          workers.onFree(pumpLater)
          return
        }
        const item = held.take()
        if (item === undefined) {
          workers.release()
          return
        }
        try {
          begin(item)
        } catch (error) {
          whatever(item, Promise.reject(error))
        }
      }
    } finally {
      pumping = false
    }
  }

  let lastCheck = clock.monotonic()
  return {
    pump,
    get running() {
      return runs.size
    },
    checkTimeouts() {
      const now = clock.monotonic()
      // When the whole process was stopped, its handlers had no time either.
      const stoodStill = now - lastCheck - STANDSTILL_MS
      lastCheck = now
      if (stoodStill > 0) for (const run of runs) run.deadline += stoodStill
      for (const run of runs) {
        if (run.deadline > now) break // insertion order is deadline order
        const limit = options.handlerTimeoutMs
        run.expire(
          new Fault(
            'HANDLER_TIMEOUT',
            `handler did not finish within ${limit} ms (consumer.handler_timeout)`,
          ),
        )
      }
    },
    shutDown(reason) {
      down.abort(reason)
      for (const run of runs) run.expire(reason)
    },
  }
}
