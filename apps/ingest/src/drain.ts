/**
 * Brings what the spool holds into the stream, oldest first, once Redis takes events again.
 *
 *   idle ──woken, or the interval is over──▶ while Redis is up and there are records:
 *          take a batch ──admit each, at once──▶ release the leading ones that are done ──▶ next batch
 *                                          └──one is not done──▶ pause, longer each time, then again
 *
 * A batch is admitted concurrently but over one connection, so that the stream has the spool's order. Every record is
 * admitted as a repeat: whatever became of it before, it is in the stream once.
 */
import type { Clock } from '@weir/core/clock'
import { isFault, messageOf } from '@weir/core/faults'
import { decodeRecord, thawFields } from '@weir/core/record'
import type { RedisLink } from '@weir/core/redis/link'
import type { Admission, Admitter, DedupeWindow } from '@weir/core/stream/admit'
import type { Logger } from 'pino'
import type { GatewayMetrics } from './metrics.ts'
import type { Pulse } from './pulse.ts'
import type { Recall } from './recall.ts'
import { setRejectedAside } from './rejected.ts'
import type { Spool, SpoolBatch } from './spool/spool.ts'
import type { Witness } from './witness.ts'

export interface Drain {
  start(): void
  /** There may be something to do. */
  wake(): void
  /** Resolves when the batch in hand is finished. */
  stop(): Promise<void>
}

export interface DrainOptions {
  readonly link: RedisLink
  readonly pulse: Pulse
  readonly admitter: Admitter
  readonly recall: Recall
  readonly witness: Witness
  readonly spool: Spool
  /** Sees to it that Redis holds the dictionary with this id ('' = none), which a spooled record needs. */
  readonly ensureDictionary: (id: string) => Promise<void>
  /** Where the spool is; records that cannot be read are set aside there. */
  readonly directory: string
  readonly window: (tool: string) => DedupeWindow
  readonly batch: number
  /** Pause between two looks, ms. */
  readonly intervalMs: number
  readonly clock: Clock
  readonly metrics: GatewayMetrics
  readonly log: Logger
}

/** A record that cannot be admitted now is tried again after interval · 2ⁿ, up to this, ms. */
const MAX_PAUSE_MS = 5000

type Drained = 'accepted' | 'known' | 'settled_before' | 'corrupt'

export function createDrain(options: DrainOptions): Drain {
  const { link, pulse, admitter, recall, witness, spool, clock, metrics, log } = options
  const stopped = new AbortController()
  let nap = new AbortController()
  let running: Promise<void> = Promise.resolve()

  async function run(): Promise<void> {
    let setbacks = 0
    while (!stopped.signal.aborted) {
      const well = pulse.up && spool.records > 0 ? await drainAll() : true
      setbacks = well ? 0 : setbacks + 1
      await sleep(Math.min(MAX_PAUSE_MS, options.intervalMs * 2 ** setbacks), setbacks === 0)
    }
  }

  /** Waits; a call to `wake` shortens it only if nothing failed. */
  async function sleep(ms: number, wakeable: boolean): Promise<void> {
    nap = new AbortController()
    const signals = wakeable ? [nap.signal, stopped.signal] : [stopped.signal]
    await clock.wait(ms, AbortSignal.any(signals))
  }

  /** True when the spool is empty or Redis went away, which is nothing to be careful about. */
  async function drainAll(): Promise<boolean> {
    const startedWith = spool.records
    try {
      for (;;) {
        if (stopped.signal.aborted || !pulse.up) return true
        const batch = await spool.next(options.batch)
        if (batch === undefined) break
        if (!(await drainBatch(batch))) return !pulse.up
      }
    } catch (error) {
      metrics.count('webhook_faults_total', isFault(error) ? error.code : 'UNEXPECTED')
      log.error({ event: 'drain_failed', err: error }, 'the spool cannot be drained now')
      return false
    }
    log.info({ event: 'drained', records: startedWith }, 'the spool is drained')
    return true
  }

  /** True when every record of the batch is done. */
  async function drainBatch(batch: SpoolBatch): Promise<boolean> {
    const outcomes = await Promise.all(batch.records.map(drainRecord))
    const undone = outcomes.indexOf(undefined)
    const done = undone < 0 ? outcomes.length : undone
    // A record behind an undone one is admitted again with it, and known then.
    await batch.release(done)
    for (const outcome of outcomes.slice(0, done)) {
      metrics.count('webhook_spool_drained_total', outcome as Drained)
    }
    return undone < 0
  }

  /** What became of a record; undefined when it must be tried again. */
  async function drainRecord(record: Buffer): Promise<Drained | undefined> {
    let admission: Admission
    let receivedAt: number
    let dictionary: string
    try {
      const fields = thawFields(record)
      const { id, tool, locator, derived, dictionary: packedWith, receivedAt: at } = decodeRecord(fields)
      admission = { id, tool, locator, derived, fields, repeat: true, limits: [] }
      receivedAt = at
      dictionary = packedWith
    } catch (error) {
      return setAside(record, error)
    }
    try {
      // Older than the window, the evidence says nothing any more; the long memory may know it.
      const old = clock.now() - receivedAt > options.window(admission.tool).duration
      if (old && admission.derived) {
        const before = await recall.confirm(admission.locator)
        if (before !== 'new') return before === 'settled' ? 'settled_before' : undefined
      }
      await options.ensureDictionary(dictionary)
      const outcome = await admitter.admit(link, admission)
      if (outcome.kind === 'limited') return undefined
      witness.saw(admission.fields, outcome.kind === 'accepted' ? outcome.streamId : '')
      return outcome.kind === 'accepted' ? 'accepted' : 'known'
    } catch (error) {
      if (isFault(error, 'REDIS_UNAVAILABLE')) pulse.suspect()
      else if (!isFault(error, 'REDIS_OUT_OF_MEMORY')) {
        metrics.count('webhook_faults_total', isFault(error) ? error.code : 'UNEXPECTED')
        log.error({ event: 'drain_failed', id: admission.id, err: error }, 'a spooled event was not admitted')
      }
      return undefined
    }
  }

  async function setAside(record: Buffer, why: unknown): Promise<Drained | undefined> {
    try {
      const path = await setRejectedAside(options.directory, record)
      metrics.count('webhook_faults_total', 'RECORD_CORRUPT')
      log.error(
        {
          event: 'spool_rejected',
          code: 'RECORD_CORRUPT',
          path,
          bytes: record.length,
          reason: messageOf(why),
        },
        'a spooled record cannot be read as an event; its bytes are set aside',
      )
      return 'corrupt'
    } catch (error) {
      log.error({ event: 'drain_failed', err: error }, 'a record that cannot be read could not be set aside')
      return undefined
    }
  }

  return {
    start() {
      running = run()
    },
    wake: () => nap.abort(),
    async stop() {
      stopped.abort()
      await running
    },
  }
}
