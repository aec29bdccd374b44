/**
 * One consumer of one partition: reader → executor → settler, with the retry pump and the upkeep beside.
 *
 * Starting and stopping is a contract: `stop` stops fetching, finishes what is held within its time, then aborts what
 * still runs, hands back what was not settled so that others take it up at once, and leaves the group. Harmless when
 * never started or called twice.
 */
import type { Adapter } from '@weir/core/adapters/adapter'
import type { Clock } from '@weir/core/clock'
import { type DictionarySet, fetchDictionary, publishDictionaries } from '@weir/core/dictionaries'
import type { Handler } from '@weir/core/handlers/handler'
import { NO_KEYRING, type Opener } from '@weir/core/keyring/keyring'
import type { PartitionKeys } from '@weir/core/keys'
import { createUnpacker } from '@weir/core/packing'
import type { RedisLink } from '@weir/core/redis/link'
import { isSealed } from '@weir/core/sealing'
import type { DedupeWindow } from '@weir/core/stream/admit'
import { evidencePlace } from '@weir/core/stream/evidence'
import { type LongMemoryOptions, wasSettled } from '@weir/core/stream/long-memory'
import { wakeParked } from '@weir/core/stream/parked'
import { removeConsumers } from '@weir/core/stream/reclaim'
import type { Holding } from '@weir/core/stream/settle'
import { NO_TRACER, type Tracer } from '@weir/core/tracing/tracer'
import type { Logger } from 'pino'
import { createAttemptTraces } from './attempt-trace.ts'
import type { Backoff } from './backoff.ts'
import { createBreakers } from './breakers.ts'
import { createDecoder } from './decode.ts'
import { createExecutor, type ExecutorOptions } from './executor.ts'
import { createHeld } from './held.ts'
import { createIntake } from './intake.ts'
import type { PartitionMetrics } from './metrics.ts'
import { handBack } from './own-entries.ts'
import { createReader } from './reader.ts'
import type { ReclaimerOptions } from './reclaimer.ts'
import { createRedisClock } from './redis-clock.ts'
import { renew } from './renewer.ts'
import { removeReport } from './reports.ts'
import { createRetries } from './retries.ts'
import { ConsumerStopping } from './run.ts'
import { createSettler } from './settler.ts'
import { createFanOut } from './stages.ts'
import { createBackground, createUpkeep, type UpkeepSettings } from './upkeep.ts'
import type { Workers } from './workers.ts'

export interface ConsumerSettings extends UpkeepSettings {
  readonly batchSize: number
  readonly blockTimeoutMs: number
  /** Entries held at most; asked again and again. */
  readonly prefetchCount: number
  readonly maxRetries: number
  readonly handlerTimeoutMs: number
  readonly backoff: Backoff
  readonly quarantineAfter: number
  readonly breaker: { readonly failureThreshold: number; readonly openDurationMs: number }
  readonly shutdownTimeoutMs: number
  readonly commandTimeoutMs: number
  /** Largest body after decompression, bytes. */
  readonly maxBodyBytes: number
  /** Events at most that are being put into their contexts, or wait for a worker after that. */
  readonly maxAppends: number
}

export interface ConsumerDeps {
  /** Unique per boot. */
  readonly name: string
  readonly link: RedisLink
  /** A second connection, for blocking reads alone. */
  readonly blocking: RedisLink
  readonly keys: PartitionKeys
  readonly settings: ConsumerSettings
  /** Was it settled in another partition? Only asked of events that were late. */
  settledElsewhere(locator: Buffer): Promise<boolean>
  /** What all consumers of the process are busy with; default: this one is the only one. */
  readonly process?: () => { readonly held: number; readonly running: number }
  /** Handlers running at once; shared by the consumers of one process. */
  readonly workers: Workers
  readonly adapters: ReadonlyMap<string, Adapter>
  readonly handlers: readonly Handler[]
  readonly dictionaries: DictionarySet
  /** For what is encrypted. */
  readonly opener?: Opener | undefined
  /** Puts events into their contexts; undefined = there are none. */
  readonly remember?: ExecutorOptions['remember']
  readonly memory: LongMemoryOptions
  readonly window: (tool: string) => DedupeWindow
  readonly evidenceShards: number
  readonly clock: Clock
  readonly random: () => number
  /** Takes secrets out of messages of errors, before they reach the log or a dead letter. */
  readonly redact: (text: string) => string
  readonly log: Logger
  readonly metrics: PartitionMetrics
  /** Undefined = nothing is traced. */
  readonly tracer?: Tracer
}

