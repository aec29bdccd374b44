/**
 * Enrichment as jobs of BullMQ, one for each context whose card is behind:
 *
 *   behind (context-lifecycle/search/behind.ts) ──pump──▶ job, named for its context ──▶ card made ──▶ not behind any more
 *                        ▲                                   │  over budget, provider away → the job waits that long
 *                        │                                   │  fails → tried again with backoff, in the end given up
 *                        └──── still behind: the next pump ◀─┘
 *
 * A context that has a job gets no second one, so a burst of events is one job. What is to be done is known by the contexts
 * that are behind, and not by the queue: a lost queue, or a job that was given up, loses no enrichment.
 */

import type { ContextPlace } from '@weir/context-lifecycle/context-place'
import {
  cardsBehind,
  caughtUp,
  countBehind,
  type Lag,
  type Patience,
} from '@weir/context-lifecycle/search/behind'
import type { CardMaker, MadeCard } from '@weir/context-lifecycle/search/make-card'
import type { Clock } from '@weir/core/clock'
import { isFault, messageOf } from '@weir/core/faults'
import { type ConnectionOptions, DelayedError, Queue, Worker } from 'bullmq'
import type { Logger } from 'pino'
import { type EnrichmentTrace, type EnrichmentTraces, NO_ENRICHMENT_TRACES } from './enrichment-trace.ts'
import type { CuratorMetrics } from './metrics.ts'

export interface EnrichmentJobs {
  start(): Promise<void>
  /** Resolves when the jobs in hand are finished. Harmless when repeated. */
  stop(): Promise<void>
}

export interface Pump extends Patience {
  /** Pause between two looks, ms. */
  readonly intervalMs: number
}

export interface EnrichmentJobsOptions {
  readonly makeCard: CardMaker
  readonly places: readonly ContextPlace[]
  placeOf(id: string): ContextPlace
  /** Stays the caller's. */
  readonly connection: ConnectionOptions
  /** What is looked for, and how often. `enrichment` is looked for only where the provider is asked later. */
  readonly pumps: Readonly<Partial<Record<Lag, Pump>>>
  readonly concurrency: number
  readonly clock: Clock
  readonly metrics: CuratorMetrics
  readonly log: Logger
  /** Undefined = nothing is traced. */
  readonly traceOf?: EnrichmentTraces
}

/** Queue and prefix: all its keys share one slot of a Cluster. */
export const ENRICHMENT_QUEUE = { name: 'enrichment', prefix: '{weir:enrichment}' } as const

/** Contexts that get a job at once. */
const PAGE = 500
const ATTEMPTS = 5
const BACKOFF_MS = 1_000
/** A key or a dictionary that is missing may be there after so long, ms. */
const MISSING_RETRY_MS = 300_000

interface JobData {
  readonly context: string
  readonly lag: Lag
}

export function createEnrichmentJobs(options: EnrichmentJobsOptions): EnrichmentJobs {
  const { makeCard, places, placeOf, connection, pumps, clock, metrics, log } = options
  const { traceOf = NO_ENRICHMENT_TRACES } = options
  const shared = { connection, prefix: ENRICHMENT_QUEUE.prefix }
  const stopped = new AbortController()
  let pumping: readonly Promise<void>[] = []
  let queue: Queue<JobData> | undefined
  let worker: Worker<JobData> | undefined
  let trouble = ''

  /** What is wrong is told once until it changes. */
  function tell(error: unknown, trace_id?: string): void {
    const what = messageOf(error)
    if (what !== trouble)
      log.warn({ event: 'enrichment_waits', trace_id, err: error }, 'contexts are enriched later')
    trouble = what
  }

  async function pump(jobs: Queue<JobData>, lag: Lag, patience: Patience): Promise<void> {
    let behind = 0
    for (const place of places) {
      const ids = await cardsBehind(place, lag, patience, PAGE)
      if (ids.length > 0) {
        await jobs.addBulk(
          ids.map((context) => ({
            name: 'enrich',
            data: { context, lag },
            opts: {
              jobId: `${lag}-${context}`,
              attempts: ATTEMPTS,
              backoff: { type: 'exponential', delay: BACKOFF_MS },
              removeOnComplete: true,
              removeOnFail: true,
            },
          })),
        )
      }
      behind += await countBehind(place, lag)
    }
    metrics.behind.set({ lag }, behind)
  }

  async function enrich(
    { context: id, lag }: JobData,
    trace: EnrichmentTrace | undefined,
  ): Promise<MadeCard> {
    try {
      return await makeCard(id, lag, stopped.signal, trace?.onStep)
    } catch (error) {
      if (isFault(error, 'KEY_MISSING') || isFault(error, 'DICTIONARY_MISSING'))
        return { kind: 'later', retryInMs: MISSING_RETRY_MS, why: error.message }
      if (isFault(error, 'KEY_DESTROYED') || isFault(error, 'RECORD_CORRUPT')) {
        // Nobody will ever read it.
        await caughtUp(placeOf(id), lag, id, Number.MAX_SAFE_INTEGER)
        return { kind: 'gone' }
      }
      throw error
    }
  }

  return {
    async start() {
      const jobs = new Queue<JobData>(ENRICHMENT_QUEUE.name, shared)
      queue = jobs
      jobs.on('error', (error) => tell(error))
      worker = new Worker<JobData>(
        ENRICHMENT_QUEUE.name,
        async (job, token) => {
          const { context, lag } = job.data
          const trace = await traceOf(context, lag)
          let made: MadeCard
          try {
            made = await enrich(job.data, trace)
          } catch (error) {
            metrics.enriched.inc({ outcome: 'failed' })
            trace?.failed(error)
            tell(error, trace?.traceId)
            throw error
          }
          await trace?.made(made)
          if (made.kind === 'later') {
            metrics.enriched.inc({ outcome: 'later' })
            tell(new Error(made.why), trace?.traceId)
            await job.moveToDelayed(clock.now() + made.retryInMs, token)
            throw new DelayedError()
          }
          trouble = ''
          metrics.enriched.inc({
            outcome: made.kind === 'gone' ? 'gone' : made.enriched ? 'enriched' : 'plain',
          })
        },
        { ...shared, concurrency: options.concurrency },
      )
      worker.on('error', (error) => tell(error))
      pumping = (Object.entries(pumps) as [Lag, Pump][]).map(async ([lag, { intervalMs, ...patience }]) => {
        while (!stopped.signal.aborted) {
          if (places.every(({ link }) => link.connected))
            await pump(jobs, lag, patience).catch((error: unknown) => tell(error))
          await clock.wait(intervalMs, stopped.signal)
        }
      })
    },
    async stop() {
      stopped.abort()
      await Promise.all(pumping)
      await worker?.close()
      await queue?.close()
    },
  }
}
