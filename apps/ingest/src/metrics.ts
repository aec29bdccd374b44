/**
 * The gateway's metrics: one table of names, types, labels and help (docs/metrics.md lists them, checked by a test).
 * Label values are bounded: tools come from the adapters' table, paths are route patterns, alert names are cut off
 * after the first hundred.
 */
import type { WaitResult } from '@weir/core/redis/durable'
import {
  createCounter,
  createHistogram,
  type Exemplary,
  type TalliedCounter,
  type TalliedHistogram,
} from '@weir/core/tally'
import { Gauge, Registry } from 'prom-client'

interface Row {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly labels?: readonly string[]
  /** Seconds; histograms only. */
  readonly buckets?: readonly number[]
}

/** From a tenth of a millisecond, below which nothing matters, to the time-outs. */
const STAGE_SECONDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
]

export const GATEWAY_METRICS = {
  webhooks_received_total: {
    type: 'counter',
    help: 'Requests by route pattern and status of the answer; status aborted: the sender left before it',
    labels: ['path', 'status'],
  },
  webhook_events_received_total: {
    type: 'counter',
    help: 'Requests to a known tool by outcome: accepted, spooled, duplicate, limited, refused, unavailable, failed, aborted',
    labels: ['tool', 'outcome'],
  },
  webhook_auth_failures_total: {
    type: 'counter',
    help: 'Requests without credentials, or with wrong ones',
    labels: ['tool', 'reason'],
  },
  webhook_signature_failures_total: {
    type: 'counter',
    help: 'Requests whose signature was there and wrong',
    labels: ['tool'],
  },
  webhook_replay_suspects_total: {
    type: 'counter',
    help: 'Events whose body came before under another delivery id',
    labels: ['tool'],
  },
  webhook_flood_refused_total: {
    type: 'counter',
    help: 'Requests refused unverified, because too many from the same address were badly signed',
    labels: ['tool'],
  },
  webhook_flood_addresses: {
    type: 'gauge',
    help: 'Addresses whose requests are verified at a limited rate, because too many were badly signed',
  },
  webhooks_by_alertname_total: {
    type: 'counter',
    help: 'Alerts received from Alertmanager by name; "other" after the first hundred names',
    labels: ['alertname'],
  },
  webhook_rate_limit_exceeded_total: {
    type: 'counter',
    help: 'Events refused by a rate limit',
    labels: ['limit_type'],
  },
  webhook_rate_limit_allowed_total: { type: 'counter', help: 'Events that all rate limits let through' },
  webhook_rate_limit_redis_errors_total: {
    type: 'counter',
    help: 'Events whose rate limits Redis could not be asked for, so that the gateway counted alone',
  },
  webhook_rate_limit_leases_total: {
    type: 'counter',
    help: 'Blocks of permits that the gateway asked for, for limits above 128: granted, refused, failed',
    labels: ['result'],
  },
  webhook_rate_limit_redis_connected: { type: 'gauge', help: 'Whether rate limits can be asked: 1 or 0' },
  webhook_partitions: { type: 'gauge', help: 'Partitions that events are spread over; 0 while nobody knows' },
  webhook_partitions_away: {
    type: 'gauge',
    help: 'Partitions whose Redis takes no events from this gateway',
  },
  webhook_ingest_stage_duration_seconds: {
    type: 'histogram',
    help: 'Time of an event in each stage: body, verify, pack, admit, spool; total is all of it, accepted ones only',
    labels: ['stage'],
    buckets: STAGE_SECONDS,
  },
  webhook_ingest_body_bytes_total: {
    type: 'counter',
    help: 'Bytes of event bodies as sent',
    labels: ['tool'],
  },
  webhook_ingest_packed_bytes_total: {
    type: 'counter',
    help: 'Bytes of the same events packed',
    labels: ['tool'],
  },
  webhook_dictionary_ratio: {
    type: 'gauge',
    help: 'How many times smaller events were packed, since this gateway started; of late: rate of webhook_ingest_body_bytes_total / rate of webhook_ingest_packed_bytes_total',
    labels: ['tool'],
  },
  webhook_keyring_tenants: { type: 'gauge', help: 'Tenants in the keyring, as this gateway knows it' },
  webhook_keyring_age_seconds: {
    type: 'gauge',
    help: 'Since the keyring was last read; NaN when it never was',
  },
  webhook_ingest_in_flight: { type: 'gauge', help: 'Events that wait for their admission' },
  webhook_admission_unknown_total: {
    type: 'counter',
    help: 'Admissions whose outcome was unknown, by how that ended: retried (another attempt was answered), given_up',
    labels: ['end'],
  },
  webhook_duplicates_total: {
    type: 'counter',
    help: 'Duplicates by what recognised them: window or long memory',
    labels: ['tool', 'memory'],
  },
  webhook_long_memory_lookups_total: {
    type: 'counter',
    help: 'Exact look-ups after the bloom filters said maybe: hit, false_positive, failed',
    labels: ['result'],
  },
  webhook_long_memory_filters: { type: 'gauge', help: 'Bloom filters in the local copy' },
  webhook_long_memory_bytes: { type: 'gauge', help: 'Bytes of the local copy of the bloom filters' },
  webhook_long_memory_ids: {
    type: 'gauge',
    help: 'Settled event ids in the local copy of the bloom filters',
  },
  webhook_long_memory_fill_ratio: {
    type: 'gauge',
    help: 'How full the bloom filter is that takes new ids, of its design load; at 1 the next one begins',
  },
  webhook_long_memory_horizon_seconds: {
    type: 'gauge',
    help: 'How long settled ids are remembered (webhook.deduplication.horizon)',
  },
  webhook_replica_wait_seconds: {
    type: 'histogram',
    help: 'Time of each WAIT for the replicas (durability: replica) by result: confirmed, short, unknown; many events share one',
    labels: ['result'],
    buckets: STAGE_SECONDS,
  },
  webhook_replica_short_total: {
    type: 'counter',
    help: 'Times that fewer replicas than webhook.redis.replicas confirmed within webhook.redis.replica_timeout',
  },
  webhook_spooled_total: {
    type: 'counter',
    help: 'Events written to the spool, by reason: redis_down, redis_unknown, redis_out_of_memory, overload',
    labels: ['reason'],
  },
  webhook_spool_refused_total: {
    type: 'counter',
    help: 'Events that the spool did not take, by reason: full, io, overload, not_configured',
    labels: ['reason'],
  },
  webhook_spool_drained_total: {
    type: 'counter',
    help: 'Events drained from the spool: accepted, known, settled_before, corrupt, moved (to the journal of another partition)',
    labels: ['outcome'],
  },
  webhook_spool_records: { type: 'gauge', help: 'Events in the spool' },
  webhook_spool_bytes: { type: 'gauge', help: 'Bytes of the spool on disk' },
  webhook_spool_oldest_age_seconds: {
    type: 'gauge',
    help: 'Age of the oldest event in the spool; 0 when empty',
  },
  webhook_spool_accepting: {
    type: 'gauge',
    help: 'Whether the spool would take an event now: 1 or 0; NaN where it is switched off',
  },
  webhook_loss_detected_total: {
    type: 'counter',
    help: 'Times that Redis came back without events it had acknowledged',
  },
  webhook_reoffered_total: {
    type: 'counter',
    help: 'Events offered again after such a loss: accepted (they were lost), known',
    labels: ['outcome'],
  },
  webhook_audit_waiting_entries: {
    type: 'gauge',
    help: 'Entries of the audit trail that are not written yet: thousands, when Redis does not take them',
  },
  webhook_audit_damage_total: {
    type: 'counter',
    help: 'Entries that are not in the audit trail (more than could wait, or Redis lost what it had acknowledged), and times that the trail did not lead to its own checkpoint',
  },
  webhook_trace_spans_total: {
    type: 'counter',
    help: 'Spans of traces by what became of them: exported, failed (the collector did not take them), dropped (too many waited)',
    labels: ['result'],
  },
  webhook_faults_total: { type: 'counter', help: 'Faults by code', labels: ['code'] },
} as const satisfies Record<string, Row>