export interface Consumer {
  readonly name: string
  start(): void
  stop(): Promise<void>
  /** For health: connected, and what it is busy with. */
  state(): {
    readonly redis: boolean
    readonly held: number
    readonly running: number
    readonly unsettled: number
    /** Since Redis last answered a read of the stream, be it that there is nothing; null when it never did. */
    readonly last_read_ms: number | null
  }
}

/** How often handlers are checked against their time-out, and how coarse it therefore is, ms. */
const TIMEOUT_CHECK_MS = 100
const RETRY_POLL_MS = 500
const NEEDS_RETRY_MS = 10_000
/** Pause before Redis, which did not answer a question, is asked again, ms. */
const ASK_AGAIN_MS = 200
/** Smallest limit of unpacked bodies, bytes: events accepted under a larger max_payload_size must stay readable. */
const MIN_UNPACKED_LIMIT = 64 * 1024 * 1024

export function createConsumer(deps: ConsumerDeps): Consumer {
  const { name, link, blocking, keys, settings, adapters, memory, clock, log, metrics, dictionaries } = deps
  const { opener = NO_KEYRING } = deps
  const leaseToken = name
  /** Aborted when nothing new is to be taken up. */
  const stopping = new AbortController()
  /** Aborted when what was held is finished, or its time is up. */
  const drained = new AbortController()
  const windowMs = (tool: string) => deps.window(tool).duration
  const evidence = (tool: string, locator: Buffer) =>
    evidencePlace({ keys, tool, windowMs: windowMs(tool), shards: deps.evidenceShards }, locator)

  const background = createBackground(log)
  const held = createHeld(
    () => settings.prefetchCount,
    () => executor.pump(),
  )
  const probeLeaseMs = settings.handlerTimeoutMs * 2
  const longestDelayMs = Math.max(
    settings.backoff.maxMs,
    settings.breaker.openDurationMs,
    probeLeaseMs,
    NEEDS_RETRY_MS,
  )
  const redisClock = createRedisClock({
    link,
    keys,
    clock,
    log,
    tools: [...adapters.keys()],
    limits: {
      longestDelayMs: Math.max(longestDelayMs, settings.reclaimIdleMs),
      leaseMs: settings.reclaimIdleMs,
      openDurationMs: settings.breaker.openDurationMs,
      probeLeaseMs,
    },
    settleMs: settings.reclaimIdleMs,
  })
  const redisNow = redisClock.now
  const breakers = createBreakers({
    link,
    keys,
    settings: { ...settings.breaker, probeLeaseMs },
    monotonic: clock.monotonic,
    onChange(tool, state) {
      log[state.state === 'closed' ? 'info' : 'error'](
        { tool, failures: state.failures },
        `circuit breaker ${state.state}`,
      )
    },
    onClosed: () => void wakeWaiting(),
  })
  const settler = createSettler({
    link,
    keys,
    memory,
    held,
    clock,
    log,
    redisNow,
    windowMs,
    evidence,
    longestDelayMs,
    onSettled(item, outcome, result, ms) {
      const { tool } = item.record
      metrics.stages.observe('settle', ms / 1000)
      if (result === 'gone')
        log.error(
          { event_id: item.record.id, stream_id: item.streamId },
          'the entry of a pending event is gone from the stream',
        )
      item.trace?.settled(result)
      // Taken over by another consumer; or by ourselves: read anew from a group that was lost, and passed over as held.
      if (result === 'not-owner') reader.recheck()
      if (result !== 'done') return
      if (outcome.kind === 'park') {
        // What waits for a breaker or a key, or goes back because the consumer stops, has used up no attempt.
        if (outcome.attempts > item.attempts) metrics.retries.add(tool, '', 1)
        retries.expect(outcome.delayMs)
        // It was decided to wait, and meanwhile the breaker was closed and all others were woken.
        if (outcome.reason === 'breaker' && breakers.states().get(tool)?.state === 'closed')
          void wakeWaiting()
        return
      }
      metrics.settled.add(tool, outcome.kind, 1)
      if (outcome.kind === 'dead') metrics.failed.inc({ tool, reason: outcome.reason })
      metrics.settleLatency.observe(
        tool,
        Math.max(0, redisNow() - item.appendedAt) / 1000,
        '',
        item.trace?.span,
      )
    },
  })
  const renewal = {
    link,
    keys,
    consumer: name,
    leaseToken,
    leaseMs: settings.reclaimIdleMs,
    held,
    monotonic: clock.monotonic,
  }
  const executor = createExecutor({
    held,
    settle: settler.settle,
    decoder: createDecoder(
      adapters,
      createUnpacker(dictionaries, { maxBytes: Math.max(MIN_UNPACKED_LIMIT, settings.maxBodyBytes), opener }),
      settings.maxBodyBytes,
    ),
    fanOut: createFanOut(deps.handlers),
    breakers,
    clock,
    log,
    workers: deps.workers,
    handlerTimeoutMs: settings.handlerTimeoutMs,
    maxAttempts: settings.maxRetries + 1,
    backoff: settings.backoff,
    random: deps.random,
    confirmAfterMs: settings.reclaimIdleMs / 2,
    confirm: async (item) => (await renew(renewal, [item])).has(item),
    mayBeSettled(item) {
      if (!item.record.derived || memory.horizonMs === 0) return false
      const { record, appendedAt } = item
      const duration = windowMs(record.tool)
      return redisNow() - appendedAt > duration || appendedAt - record.receivedAt > duration
    },
    wasSettled: async ({ record: { locator } }) =>
      (await wasSettled(link, memory, redisNow(), locator)) || (await deps.settledElsewhere(locator)),
    async fetchNeeds(record) {
      const { dictionary, tenant } = record
      if (isSealed(record)) await opener.lookAgain(tenant)
      if (dictionary !== '') await fetchDictionary(link, keys, dictionaries, dictionary, tenant, opener)
    },
    needsRetryMs: NEEDS_RETRY_MS,
    async redisAgain(signal) {
      await clock.wait(ASK_AGAIN_MS, signal)
      await background('wait for Redis', () => link.ready(signal))
    },
    redact: deps.redact,
    remember: deps.remember,
    traceOf: createAttemptTraces(deps.tracer ?? NO_TRACER, redisNow),
    maxAhead: settings.maxAppends,
    onStage: (stage, ms) => metrics.stages.observe(stage, ms / 1000),
    onRun(item, seconds, outcome) {
      const { tool } = item.record
      metrics.processing.observe(tool, seconds, outcome.kind, item.trace?.span)
      metrics.attempts.add(tool, outcome.kind, 1)
      if (outcome.kind !== 'park') return
      if (outcome.reason === 'dictionary') metrics.missingDictionary.inc()
      else if (outcome.reason === 'key') metrics.missingKey.inc()
    },
  })

  const hold = createIntake({
    held,
    settler,
    quarantineAfter: settings.quarantineAfter,
    monotonic: clock.monotonic,
    redisNow,
  })
  const owned: Holding = { kind: 'pending', consumer: name }
  const own = { link, keys, consumer: name, held, log }
  const reader = createReader({
    ...own,
    blocking,
    clock,
    // A read that waits sets its room aside: at least half is left for retries and for what others left behind.
    batchSize: Math.min(settings.batchSize, Math.ceil(settings.prefetchCount / 2)),
    blockMs: settings.blockTimeoutMs,
    graceMs: settings.commandTimeoutMs,
    onEntries: (entries, deliveries) => hold(entries, owned, () => ({ attempts: 0, deliveries })),
    onGroupMade: () =>
      void background('publish dictionaries', () => publishDictionaries(link, keys, dictionaries)),
  })
  const reclaimer: ReclaimerOptions = {
    ...own,
    reclaimIdleMs: settings.reclaimIdleMs,
    quarantineAfter: settings.quarantineAfter,
    deadConsumerAfterMs: settings.deadConsumerAfterMs,
    idleIsTrue: redisClock.idleIsTrue,
    onReclaimed: (entries, deliveries) => hold(entries, owned, () => ({ attempts: 0, deliveries })),
    onPoison: (entry, deliveries) =>
      hold([entry], owned, () => ({
        attempts: 0,
        deliveries: Math.max(deliveries, settings.quarantineAfter) + 1,
      })),
  }
  const retries = createRetries({
    link,
    keys,
    token: leaseToken,
    held,
    clock,
    log,
    leaseMs: settings.reclaimIdleMs,
    batchSize: settings.batchSize,
    pollMs: RETRY_POLL_MS,
    onClaimed(events) {
      hold(events, { kind: 'lease', token: leaseToken }, (index) => {
        const { attempts, deliveries } = events[index]!.state
        return { attempts, deliveries }
      })
    },
  })

  let waking: 'no' | 'once' | 'again' = 'no'
  /** Makes all events due that wait for a breaker; those whose breaker is still open are parked again. */
  const wakeWaiting = async () => {
    if (waking !== 'no') {
      waking = 'again'
      return
    }
    do {
      waking = 'once'
      await background('wake parked', () => wakeParked(link, keys, 'breaker'))
      retries.expect(0)
    } while ((waking as string) === 'again')
    waking = 'no'
  }
  const upkeep = createUpkeep({
    name,
    link,
    keys,
    settings,
    clock,
    redisClock,
    breakers,
    reclaimer,
    renewal,
    background,
    metrics,
    log,
    busy: deps.process ?? (() => ({ held: held.size, running: executor.running })),
  })
  const onConnect = () => {
    void background('connect', async () => {
      await redisClock.read()
      await publishDictionaries(link, keys, dictionaries)
    })
  }
  const checkTimeouts = async () => {
    while (!drained.signal.aborted) {
      await clock.wait(TIMEOUT_CHECK_MS, drained.signal)
      executor.checkTimeouts()
    }
  }

  let loops: Promise<unknown> | undefined
  let aside: Promise<unknown> | undefined
  let unlisten: (() => void) | undefined
  let stopped: Promise<void> | undefined

  const stopNow = async () => {
    stopping.abort()
    if (loops === undefined) return
    const deadline = new AbortController()
    void clock.wait(settings.shutdownTimeoutMs, deadline.signal).then(() => deadline.abort())
    await Promise.all([loops, reader.interrupt()])
    await held.whenEmpty(deadline.signal)
    deadline.abort()
    executor.shutDown(new ConsumerStopping('the consumer is stopping'))
    releaseQueued()
    const last = new AbortController()
    void clock.wait(settings.commandTimeoutMs, last.signal).then(() => last.abort())
    await held.whenEmpty(last.signal)
    last.abort()
    settler.giveUp()
    drained.abort()
    await aside
    unlisten?.()
    if (link.connected) {
      await background('hand back', () => handBack(own))
      await background('leave', () => removeConsumers(link, keys, { name }))
      await background('leave', () => removeReport(link, keys, name))
    }
  }
  /** What never ran: leases are given back here, pending entries by `handBack`. */
  const releaseQueued = () => {
    for (let item = held.take(); item !== undefined; item = held.take()) {
      if (item.holding.kind === 'pending') held.remove(item)
      else
        settler.settle(item, {
          kind: 'park',
          reason: 'retry',
          delayMs: 0,
          attempts: item.attempts,
          error: '',
        })
    }
  }

  return {
    name,
    start() {
      if (loops !== undefined || stopping.signal.aborted) return
      unlisten = link.onConnect(onConnect)
      if (link.connected) onConnect()
      // These go on while stopping, for what is still held.
      aside = Promise.all([checkTimeouts(), upkeep.renew(drained.signal)])
      loops = Promise.all([
        reader.run(stopping.signal),
        retries.run(stopping.signal),
        upkeep.run(stopping.signal),
      ])
    },
    stop() {
      stopped ??= stopNow()
      return stopped
    },
    state: () => ({
      redis: link.connected && blocking.connected,
      held: held.size,
      running: executor.running,
      unsettled: settler.waiting,
      last_read_ms:
        reader.lastReadAt === undefined ? null : Math.round(clock.monotonic() - reader.lastReadAt),
    }),
  }
}
