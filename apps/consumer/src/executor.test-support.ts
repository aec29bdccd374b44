/** What the executor's tests share. */
import { ADAPTERS } from '@weir/core/adapters/table'
import { createDictionarySet } from '@weir/core/dictionaries'
import { Fault } from '@weir/core/faults'
import { defineHandler, type HandlerContext, type HandlerEvent } from '@weir/core/handlers/handler'
import { createUnpacker } from '@weir/core/packing'
import { decodeRecord, type FieldList } from '@weir/core/record'
import type { Breakers, Gate } from './breakers.ts'
import { createDecoder } from './decode.ts'
import { createExecutor, type Executor, type ExecutorOptions } from './executor.ts'
import { createHeld, type Held, type HeldItem } from './held.ts'
import type { Outcome } from './settler.ts'
import { createFanOut } from './stages.ts'
import { handClock, makeEvent, silentLog, type TestEvent } from './testing.ts'
import { createWorkers } from './workers.ts'

export const HANDLER_TIMEOUT_MS = 5_000

export interface ExecutorWorld {
  readonly held: Held
  readonly executor: Executor
  readonly clock: ReturnType<typeof handClock>
  /** What was settled, in order. */
  readonly outcomes: (Outcome & { readonly item: HeldItem })[]
  /** What the breaker heard: success, failure, release. */
  readonly told: string[]
  add(event?: TestEvent, with_?: Partial<HeldItem>): HeldItem
  /** Adds one without having it started. */
  queue(fields: FieldList): void
  /** Lets all that is ready happen. */
  idle(): Promise<void>
  /** Time goes by, with time-outs checked as often as in earnest. */
  pass(ms: number): Promise<void>
}

export type Run = (event: HandlerEvent, ctx: HandlerContext) => void | Promise<void>

let streamIds = 0

/** An executor without Redis: everything that it asks is answered by the test, and time goes by when the test says so. */
export function world(
  run: Run,
  options: Partial<ExecutorOptions> & { readonly gate?: () => Gate | undefined } = {},
): ExecutorWorld {
  const clock = handClock()
  const outcomes: ExecutorWorld['outcomes'] = []
  const told: string[] = []
  const { gate = () => undefined, ...overrides } = options
  const breakers: Breakers = {
    gate() {
      const decision = gate()
      return decision === undefined ? undefined : Promise.resolve(decision)
    },
    report(_tool, outcome, probe) {
      told.push(probe ? `${outcome} of probe` : outcome)
      return outcome === 'success' && !probe ? undefined : Promise.resolve()
    },
    release: async () => void told.push('release'),
    refresh: async () => undefined,
    states: () => new Map(),
  }
  const held = createHeld(1_000, () => {
    if (!quietly) executor.pump()
  })
  let quietly = false
  const dictionaries = createDictionarySet(new Map())
  const executor = createExecutor({
    held,
    settle(item, outcome) {
      outcomes.push({ ...outcome, item })
      held.remove(item)
    },
    decoder: createDecoder(ADAPTERS, createUnpacker(dictionaries), 1_000_000),
    fanOut: createFanOut([defineHandler({ name: 'test', tool: 'github', events: ['*'], run })]),
    breakers,
    clock,
    log: silentLog,
    workers: createWorkers(2),
    handlerTimeoutMs: HANDLER_TIMEOUT_MS,
    maxAttempts: 4,
    backoff: { baseMs: 1_000, maxMs: 300_000 },
    random: () => 0.5,
    confirmAfterMs: 30_000,
    confirm: async () => true,
    mayBeSettled: () => false,
    wasSettled: async () => false,
    fetchNeeds: async ({ dictionary }) => {
      throw new Fault('DICTIONARY_MISSING', `no ${dictionary}`)
    },
    needsRetryMs: 10_000,
    redisAgain: (signal) => clock.wait(200, signal),
    maxAhead: 100,
    redact: (text) => text.replaceAll('hunter2', '[redacted]'),
    onRun: () => undefined,
    onStage: () => undefined,
    traceOf: () => undefined,
    ...overrides,
  })
  const itemOf = (fields: FieldList): HeldItem => ({
    streamId: `${++streamIds}-0`,
    holding: { kind: 'pending', consumer: 'c' },
    record: decodeRecord(fields),
    appendedAt: 0,
    attempts: 0,
    deliveries: 1,
    suspect: false,
    confirmedAt: clock.monotonic(),
    state: 'queued',
    trace: undefined,
    abort: undefined,
  })
  const idle = async () => {
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  return {
    held,
    executor,
    clock,
    outcomes,
    told,
    idle,
    async pass(ms) {
      for (let left = ms; left > 0; left -= 100) {
        clock.advance(Math.min(100, left))
        executor.checkTimeouts()
      }
      await idle()
    },
    add(event = {}, with_ = {}) {
      const item = { ...itemOf(makeEvent(event).fields), ...with_ }
      held.add([item])
      return item
    },
    queue(fields) {
      quietly = true
      held.add([itemOf(fields)])
      quietly = false
    },
  }
}
