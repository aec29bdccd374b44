/** The consumer's metrics: names, types, labels. Labels are bounded: tools come from the adapters' table. */
import { createCounter, createHistogram, type TalliedCounter, type TalliedHistogram } from '@weir/core/tally'
import { Counter, Gauge, Registry } from 'prom-client'

/** What the consumer of one partition needs of it: its breakers are one part of what the gauge shows. */
export type PartitionMetrics = Omit<ConsumerMetrics, 'breaker'> & {
  readonly breaker: { set(labels: { readonly tool_id: string }, value: number): void }
}

export interface ConsumerMetrics {
  readonly registry: Registry
  /** By tool and outcome, as the next two counters. */
  readonly processing: TalliedHistogram
  readonly settleLatency: TalliedHistogram
  /** By stage. */
  readonly stages: TalliedHistogram
  readonly attempts: TalliedCounter
  readonly retries: TalliedCounter
  readonly settled: TalliedCounter
  readonly failed: Counter<'tool' | 'reason'>
  readonly reclaimed: Counter<string>
  readonly ownershipLost: Counter<string>
  readonly missingDictionary: Counter<string>
  readonly missingKey: Counter<string>
  readonly remembered: Counter<'result'>
  readonly trimmed: Counter<string>
  readonly held: Gauge<string>
  readonly running: Gauge<string>
  readonly workers: Gauge<string>
  readonly spans: Counter<'result'>
  readonly breaker: Gauge<'tool_id'>
}

/** Parts of an attempt, in their order. */
export type StageName = 'decode' | 'context' | 'handlers' | 'settle'

/** Decoding takes a tenth of a millisecond. */
const STAGE_SECONDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
]
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
/** Finer around what is promised, 25 ms and a second. */
const SETTLED_SECONDS = [
  0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.035, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5,
  10, 30,
]

export function createConsumerMetrics(): ConsumerMetrics {
  const registry = new Registry()
  const registers = [registry]
  return {
    registry,
    processing: createHistogram(registry, {
      name: 'webhook_event_processing_duration_seconds',
      help: 'Time in the stages, per attempt',
      label: 'tool',
      secondLabel: 'outcome',
      buckets: SECONDS,
    }),
    settleLatency: createHistogram(registry, {
      name: 'webhook_event_accepted_to_settled_seconds',
      help: 'From the stream entry to the acknowledgement, by Redis time',
      label: 'tool',
      buckets: SETTLED_SECONDS,
    }),
    stages: createHistogram(registry, {
      name: 'webhook_stage_duration_seconds',
      help: 'Time of an attempt in each stage: decode, context (until Redis has it), handlers, settle (from the outcome until Redis has it, outages included)',
      label: 'stage',
      buckets: STAGE_SECONDS,
    }),
    attempts: createCounter(registry, {
      name: 'webhook_event_attempts_total',
      help: 'Attempts by how they ended: settled, superseded, park, dead',
      labels: ['tool', 'outcome'],
    }),
    retries: createCounter(registry, {
      name: 'webhook_retries_total',
      help: 'Failed attempts whose event was parked for another one',
      labels: ['tool'],
    }),
    settled: createCounter(registry, {
      name: 'webhook_events_settled_total',
      help: 'Events that left the pipeline: settled, superseded or dead',
      labels: ['tool', 'outcome'],
    }),
    failed: new Counter({
      name: 'webhook_events_failed_total',
      help: 'Events that ended as dead letters',
      labelNames: ['tool', 'reason'],
      registers,
    }),
    reclaimed: new Counter({
      name: 'webhook_entries_reclaimed_total',
      help: 'Entries taken over from consumers that fell silent',
      registers,
    }),
    ownershipLost: new Counter({
      name: 'webhook_entries_ownership_lost_total',
      help: 'Held entries that another consumer had taken over',
      registers,
    }),
    missingDictionary: new Counter({
      name: 'webhook_dictionary_missing_total',
      help: 'Attempts that had to wait because a compression dictionary is missing',
      registers,
    }),
    remembered: new Counter({
      name: 'webhook_context_events_total',
      help: 'Events put into their contexts: appended, or known because they had been tried before',
      labelNames: ['result'],
      registers,
    }),
    missingKey: new Counter({
      name: 'webhook_key_missing_total',
      help: 'Attempts that had to wait because the key that the event is encrypted with is missing',
      registers,
    }),
    trimmed: new Counter({
      name: 'webhook_stream_trimmed_total',
      help: 'Settled entries removed from the stream',
      registers,
    }),
    spans: new Counter({
      name: 'webhook_trace_spans_total',
      help: 'Spans of traces by what became of them: exported, failed (the collector did not take them), dropped (too many waited)',
      labelNames: ['result'],
      registers,
    }),
    held: new Gauge({ name: 'webhook_consumer_held', help: 'Entries held by this consumer', registers }),
    running: new Gauge({ name: 'webhook_consumer_running', help: 'Handlers running', registers }),
    workers: new Gauge({
      name: 'webhook_consumer_workers',
      help: 'Handlers that run at once at most (num_workers)',
      registers,
    }),
    breaker: new Gauge({
      name: 'webhook_circuit_breaker_state',
      help: 'Breaker of a tool: 0 closed, 1 open, 2 half-open',
      labelNames: ['tool_id'],
      aggregator: 'max',
      registers,
    }),
  }
}