type MetricName = keyof typeof GATEWAY_METRICS
type NamesOf<Type extends Row['type']> = {
  [Name in MetricName]: (typeof GATEWAY_METRICS)[Name]['type'] extends Type ? Name : never
}[MetricName]
export type CounterName = NamesOf<'counter'>
/** What is computed of counters is not set. */
export type GaugeName = Exclude<NamesOf<'gauge'>, 'webhook_dictionary_ratio'>

/** Names of alerts that get a series of their own. */
const MAX_ALERT_NAMES = 100

export type Stage = 'body' | 'verify' | 'pack' | 'admit' | 'spool' | 'total'
export type Outcome =
  | 'accepted'
  | 'spooled'
  | 'duplicate'
  | 'limited'
  | 'refused'
  | 'unavailable'
  | 'failed'
  | 'aborted'

export interface GatewayMetrics {
  readonly registry: Registry
  received(path: string, status: number | 'aborted'): void
  outcome(tool: string, outcome: Outcome): void
  /** @param ms duration @param trace the event's, if it is traced */
  stage(stage: Stage, ms: number, trace?: Exemplary): void
  /** @param ms duration */
  replicaWait(result: WaitResult, ms: number): void
  alertName(name: string): void
  /** Adds to a counter; the label values in the order of the table. */
  count(name: CounterName, first?: string, second?: string, by?: number): void
  /** Sets what a gauge shows, asked at every scrape. */
  gauge(name: GaugeName, read: () => number): void
  /** All counters as they stand, by name and labels; for /stats. */
  counters(): Record<string, number>
}

