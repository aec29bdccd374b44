import type { z } from 'zod'
import { section } from '../field.ts'
import { duration, integer, integerOrAuto, redisName, secret, text } from '../fields.ts'
import { perTool, TIMED_TOOLS, TOOLS, type Tool } from '../tools.ts'

const WORKERS_PER_CORE = 3

/** `webhook.consumer`: where events are processed. */
export function consumerSection(cores: number) {
  return section('The consumer: where events are processed.', {
    consumer_group: redisName({
      meaning: 'Consumer group on the stream; consumers of one group share the work.',
      default: 'webhook-processors',
    }),
    num_workers: integerOrAuto({
      meaning: 'Handlers that run at once in one process.',
      default: 10,
      min: 1,
      max: 10_000,
      perCore: WORKERS_PER_CORE,
      cores,
    }),
    batch_size: integer({
      meaning: 'Most events that one read takes from the stream.',
      unit: 'events',
      default: 100,
      min: 1,
      max: 10_000,
    }),
    block_timeout: duration({
      meaning: 'How long a read waits for new events.',
      default: '5s',
      min: '10ms',
      max: '10m',
    }),
    prefetch_count: integer({
      meaning: 'Most events that one process holds, running or waiting.',
      unit: 'events',
      default: 1000,
      min: 1,
      max: 1_000_000,
    }),
    max_retries: integer({
      meaning: 'Further attempts after the first has failed; then the event is dead-lettered.',
      default: 3,
      max: 1000,
    }),
    dead_letter_stream: redisName({
      meaning: 'Stream of the dead letters.',
      default: 'webhook-events-dlq',
    }),
    handlers: text({
      meaning: 'Module with your own handlers (a path); null = none.',
      default: null,
    }),
    handler_timeout: duration({
      meaning: 'How long the handlers of one event may take together.',
      default: '30s',
    }),
    retry_base_delay: duration({
      meaning: 'Pause before the first retry; doubles with each, and is chosen at random below that.',
      default: '1s',
    }),
    retry_max_delay: duration({ meaning: 'Longest such pause.', default: '5m', max: '30d' }),
    reclaim_idle: duration({
      meaning:
        'An event that a consumer has held this long without a sign of life is given to another. Longer than `handler_timeout`.',
      default: '60s',
    }),
    reclaim_interval: duration({
      meaning: 'Pause between two looks for such events.',
      default: '5s',
    }),
    quarantine_after: integer({
      meaning: 'Deliveries after which an event that ends its consumer each time is dead-lettered.',
      unit: 'deliveries',
      default: 5,
      min: 2,
      max: 1000,
    }),
    breaker: section('The breaker of each tool, shared by all consumers.', {
      failure_threshold: integer({
        meaning: 'Failures in a row after which the events of a tool wait.',
        default: 5,
        min: 1,
        max: 1_000_000,
      }),
      open_duration: duration({
        meaning: 'How long they wait before one event is let through to see.',
        default: '60s',
      }),
    }),
    heartbeat_interval: duration({
      meaning: 'Pause between two signs of life of a consumer.',
      default: '2s',
    }),
    dead_consumer_after: duration({
      meaning: 'A consumer without a sign of life for this long, and without events, is removed.',
      default: '5m',
    }),
    shutdown_timeout: duration({
      meaning: 'How long stopping waits for running handlers before it aborts them.',
      default: '25s',
    }),
    ops_port: integer({
      meaning: 'Port of the health and metrics of the consumer; 0 = any free one, off (or null) = none.',
      default: 8082,
      max: 65_535,
      off: true,
    }),
  })
}

/** `webhook.stream`: how long the stream keeps what is done. */
export function streamSection() {
  return section('How long the stream keeps what is done.', {
    keep_settled: duration({
      meaning: 'How long a settled event stays readable in the stream.',
      default: '15m',
      min: '0',
      max: '30d',
    }),
    trim_interval: duration({
      meaning: 'Pause between two trims of what is settled and old enough.',
      default: '1s',
      min: '10ms',
    }),
  })
}

interface Window {
  /** ms */
  readonly duration: number
  readonly max_size: number
}

/** What the tools have that differ from `window_configs.default`. */
const TOOL_WINDOWS: Partial<Record<Tool, { duration: string; max_size: number }>> = {
  github: { duration: '5m', max_size: 1 },
  jira: { duration: '10m', max_size: 3 },
}
const DEFAULT_WINDOW = '`window_configs.default`'

const WINDOW = { min: '1s', max: '30d' } as const
const DURATION_MEANING = 'How long a delivery is remembered exactly.'
const SIZE_MEANING = 'How many times one delivery passes within the window.'

