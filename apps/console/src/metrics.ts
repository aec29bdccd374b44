/**
 * Prometheus text for the whole pipeline: what the living consumers measured, added up, and gauges out of the ledger,
 * which are right also when no consumer runs.
 */
import { isFault } from '@weir/core/faults'
import type { PipelineView } from '@weir/core/pipeline-view'
import { BREAKER_GAUGE } from '@weir/core/stream/breaker'
import type { BreakerDocument } from '@weir/core/view/documents'
import type { LedgerFacts, ServerFacts } from '@weir/core/view/status'
import {
  AggregatorRegistry,
  Gauge,
  type MetricObjectWithValues,
  type MetricValue,
  Registry,
} from 'prom-client'

/** Gauges that this endpoint measures itself. A consumer's own view of the same thing is left out. */
export const LEDGER_GAUGES = {
  webhook_consumer_lag_messages:
    'Events accepted and not settled: unread, pending and parked; absent while Redis does not know',
  webhook_consumer_lag_known: '1 when the lag is known, 0 when Redis cannot tell',
  webhook_unread_messages: 'Events that no consumer has read; absent while Redis does not know',
  webhook_partition_lag_messages:
    'Events accepted and not settled, by partition; absent while Redis does not know',
  webhook_pending_messages: 'Events delivered to a consumer and not settled',
  webhook_parked_messages: 'Events that wait for a retry or for an open breaker',
  webhook_dead_letters: 'Events in the dead letters',
  webhook_dead_letters_by_tool:
    'Events in the dead letters by tool, unknown where the letter names none; absent while very many are counted anew',
  webhook_oldest_unread_seconds: 'Age of the oldest event that no consumer has read',
  webhook_oldest_pending_seconds: 'Age of the oldest event that is delivered and not settled',
  webhook_oldest_parked_seconds:
    'Age of the oldest event that waits for a retry or for an open breaker, since it was accepted; of more than 10,000 those due first and last are looked at',
  webhook_oldest_dead_letter_seconds: 'Since the oldest dead letter died',
  webhook_unaccounted_events:
    'Accepted events that are in no place; anything but 0 is an alarm; absent while unknown',
  webhook_spooled_events: 'Events in the spools of the gateways, as they last reported',
  webhook_loss_witness: '1 when Redis lost events that it had acknowledged, else 0',
  webhook_redis_clock_behind_seconds:
    "How far Redis' clock is behind the newest id of its stream: 0, or it was set back and ids tell no time until it has caught up",
  webhook_redis_used_memory_bytes:
    'Memory that a Redis server uses, as it says; absent where its user may not ask',
  webhook_redis_max_memory_bytes: 'Memory that a Redis server may use (maxmemory); 0 = no limit',
  webhook_circuit_breaker_state: 'Breaker of a tool: 0 closed, 1 open, 2 half-open',
} as const

type GaugeName = keyof typeof LEDGER_GAUGES

export interface MetricsText {
  readonly contentType: string
  readonly text: string
  /** Consumers whose report was not one of prom-client's; they are left out. */
  readonly skipped: readonly string[]
}

export interface MetricsCollector {
  /** Of the whole pipeline. Without Redis: that nobody knows, and what the consumers had counted until then. */
  collect(): Promise<MetricsText>
  /** What this process alone can tell; consumers push what they counted themselves. */
  readonly own: Pick<Registry, 'metrics' | 'contentType'>
}

/** Consumers that are gone whose last reports are kept one by one, in case they come back. */
const KEPT_GONE = 100

/**
 * Sums must never fall: Prometheus takes a falling counter for one that began anew, and would count everything a
 * second time each time that a consumer leaves. So what a consumer had counted when it was last seen stays in the
 * sums (its gauges do not) as long as this process runs.
 */
export function createMetricsCollector(
  view: PipelineView,
  process: Pick<Registry, 'metrics'> = new Registry(),
): MetricsCollector {
  /** The last report of every consumer seen, the longest gone first. */
  const seen = new Map<string, Snapshot>()
  /** The sums of those that are not kept one by one any more. */
  let folded: Snapshot = []
  let running: Promise<unknown> = Promise.resolve()

  const collectNow = async (): Promise<MetricsText> => {
    const [known, reports] = await Promise.all([unlessAway(readFacts(view)), unlessAway(view.reports())])
    const live = new Set<string>()
    const skipped: string[] = []
    for (const { name, metrics } of reports ?? []) {
      if (!isSnapshot(metrics)) {
        skipped.push(name)
        continue
      }
      live.add(name)
      seen.delete(name) // to the end of the order
      seen.set(
        name,
        metrics.filter((metric) => !(metric.name in LEDGER_GAUGES)),
      )
    }
    const gone = [...seen]
      .filter(([name]) => !live.has(name))
      .map(([name, metrics]) => ({ name, sums: sumsOf(metrics) }))
    // Without Redis all seem gone; folding them in would count them twice when they are back.
    const folding = reports === undefined ? 0 : Math.max(0, gone.length - KEPT_GONE)
    for (const { name, sums } of gone.splice(0, folding)) {
      folded = await AggregatorRegistry.aggregate([folded, sums]).getMetricsAsJSON()
      seen.delete(name)
    }
    const present = [...seen].filter(([name]) => live.has(name)).map(([, metrics]) => metrics)
    const consumers = AggregatorRegistry.aggregate([...present, ...gone.map(({ sums }) => sums), folded])
    const text = await textOf(ledgerRegistry(known), consumers, process)
    return { contentType: Registry.PROMETHEUS_CONTENT_TYPE, text, skipped }
  }
  return {
    own: {
      contentType: Registry.PROMETHEUS_CONTENT_TYPE,
      metrics: async () => textOf(ledgerRegistry(await unlessAway(readFacts(view))), process),
    },
    collect() {
      // One after the other: two at once would fold the same report twice.
      const collected = running.then(collectNow)
      running = collected.catch(() => undefined)
      return collected
    },
  }
}