export function createMetrics(): GatewayMetrics {
  const registry = new Registry()
  const counters = new Map<string, TalliedCounter>()
  const gauges = new Map<string, () => number>()
  const histograms = new Map<string, TalliedHistogram>()
  for (const [name, row] of Object.entries(GATEWAY_METRICS) as [MetricName, Row][]) {
    const { help, labels = [], buckets = [] } = row
    if (row.type === 'counter') counters.set(name, createCounter(registry, { name, help, labels }))
    else if (row.type === 'histogram') {
      histograms.set(name, createHistogram(registry, { name, help, label: labels[0] ?? '', buckets }))
    } else if (name === 'webhook_dictionary_ratio') {
      new Gauge({
        name,
        help,
        labelNames: labels,
        registers: [registry],
        collect() {
          for (const [tool, ratio] of packingRatios(counters)) this.set({ tool }, ratio)
        },
      })
    } else {
      new Gauge({
        name,
        help,
        registers: [registry],
        collect() {
          this.set(gauges.get(name)?.() ?? 0)
        },
      })
    }
  }
  const counter = (name: CounterName): TalliedCounter => counters.get(name) as TalliedCounter
  const received = counter('webhooks_received_total')
  const events = counter('webhook_events_received_total')
  const alerts = counter('webhooks_by_alertname_total')
  const stages = histograms.get('webhook_ingest_stage_duration_seconds') as TalliedHistogram
  const replicaWaits = histograms.get('webhook_replica_wait_seconds') as TalliedHistogram
  const alertNames = new Set<string>()

  return {
    registry,
    received: (path, status) => received.add(path, STATUS_TEXTS[status] ?? String(status), 1),
    outcome: (tool, outcome) => events.add(tool, outcome, 1),
    stage: (stage, ms, trace) => stages.observe(stage, ms / 1000, '', trace),
    replicaWait: (result, ms) => replicaWaits.observe(result, ms / 1000),
    alertName(name) {
      if (alertNames.size < MAX_ALERT_NAMES) alertNames.add(name)
      alerts.add(alertNames.has(name) ? name : 'other', '', 1)
    },
    count: (name, first = '', second = '', by = 1) => counter(name).add(first, second, by),
    gauge: (name, read) => void gauges.set(name, read),
    counters() {
      const all: Record<string, number> = {}
      for (const [name, each] of counters) {
        for (const { labels, value } of each.values()) {
          const parts = Object.entries(labels).map(([label, text]) => `${label}=${text}`)
          all[parts.length === 0 ? name : `${name}{${parts.join(',')}}`] = value
        }
      }
      return all
    },
  }
}

/** The usual ones, so that counting makes no text. */
const STATUS_TEXTS: Readonly<Record<number | string, string>> = {
  200: '200',
  202: '202',
  401: '401',
  aborted: 'aborted',
}

/** By tool; a tool of which nothing was packed yet has none. */
function packingRatios(counters: ReadonlyMap<string, TalliedCounter>): Map<string, number> {
  const bytesOf = (name: CounterName) =>
    new Map(
      counters
        .get(name)
        ?.values()
        .map(({ labels, value }) => [String(labels.tool), value]),
    )
  const packed = bytesOf('webhook_ingest_packed_bytes_total')
  const ratios = new Map<string, number>()
  for (const [tool, bytes] of bytesOf('webhook_ingest_body_bytes_total')) {
    const small = packed.get(tool) ?? 0
    if (small > 0) ratios.set(tool, bytes / small)
  }
  return ratios
}
