/**
 * Brings what the spool holds into the stream, oldest first, once Redis takes events again.
 *
 *   idle ──woken, or the interval is over──▶ while Redis is up and there are records:
 *          take a batch ──admit each, at once──▶ release the leading ones that are done ──▶ next batch
 *                                          └──one is not done──▶ pause, longer each time, then again
 *
 * There is one for each partition's journal. A record whose partition is away waits with all behind it; one that by now
 * belongs to another partition is admitted there, or moved into the journal of that one when it is away.
 *
 * A batch is admitted concurrently but over one connection, so that the stream has the spool's order. Every record is
 * admitted as a repeat: whatever became of it before, it is in the stream once.
 */
import type { Clock } from '@weir/core/clock'
import { isFault, messageOf } from '@weir/core/faults'
import { decodeRecord, thawFields } from '@weir/core/record'
import type { Admission, DedupeWindow } from '@weir/core/stream/admit'
import type { Logger } from 'pino'
import type { Lane } from './lane.ts'
import type { Lanes } from './lanes.ts'
import type { GatewayMetrics } from './metrics.ts'
import { setRejectedAside } from './rejected.ts'
import type { Spool, SpoolBatch } from './spool/spool.ts'

export interface Drain {
  start(): void
  /** There may be something to do. */
  wake(): void
  /** Resolves when the batch in hand is finished. */
  stop(): Promise<void>
}

export interface DrainOptions {
  readonly lanes: Lanes
  /** The journal of this partition. */
  readonly spool: Spool
  readonly partition: number
  /** Puts a record into the journal of another partition, which it has to wait for. */
  move(partition: number, record: Buffer): Promise<void>
  /** Sees to it that Redis holds the dictionary with this id ('' = none), which a spooled record of this tenant needs. */
  readonly ensureDictionary: (lane: Lane, id: string, tenant: string) => Promise<void>
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

type Drained = 'accepted' | 'known' | 'settled_before' | 'corrupt' | 'moved'

interface Spooled {
  readonly admission: Admission
  readonly receivedAt: number
  /** Id of the dictionary that it was packed with. */
  readonly dictionary: string
  readonly tenant: string
}

/** Throws what decoding threw. */
function readSpooled(record: Buffer): Spooled {
  const fields = thawFields(record)
  const { id, tenant, tool, locator, derived, dictionary, receivedAt } = decodeRecord(fields)
  const admission = { id, tool, locator, derived, fields, repeat: true, limits: [] }
  return { admission, receivedAt, dictionary, tenant }
}

export function createDrain(options: DrainOptions): Drain {
  const { lanes, spool, clock, metrics, log } = options
  const someUp = (): boolean => lanes.all.some(({ pulse }) => pulse.up)
  const stopped = new AbortController()
  let nap = new AbortController()
  let running: Promise<void> = Promise.resolve()

  async function run(): Promise<void> {
    let setbacks = 0
    while (!stopped.signal.aborted) {
      const well = someUp() && spool.records > 0 ? await drainAll() : true
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
        if (stopped.signal.aborted || !someUp()) return true
        const batch = await spool.next(options.batch)
        if (batch === undefined) break
        const end = await drainBatch(batch)
        if (end === 'waits') return true
        if (end === 'undone') return !someUp()
      }
    } catch (error) {
      metrics.count('webhook_faults_total', isFault(error) ? error.code : 'UNEXPECTED')
      log.error({ event: 'drain_failed', err: error }, 'the spool cannot be drained now')
      return false
    }
    log.info({ event: 'drained', records: startedWith }, 'the spool is drained')
    return true
  }

  /**
   * `undone`: a record is to be tried again. `waits`: one is for a partition that is away; what is behind it was not
   * touched, as it would be admitted again and again with it.
   */
  async function drainBatch(batch: SpoolBatch): Promise<'done' | 'waits' | 'undone'> {
    const steps: Promise<Drained | undefined>[] = []
    for (const record of batch.records) {
      const step = begin(record)
      if (step === undefined) break
      steps.push(step)
    }
    const outcomes = await Promise.all(steps)
    const undone = outcomes.indexOf(undefined)
    const done = undone < 0 ? outcomes.length : undone
    // A record behind an undone one is admitted again with it, and known then.
    await batch.release(done)
    for (const outcome of outcomes.slice(0, done)) {
      metrics.count('webhook_spool_drained_total', outcome as Drained)
    }
    if (undone >= 0) return 'undone'
    return outcomes.length < batch.records.length ? 'waits' : 'done'
  }

  /** What becomes of a record; resolves undefined when it must be tried again. undefined: its partition is away. */
  function begin(record: Buffer): Promise<Drained | undefined> | undefined {
    let spooled: Spooled
    try {
      spooled = readSpooled(record)
    } catch (error) {
      return setAside(record, error)
    }
    const { locator } = spooled.admission
    const lane = lanes.of(locator)
    if (lane === undefined) return undefined
    if (lanes.up(locator)) return drainRecord(spooled, lane)
    return lane.keys.partition === options.partition ? undefined : moveAway(lane.keys.partition, record)
  }

  /** The plan was changed since it was spooled: it has to wait elsewhere. */
  async function moveAway(partition: number, record: Buffer): Promise<Drained | undefined> {
    try {
      await options.move(partition, record)
      return 'moved'
    } catch (error) {
      log.warn({ event: 'drain_failed', reason: messageOf(error) }, 'a spooled event could not be moved')
      return undefined
    }
  }

  async function drainRecord(
    { admission, receivedAt, dictionary, tenant }: Spooled,
    lane: Lane,
  ): Promise<Drained | undefined> {
    try {
      // Older than the window, the evidence says nothing any more; the long memory may know it.
      const old = clock.now() - receivedAt > options.window(admission.tool).duration
      if (old && admission.derived) {
        const before = await lanes.confirm(admission.locator)
        if (before !== 'new') return before === 'settled' ? 'settled_before' : undefined
      }
      await options.ensureDictionary(lane, dictionary, tenant)
      const { outcome, place } = await lanes.admit(admission)
      if (outcome.kind === 'limited') return undefined
      place.witness.saw(admission.fields, outcome.kind === 'accepted' ? outcome.streamId : '')
      return outcome.kind === 'accepted' ? 'accepted' : 'known'
    } catch (error) {
      if (isFault(error, 'REDIS_UNAVAILABLE')) lanes.suspect(admission.locator)
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
