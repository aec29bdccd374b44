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
import { Fault, isFault, messageOf } from '@weir/core/faults'
import type { HandlerEvent } from '@weir/core/handlers/handler'
import type { EventRecord } from '@weir/core/record'
import type { Logger } from 'pino'
import type { AttemptTraces } from './attempt-trace.ts'
import type { Breakers } from './breakers.ts'
import type { DecodedEvent, Decoder } from './decode.ts'
import type { Held, HeldItem } from './held.ts'
import type { StageName } from './metrics.ts'
import { Run } from './run.ts'
import type { Outcome } from './settler.ts'
import { type FanOut, requestIdOf, runHandlers } from './stages.ts'
import { createVerdicts, LOUD, NOT_WANTED, SUCCESS, type Verdict, type VerdictOptions } from './verdicts.ts'
import type { Workers } from './workers.ts'

export interface ExecutorOptions extends VerdictOptions {
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
  /** Monotonic age of the last confirmation after which ownership is asked for again, ms. */
  readonly confirmAfterMs: number
  /** Is the item still ours? Renews it when it is. */
  readonly confirm: (item: HeldItem) => Promise<boolean>
  /** Might this event have been settled under another entry? Cheap and local; true asks Redis. */
  readonly mayBeSettled: (item: HeldItem) => boolean
  readonly wasSettled: (item: HeldItem) => Promise<boolean>
  /** Fetches the key and the dictionary that a record needs; rejects with the Fault that says which is missing. */
  readonly fetchNeeds: (record: EventRecord) => Promise<unknown>
  /** Resolves when Redis, which did not answer, is worth asking again; at once when the signal aborts. */
  readonly redisAgain: (signal: AbortSignal) => Promise<void>
  /**
   * Puts an event into its context, before its handlers run; undefined = there are no contexts. The traceparent is what the
   * context's enrichment joins; '' = none.
   */
  readonly remember?:
    | ((event: HandlerEvent, record: EventRecord, traceparent: string) => Promise<unknown>)
    | undefined
  /** Begins the trace of an attempt; undefined where its event is not traced. */
  readonly traceOf: AttemptTraces
  /** Events at most that are being put into their contexts, or wait for a worker after that. */
  readonly maxAhead: number
  readonly onRun: (item: HeldItem, seconds: number, outcome: Outcome) => void
  /** A stage of an attempt has ended, well or not. */
  readonly onStage: (stage: Exclude<StageName, 'settle'>, ms: number) => void
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

export function createExecutor(options: ExecutorOptions): Executor {
  const { held, settle, decoder, fanOut, breakers, workers, clock, log, remember } = options
  /** Those with a worker that wait for something: a handler, a dictionary, a key. */
  const runs = new Set<Run>()
  /** Those without one: being put into their contexts, or waiting for a worker after that. */
  const ahead = new Set<Run>()
  const down = new AbortController()
  const verdicts = createVerdicts(options)
  /** What the breaker learns: an event that says nothing of the handlers leaves the probe to another one. */
  const tell = (tool: string, judged: Verdict['judged'], probe: boolean): Promise<void> | undefined => {
    const told =
      judged !== 'nothing' ? breakers.report(tool, judged, probe) : probe ? breakers.release(tool) : undefined
    return told?.catch((error: unknown) => {
      log.warn({ tool, err: messageOf(error) }, 'breaker was not told')
    })
  }

  /** Its attempt is over without an outcome. */
  const forget = (item: HeldItem, how: 'put back' | 'lost', failure?: string): void => {
    item.trace?.over(how, failure)
    item.trace = undefined
  }

  /** Starts one item, for which a worker was taken. */
  const begin = (item: HeldItem): void => {
    passing(item, options.mayBeSettled(item), (probe) => execute(item, probe))
  }

  /**
   * Goes on when the item is ours and its breaker lets it pass, and, where that is in question, when it was not settled under
   * another entry: mostly at once.
   */
  const passing = (item: HeldItem, inQuestion: boolean, next: (probe: boolean) => void): void => {
    if (clock.monotonic() - item.confirmedAt > options.confirmAfterMs) {
      whatever(item, confirm(item, inQuestion, next))
      return
    }
    const gate = breakers.gate(item.record.tool)
    if (gate === undefined && !inQuestion) next(false)
    else whatever(item, ask(item, gate, inQuestion, next))
  }

  /** Work that may fail at any point before the item's outcome is known. */
  const whatever = (item: HeldItem, work: Promise<void>): void => {
    work.catch(async (error: unknown) => {
      await putBack(item, error)
      freed()
    })
  }

  /** Asks whether the item is still ours. */
  const confirm = async (
    item: HeldItem,
    inQuestion: boolean,
    next: (probe: boolean) => void,
  ): Promise<void> => {
    if (await options.confirm(item)) return ask(item, breakers.gate(item.record.tool), inQuestion, next)
    forget(item, 'lost')
    held.remove(item)
    freed()
  }

  /** Asks what else has to be known before it may run. */
  const ask = async (
    item: HeldItem,
    gate: ReturnType<Breakers['gate']>,
    inQuestion: boolean,
    next: (probe: boolean) => void,
  ): Promise<void> => {
    const { tool } = item.record
    let probe = false
    if (gate !== undefined) {
      const decision = await gate
      if (decision.kind === 'wait') {
        const delayMs = Math.max(decision.waitMs, MIN_BREAKER_WAIT_MS)
        const outcome: Outcome = {
          kind: 'park',
          reason: 'breaker',
          delayMs,
          attempts: item.attempts,
          error: '',
        }
        item.trace?.settling(outcome)
        settle(item, outcome)
        return freed()
      }
      probe = decision.kind === 'probe'
    }
    if (inQuestion && (await options.wasSettled(item))) {
      await tell(tool, 'nothing', probe)
      settle(item, { kind: 'superseded' })
      return freed()
    }
    if (down.signal.aborted) {
      await tell(tool, 'nothing', probe)
      forget(item, 'put back')
      held.requeue(item)
      return freed()
    }
    next(probe)
  }

  const execute = (item: HeldItem, probe: boolean): void => {
    const run = new Run(item, probe, clock.monotonic())
    item.trace = options.traceOf(item, run.started)
    let event: DecodedEvent
    try {
      event = decoder.decode(item.record, item.attempts + 1)
    } catch (error) {
      if (isFault(error, 'DICTIONARY_MISSING') || isFault(error, 'KEY_MISSING')) decodeLater(run)
      else {
        ended('decode', run.started)
        finish(run, verdicts.unreadable(item, error))
      }
      return
    } finally {
      item.trace?.span.step('decode', run.started)
    }
    ended('decode', run.started)
    intoContext(run, event)
  }

  /** @param began monotonic ms */
  const ended = (stage: Exclude<StageName, 'settle'>, began: number): void =>
    options.onStage(stage, clock.monotonic() - began)

  /** Decodes an event once its key and dictionary are fetched. */
  const decodeLater = (run: Run): void => {
    const { item } = run
    enroll(run)
    const fetching = item.trace?.span.child('fetch needs')
    const work = options
      .fetchNeeds(item.record)
      .finally(() => fetching?.end())
      .then(() => decoder.decode(item.record, item.attempts + 1))
      .then(
        (event) => {
          ended('decode', run.started)
          leave(run)
          intoContext(run, event)
        },
        (error: unknown) => {
          ended('decode', run.started)
          finish(run, verdicts.unreadable(item, error))
        },
      )
    whatever(item, work)
  }

  /**
   * Stage 2: the event comes into its context, and then to its handlers. Meanwhile its worker is another's: Redis answers when its disk
   * has the append, in 5 ms, so that ten workers that waited for it had no room for more than 2,000 events a second.
   */
  const intoContext = (run: Run, event: DecodedEvent): void => {
    run.event = event
    if (remember === undefined) {
      attempt(run, event)
      return
    }
    const { item } = run
    ahead.add(run)
    item.abort = (reason) => run.expire(reason)
    const began = clock.monotonic()
    const span = item.trace?.span.child('context')
    remember(event, item.record, span?.traceparent ?? '').then(
      () => {
        span?.end()
        const readyAt = clock.monotonic()
        options.onStage('context', readyAt - began)
        whenWorker(() => {
          ahead.delete(run)
          run.started += clock.monotonic() - readyAt
          goOn(run, event)
          pump()
        })
      },
      (error: unknown) => {
        ended('context', began)
        span?.end('')
        return notRemembered(run, error)
      },
    )
    freed()
  }

  /** An event that is in its context has its worker: it may have waited for it, while its breaker opened or others took it over. */
  const goOn = (run: Run, event: DecodedEvent): void => {
    if (run.probe) {
      attempt(run, event)
      return
    }
    passing(run.item, false, (probe) => {
      run.probe = probe
      attempt(run, event)
    })
  }

  /** While Redis does not take it, it is put back: it keeps its attempts, and its breaker learns nothing. */
  const notRemembered = async (run: Run, error: unknown): Promise<void> => {
    const { item } = run
    if (isFault(error, 'REDIS_UNAVAILABLE') || isFault(error, 'REDIS_OUT_OF_MEMORY')) {
      await tell(item.record.tool, 'nothing', run.probe)
      await putBack(item, error)
      ahead.delete(run)
      pump()
      return
    }
    whenWorker(() => {
      ahead.delete(run)
      finish(run, verdicts.unreadable(item, error))
    })
  }

  const whenWorker = (start: () => void): void => {
    if (workers.take()) start()
    else workers.onFree(() => whenWorker(start))
  }

  /** Stage 3. */
  const attempt = (run: Run, event: DecodedEvent): void => {
    const handlers = fanOut.handlersFor(event)
    let verdict = NOT_WANTED
    if (handlers.length > 0) {
      const began = clock.monotonic()
      try {
        if (run.expired !== undefined) throw run.expired
        const work = runHandlers(handlers, event, run, log)
        if (work !== undefined) {
          enroll(run)
          run.follow(work, (ending) => {
            ended('handlers', began)
            finish(run, ending.ok ? SUCCESS : verdicts.failed(run.item, ending.error))
          })
          return
        }
        verdict = SUCCESS
      } catch (error) {
        verdict = verdicts.failed(run.item, error)
      }
      ended('handlers', began)
    }
    finish(run, verdict)
  }

  /** From now on the run has a deadline, and can be aborted. */
  const enroll = (run: Run): void => {
    run.deadline = clock.monotonic() + options.handlerTimeoutMs
    runs.add(run)
    run.item.abort = (reason) => run.expire(reason)
  }

  const leave = (run: Run): void => {
    runs.delete(run)
    run.item.abort = undefined
  }

  const finish = (run: Run, verdict: Verdict): void => {
    const { item, probe } = run
    if (item.abort !== undefined) leave(run)
    const told = tell(item.record.tool, verdict.judged, probe)
    if (told === undefined) hand(run, verdict)
    else void told.then(() => hand(run, verdict))
  }

  /** Hands the outcome on, and gives the worker back. */
  const hand = (run: Run, { outcome, failure }: Verdict): void => {
    const { item } = run
    if (outcome === undefined) {
      forget(item, 'lost')
      held.remove(item)
    } else {
      const seconds = (clock.monotonic() - run.started) / 1000
      if (outcome.kind !== 'settled') note(run, outcome, failure, seconds)
      options.onRun(item, seconds, outcome)
      item.trace?.settling(outcome)
      settle(item, outcome)
    }
    run.event?.release()
    freed()
  }

  const note = ({ item, event }: Run, outcome: Outcome, failure: unknown, seconds: number) => {
    const reason = outcome.kind === 'park' || outcome.kind === 'dead' ? outcome.reason : ''
    const { id, tool, tenant, type } = item.record
    log[LOUD.has(reason) ? 'error' : 'warn'](
      {
        event_id: id,
        request_id: event === undefined ? id : requestIdOf(event),
        trace_id: item.trace?.span.traceId,
        tool,
        tenant,
        type,
        stream_id: item.streamId,
        attempt: item.attempts + 1,
        outcome: outcome.kind,
        reason,
        seconds,
        err: verdicts.told(failure),
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
    const trace_id = item.trace?.span.traceId
    log[level]({ event_id: item.record.id, trace_id, err: messageOf(error) }, 'event put back')
    forget(item, 'put back', verdicts.told(error))
    await options.redisAgain(down.signal)
    held.requeue(item)
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
      for (; held.queued > 0 && ahead.size < options.maxAhead && !down.signal.aborted; started++) {
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
      return runs.size + ahead.size
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
      for (const run of [...runs, ...ahead]) run.expire(reason)
    },
  }
}