function windowSection(tool: Tool) {
  const own = TOOL_WINDOWS[tool]
  const durationText = TIMED_TOOLS.includes(tool)
    ? `the longer of ${DEFAULT_WINDOW} and twice \`webhook.security.timestamp_tolerance\``
    : `as ${DEFAULT_WINDOW}`
  return section(`Window of ${tool}.`, {
    duration: duration({
      meaning: DURATION_MEANING,
      default: own?.duration ?? null,
      ...WINDOW,
      ...(own ? {} : { defaultText: durationText }),
    }),
    max_size: integer({
      meaning: SIZE_MEANING,
      default: own?.max_size ?? null,
      min: 1,
      max: 1000,
      ...(own ? {} : { defaultText: `as ${DEFAULT_WINDOW}` }),
    }),
  })
}

/** `webhook.deduplication`: what counts as the same delivery, and for how long; `resolveWindows` completes it. */
export function deduplicationSection() {
  const windows = section('Within the window of its tool, a delivery is recognised exactly.', {
    default: section('For tools that have no window of their own.', {
      duration: duration({ meaning: DURATION_MEANING, default: '5m', ...WINDOW }),
      max_size: integer({ meaning: SIZE_MEANING, default: 1, min: 1, max: 1000 }),
    }),
    ...perTool(windowSection),
  })

  return section('What counts as the same delivery, and for how long.', {
    window_configs: windows,
    bloom_filter_size: integer({
      meaning: 'Size of one bloom filter of the long memory; full ones get a successor.',
      unit: 'bits',
      default: 10_000_000,
      min: 1024,
      max: 4_294_967_296,
    }),
    bloom_filter_hash_funcs: integer({
      meaning: 'Hash functions of the bloom filters.',
      default: 4,
      min: 1,
      max: 16,
    }),
    horizon: duration({
      meaning:
        'How long settled deliveries of tools with stable ids are remembered beyond the window; 0 = off.',
      default: '3d',
      min: '0',
      max: '90d',
    }),
    refresh_interval: duration({
      meaning: 'Pause between two refreshes of the local copies of the bloom filters.',
      default: null,
      min: '10ms',
      defaultText: 'a quarter of the shortest window',
    }),
    evidence_shards: integer({
      meaning:
        'Hashes that the evidence of one window is spread over: with 15 events in each an event takes 35 bytes, with more of them less, and 97 beyond 512, where Redis keeps hashes otherwise; with fewer it takes more, all in all 190 bytes for each hash. For one window after a change what came before it is not recognised.',
      default: 2048,
      min: 1,
      max: 65_536,
    }),
    settled_shards: integer({
      meaning: 'Sets that the settled deliveries of one day are spread over.',
      default: 4096,
      min: 1,
      max: 65_536,
    }),
  })
}

/** The section with the defaults that follow from others filled in. */
export function resolveWindows(
  found: z.output<ReturnType<typeof deduplicationSection>>,
  toleranceMs: number,
) {
  const { default: fallback, ...own } = found.window_configs
  const windows: Record<Tool | 'default', Window> = {
    default: fallback,
    ...perTool((tool) => ({
      duration:
        own[tool].duration ?? Math.max(fallback.duration, TIMED_TOOLS.includes(tool) ? 2 * toleranceMs : 0),
      max_size: own[tool].max_size ?? fallback.max_size,
    })),
  }
  return {
    ...found,
    window_configs: windows,
    refresh_interval: found.refresh_interval ?? Math.ceil(shortestWindow(windows) / 4),
  }
}

/** The shortest window that any tool has, ms. */
export function shortestWindow(windows: Readonly<Record<Tool | 'default', Window>>): number {
  return Math.min(...TOOLS.map((tool) => windows[tool].duration))
}

/** `webhook.ops`: the operations API. */
export function opsSection(production: boolean) {
  return section('The operations API.', {
    host: text({
      meaning: 'Address to listen on.',
      // Outside production there may be no token.
      default: production ? '0.0.0.0' : '127.0.0.1',
      defaultText: '127.0.0.1, in production 0.0.0.0',
    }),
    port: integer({ meaning: 'Port; 0 = any free one.', default: 8081, max: 65_535, env: 'OPS_PORT' }),
    token: secret({
      meaning: 'Bearer token that operators show. Production refuses to run without one.',
      allowed: 'letters, digits and signs without white space',
      pattern: /^[\x21-\x7e]+$/,
      env: 'OPS_TOKEN',
    }),
  })
}