/** Counters and histograms; what a consumer that is gone no longer has (gauges) is left out. */
function sumsOf(metrics: Snapshot): Snapshot {
  const sums = new Set<unknown>(['counter', 'histogram', 'summary'])
  return metrics.filter(({ type }) => sums.has(type))
}

/** What Redis says when it is asked. */
interface Facts {
  readonly ledger: LedgerFacts
  readonly oldest: { readonly parkedMs: number; readonly deadLetterMs: number }
  /** undefined while they are counted. */
  readonly letters: ReadonlyMap<string, number> | undefined
  readonly servers: readonly ServerFacts[]
  readonly breakers: readonly BreakerDocument[]
}

async function readFacts(view: PipelineView): Promise<Facts> {
  const [ledger, oldest, letters, servers, breakers] = await Promise.all([
    view.ledger(),
    view.oldest(),
    view.lettersByTool(),
    view.servers(),
    view.breakers(),
  ])
  return { ledger, oldest, letters, servers, breakers }
}

/** undefined while Redis does not answer: then a scrape must say so, and not fail, or nobody could tell it from a dead process. */
async function unlessAway<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if (isFault(error, 'REDIS_UNAVAILABLE')) return undefined
    throw error
  }
}

async function textOf(...registries: readonly Pick<Registry, 'metrics'>[]): Promise<string> {
  const texts = await Promise.all(registries.map((registry) => registry.metrics()))
  return texts.join('').replaceAll(/\n{2,}/g, '\n')
}

/** @param facts undefined = Redis does not answer */
function ledgerRegistry(facts: Facts | undefined): Registry {
  const registry = new Registry()
  const set = (name: GaugeName, value: number | null) => {
    if (value === null) return
    new Gauge({ name, help: LEDGER_GAUGES[name], registers: [registry] }).set(value)
  }
  const labelled = (
    name: GaugeName,
    label: string,
    values: readonly (readonly [string, number | null])[],
  ) => {
    const gauge = new Gauge({
      name,
      help: LEDGER_GAUGES[name],
      labelNames: [label],
      registers: [registry],
    })
    for (const [of, value] of values) if (value !== null) gauge.set({ [label]: of }, value)
  }
  set('webhook_consumer_lag_known', facts === undefined || facts.ledger.lag.messages === null ? 0 : 1)
  if (facts === undefined) return registry
  const { audit, lag, oldest, clockBehindMs, partitions } = facts.ledger
  const { ledger } = audit
  set('webhook_consumer_lag_messages', lag.messages)
  set('webhook_unread_messages', lag.unread)
  set('webhook_pending_messages', lag.pending)
  set('webhook_parked_messages', lag.parked)
  set('webhook_dead_letters', ledger.dead)
  set('webhook_oldest_unread_seconds', oldest.unread_ms / 1000)
  set('webhook_oldest_pending_seconds', oldest.pending_ms / 1000)
  set('webhook_oldest_parked_seconds', facts.oldest.parkedMs / 1000)
  set('webhook_oldest_dead_letter_seconds', facts.oldest.deadLetterMs / 1000)
  set('webhook_unaccounted_events', ledger.unaccounted)
  set('webhook_spooled_events', ledger.spooled)
  set('webhook_loss_witness', audit.losses.length > 0 ? 1 : 0)
  set('webhook_redis_clock_behind_seconds', clockBehindMs / 1000)
  labelled(
    'webhook_partition_lag_messages',
    'partition',
    partitions.map(({ partition, lag: waiting }) => [String(partition), waiting]),
  )
  labelled('webhook_dead_letters_by_tool', 'tool', [...(facts.letters ?? [])])
  labelled(
    'webhook_redis_used_memory_bytes',
    'server',
    facts.servers.map(({ server, usedMemoryBytes }) => [server, usedMemoryBytes]),
  )
  labelled(
    'webhook_redis_max_memory_bytes',
    'server',
    facts.servers.map(({ server, maxMemoryBytes }) => [server, maxMemoryBytes]),
  )
  labelled(
    'webhook_circuit_breaker_state',
    'tool_id',
    facts.breakers.map(({ tool, state }) => [tool, BREAKER_GAUGE[state]]),
  )
  return registry
}

type Snapshot = MetricObjectWithValues<MetricValue<string>>[]

/** The ways of adding up that prom-client knows; it throws for others, and one bad report must not hide the rest. */
const AGGREGATORS = new Set(['sum', 'first', 'min', 'max', 'average', 'omit'])
const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/

function isSnapshot(found: unknown): found is Snapshot {
  return Array.isArray(found) && found.every(isMetric)
}

function isMetric(found: unknown): boolean {
  if (typeof found !== 'object' || found === null) return false
  const { name, help, type, aggregator, values } = found as Record<string, unknown>
  return (
    typeof name === 'string' &&
    METRIC_NAME.test(name) &&
    typeof help === 'string' &&
    typeof type === 'string' &&
    typeof aggregator === 'string' &&
    AGGREGATORS.has(aggregator) &&
    Array.isArray(values) &&
    values.every(isValue)
  )
}

function isValue(found: unknown): boolean {
  if (typeof found !== 'object' || found === null) return false
  const { value, labels } = found as Record<string, unknown>
  return typeof value === 'number' && typeof labels === 'object' && labels !== null
}
