/** Where does the time go, and what is near its limit? */
import type { DashboardSpec, Rows } from './frame.ts'
import { figure, graph, states, YES_NO } from './panels.ts'
import { LATENCY_SECONDS } from './slo.ts'

const quantile = (q: number, metric: string, by: string, where = '') =>
  `histogram_quantile(${q}, sum by (${['le', by].filter(Boolean).join(', ')}) (rate(${metric}_bucket${where}[$__rate_interval])))`
const TOOL = '{tool=~"$tool"}'

const rows: Rows = {
  'From accepted to settled': [
    graph({
      title: 'Latency',
      help: 'From the stream entry to the acknowledgement, by the clock of Redis. p99 above a second breaks the objective.',
      unit: 's',
      queries: {
        p50: quantile(0.5, 'webhook_event_accepted_to_settled_seconds', '', TOOL),
        p90: quantile(0.9, 'webhook_event_accepted_to_settled_seconds', '', TOOL),
        p99: quantile(0.99, 'webhook_event_accepted_to_settled_seconds', '', TOOL),
      },
      limit: LATENCY_SECONDS,
      alerts: ['LatencyBudgetBurnFast', 'LatencyBudgetBurnSlow'],
    }),
    graph({
      title: 'Latency by tool, p99',
      help: 'The tool that is slower than the others: its handlers, or what they call.',
      unit: 's',
      queries: { '{{tool}}': quantile(0.99, 'webhook_event_accepted_to_settled_seconds', 'tool', TOOL) },
      limit: LATENCY_SECONDS,
    }),
    graph({
      title: 'Stages, p99',
      help: 'Time of an event in each stage of the consumer (all tools). The longest one is where to look.',
      unit: 's',
      queries: { '{{stage}}': quantile(0.99, 'webhook_stage_duration_seconds', 'stage') },
    }),
    graph({
      title: 'Attempts, p99',
      help: 'Time in the stages per attempt, by outcome. Near webhook.consumer.handler_timeout (30 s): handlers hang.',
      unit: 's',
      queries: {
        '{{tool}} {{outcome}}': quantile(
          0.99,
          'webhook_event_processing_duration_seconds',
          'tool, outcome',
          TOOL,
        ),
      },
    }),
    graph({
      title: 'Attempts by outcome',
      help: 'park: put off for a retry or an open breaker. Many of them: what handlers call is in trouble.',
      unit: 'cps',
      queries: {
        '{{tool}} {{outcome}}': `sum by (tool, outcome) (rate(webhook_event_attempts_total${TOOL}[$__rate_interval]))`,
      },
    }),
    graph({
      title: 'Retries',
      help: 'Further attempts after one that failed, by tool. See the errors in the log of the consumers.',
      unit: 'cps',
      queries: { '{{tool}}': `sum by (tool) (rate(webhook_retries_total${TOOL}[$__rate_interval]))` },
    }),
  ],
  Gateway: [
    graph({
      title: 'Stages of the gateway, p99',
      help: 'body: slow senders. verify: CPU. admit: Redis. spool: the disk. All tools.',
      unit: 's',
      queries: { '{{stage}}': quantile(0.99, 'webhook_ingest_stage_duration_seconds', 'stage') },
    }),
    graph({
      title: 'Events that wait for admission',
      help: 'Grows when Redis is slow; webhook.ingest.admission_budget later they are spooled.',
      unit: 'short',
      queries: { '{{instance}}': 'webhook_ingest_in_flight' },
    }),
    graph({
      title: 'Packing',
      help: 'How many times smaller events are in Redis than as sent. Falls: a dictionary does not fit any more (webhook-cli dict train).',
      unit: 'short',
      queries: {
        '{{tool}}': `sum by (tool) (rate(webhook_ingest_body_bytes_total${TOOL}[$__rate_interval])) / sum by (tool) (rate(webhook_ingest_packed_bytes_total${TOOL}[$__rate_interval]))`,
        '{{tool}} since start': `max by (tool) (webhook_dictionary_ratio${TOOL})`,
      },
    }),
    graph({
      title: 'Bytes received',
      help: 'Bodies as sent, by tool. A jump without more events: bigger payloads.',
      unit: 'Bps',
      queries: {
        '{{tool}}': `sum by (tool) (rate(webhook_ingest_body_bytes_total${TOOL}[$__rate_interval]))`,
      },
    }),
    graph({
      title: 'Wait for replicas, p99',
      help: 'Only with durability replica. Near webhook.redis.replica_timeout: replicas are behind, see ReplicasShort.',
      unit: 's',
      queries: { '{{result}}': quantile(0.99, 'webhook_replica_wait_seconds', 'result') },
      alerts: ['ReplicasShort'],
    }),
    graph({
      title: 'Unknown and offered again',
      help: 'Admissions whose answer got lost on the way, and events offered again after a loss. Some are normal after a failover.',
      unit: 'cps',
      queries: {
        'unknown, {{end}}': 'sum by (end) (rate(webhook_admission_unknown_total[$__rate_interval]))',
        'offered again, {{outcome}}': 'sum by (outcome) (rate(webhook_reoffered_total[$__rate_interval]))',
      },
      alerts: ['EventsLost'],
    }),
    graph({
      title: 'Processor time of the gateways',
      help: 'Seconds of processor time a second. Near 1: it is one process on one core, start another.',
      unit: 'percentunit',
      queries: {
        '{{instance}}': 'rate(process_cpu_seconds_total{job=~"(weir|webhook).*"}[$__rate_interval])',
      },
      limit: 0.9,
    }),
    graph({
      title: 'Memory of the gateways',
      help: 'Resident memory. Grows without end: take a heap snapshot before restarting.',
      unit: 'bytes',
      queries: { '{{instance}}': 'process_resident_memory_bytes{job=~"(weir|webhook).*"}' },
    }),
    graph({
      title: 'Event loop of the gateways, p99 lag',
      help: 'How long the process does not get to anything else. Above 0.1 s it answers late: too much load for one.',
      unit: 's',
      queries: { '{{instance}}': 'nodejs_eventloop_lag_p99_seconds{job=~"(weir|webhook).*"}' },
      limit: 0.1,
    }),
  ],
  Spool: [
    graph({
      title: 'Events written to the spool',
      help: 'By reason. redis_down and redis_unknown: Redis or the way to it. redis_out_of_memory: maxmemory. overload: Redis is too slow.',
      unit: 'cps',
      queries: { '{{reason}}': 'sum by (reason) (rate(webhook_spooled_total[$__rate_interval]))' },
      alerts: ['SpoolInUse'],
    }),
    graph({
      title: 'Events drained from the spool',
      help: 'known and settled_before: they had reached Redis after all. corrupt: the disk; the log of the gateway names the file.',
      unit: 'cps',
      queries: { '{{outcome}}': 'sum by (outcome) (rate(webhook_spool_drained_total[$__rate_interval]))' },
      alerts: ['SpoolOld'],
    }),
    graph({
      title: 'Bytes of the spool',
      help: 'Of each gateway. At webhook.ingest.spool.max_bytes (1 GiB) it takes no more.',
      unit: 'bytes',
      queries: { '{{instance}}': 'webhook_spool_bytes' },
      alerts: ['SpoolNotAccepting'],
    }),
  ],
  Consumers: [
    graph({
      title: 'Entries held, handlers running',
      help: 'As many running as there are workers (webhook.consumer.num_workers), all the time: more consumers, which the autoscaler sees to.',
      unit: 'short',
      queries: {
        held: 'sum(webhook_consumer_held)',
        running: 'sum(webhook_consumer_running)',
        workers: 'sum(webhook_consumer_workers)',
      },
    }),
    graph({
      title: 'Entries taken over',
      help: 'From consumers that fell silent, and lost to others. More than at a roll-out: consumers die or hang.',
      unit: 'cps',
      queries: {
        'taken over': 'sum(rate(webhook_entries_reclaimed_total[$__rate_interval]))',
        lost: 'sum(rate(webhook_entries_ownership_lost_total[$__rate_interval]))',
      },
      alerts: ['EventStuck'],
    }),
    graph({
      title: 'What waits for a key or a dictionary',
      help: 'Attempts put off because something to read the event with is missing. Anything but 0 is a mistake in set-up.',
      unit: 'cps',
      queries: {
        key: 'sum(rate(webhook_key_missing_total[$__rate_interval]))',
        dictionary: 'sum(rate(webhook_dictionary_missing_total[$__rate_interval]))',
      },
      alerts: ['KeyMissing', 'DictionaryMissing'],
    }),
  ],
  Redis: [
    graph({
      title: 'Memory of Redis',
      help: 'Share of maxmemory. With noeviction a full Redis refuses events: they go to the spool.',
      unit: 'percentunit',
      queries: {
        '{{server}}':
          'max by (server) (webhook_redis_used_memory_bytes) / (max by (server) (webhook_redis_max_memory_bytes) > 0)',
      },
      limit: 0.8,
      alerts: ['RedisMemoryHigh', 'RedisMemoryCritical'],
    }),
    states({
      title: 'Connected to Redis',
      help: 'No: gateways spool, consumers stand still. See whether Redis runs and lets them in.',
      unit: 'none',
      queries: { '{{job}} {{instance}}': 'webhook_redis_connected' },
      states: YES_NO,
      alerts: ['RedisDisconnected'],
    }),
    graph({
      title: 'Settled entries removed from the stream',
      help: 'Falls behind what is settled: the stream grows. Something holds the trimming up (see the log of the consumers).',
      unit: 'cps',
      queries: {
        removed: 'sum(rate(webhook_stream_trimmed_total[$__rate_interval]))',
        settled: 'sum(rate(webhook_events_settled_total[$__rate_interval]))',
      },
    }),
    figure({
      title: 'Partitions away',
      help: 'Partitions whose Redis takes no events: webhook-cli partitions show names their masters.',
      unit: 'short',
      queries: { away: 'max(webhook_partitions_away)' },
      limit: 1,
      alerts: ['PartitionsAway'],
    }),
    figure({
      title: 'Clock of Redis behind',
      help: 'Set back: ages and windows are wrong until it has caught up. See to NTP.',
      unit: 's',
      queries: { behind: 'max(webhook_redis_clock_behind_seconds)' },
      limit: 1,
      alerts: ['RedisClockBehind'],
    }),
    figure({
      title: 'Versions that run',
      help: 'More than one for hours: a roll-out did not come to its end.',
      unit: 'short',
      queries: { versions: 'count(count by (version) (webhook_build_info))' },
      limit: 2,
      alerts: ['MixedVersions'],
    }),
  ],
  Telemetry: [
    graph({
      title: 'Spans of traces',
      help: 'Only with tracing. Failed: the collector does not take them; dropped: too many waited. Events do not wait for either.',
      unit: 'cps',
      queries: { '{{result}}': 'sum by (result) (rate(webhook_trace_spans_total[$__rate_interval]))' },
    }),
    graph({
      title: 'Pushes of metrics',
      help: 'Only with a Pushgateway (observability.metrics.push_gateway). Failed: is it reachable? The log of the process says why.',
      unit: 'cps',
      queries: { '{{result}}': 'sum by (result) (rate(webhook_metrics_pushes_total[$__rate_interval]))' },
    }),
  ],
  Duplicates: [
    graph({
      title: 'Duplicates',
      help: 'By what recognised them: the window, or the long memory. A sender that repeats much gets no answer in time.',
      unit: 'cps',
      queries: {
        '{{tool}} {{memory}}': `sum by (tool, memory) (rate(webhook_duplicates_total${TOOL}[$__rate_interval]))`,
      },
    }),
    graph({
      title: 'Look-ups of the long memory',
      help: 'Exact look-ups after the bloom filters said maybe. Many false positives: webhook.deduplication.bloom_filter_size is too small.',
      unit: 'cps',
      queries: {
        '{{result}}': 'sum by (result) (rate(webhook_long_memory_lookups_total[$__rate_interval]))',
      },
    }),
    graph({
      title: 'Fill of the newest bloom filter',
      help: 'At 1 the next one begins.',
      unit: 'percentunit',
      queries: { '{{instance}}': 'webhook_long_memory_fill_ratio' },
    }),
    figure({
      title: 'Ids remembered',
      help: 'Settled ids in the filters of a gateway. They are forgotten after the horizon (webhook.deduplication.horizon).',
      unit: 'short',
      queries: { ids: 'max(webhook_long_memory_ids)' },
    }),
    figure({
      title: 'Horizon',
      help: 'How long ids are remembered. GitHub sends again for three days: not below that.',
      unit: 's',
      queries: { horizon: 'min(webhook_long_memory_horizon_seconds)' },
    }),
    figure({
      title: 'Bloom filters',
      help: 'How many there are; each look-up asks all of them.',
      unit: 'short',
      queries: { filters: 'max(webhook_long_memory_filters)' },
    }),
    figure({
      title: 'Their memory',
      help: 'In each gateway. Too much: a shorter horizon, or a smaller webhook.deduplication.bloom_filter_size.',
      unit: 'bytes',
      queries: { bytes: 'max(webhook_long_memory_bytes)' },
    }),
  ],
}

export const performance: DashboardSpec = {
  uid: 'weir-webhook-performance',
  title: 'Webhook performance',
  help: 'Where does the time go, and what is near its limit? Latency by stage, gateways, consumers, Redis.',
  rows,
}
