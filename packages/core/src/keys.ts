/**
 * Every Redis key of the pipeline, in one place (docs/redis-keys.md explains them).
 *
 * Every key belongs to a partition, and all keys of a partition share a hash tag: a partition is one slot of a Cluster,
 * has all that it needs on one master (also breakers and dictionaries), and depends on no other partition.
 * Standalone and Sentinel have one partition whose stream is literally `webhook-events`; its companions are
 * `{webhook-events}:…` (the same slot). On a Cluster the stream of partition 3 is `webhook-events:{3}`.
 * Tool names in keys are validated by configuration; ids from outside never appear in a key.
 */
export interface PartitionKeys {
  readonly partition: number
  readonly stream: string
  readonly deadLetters: string
  readonly group: string
  /** zset: stream id of a parked entry → due time (or end of its lease), ms. */
  readonly parkedDue: string
  /** hash: stream id → cmsgpack of the record's field/value list. */
  readonly parkedRecords: string
  /** hash: stream id → JSON {n, d, by, reason, error, first}. */
  readonly parkedState: string
  /** hash: event id → stream id of its parked entry. */
  readonly parkedIds: string
  /** hash: event id → dead-letter entry id. */
  readonly deadIds: string
  /** hash: settled, superseded, purged, floor; read_id, read_count, read_run (see stream/reads.ts). */
  readonly ledger: string
  /** hash: gateway → highest acknowledged stream id. */
  readonly witness: string
  /** hash: gateway → JSON {spooled, at}. */
  readonly gateways: string
  /** hash: consumer → JSON {at, held, metrics…}. */
  readonly consumers: string
  /** hash: process → `<redis ms> <JSON of its checks>` (health/reports.ts); of partition 0 alone. */
  readonly health: string
  /** hash: the plan of partitions (stream/plans.ts); on a Cluster only. */
  readonly plan: string
  /** string: written before a WAIT that would otherwise follow nothing but reads (redis/durable.ts). */
  readonly barrier: string
  /** Prefix of evidence shards. */
  readonly evidence: string
  /** Prefix of settled-id shards. */
  readonly settled: string
  /** Prefix of bloom filters. */
  readonly bloom: string
  /** Prefix of sliding-window limits. */
  readonly limits: string
  /** hash: the circuit breaker of a tool. */
  breaker(tool: string): string
  /** hash: `tenant/tool` → JSON of its learned compression dictionary (see dictionaries.ts). */
  readonly learned: string
  /** set: `tenant/id` of every dictionary that was ever learned from a tenant's events and published. */
  readonly learnedEver: string
  /** string: a compression dictionary, by its id. */
  dictionary(id: string): string
  /** stream: the audit trail, id `<n>-0`; of partition 0 alone, as are the next two (stream/audit-log.ts). */
  readonly audit: string
  /** hash: n, hash; floor_n, floor_hash; checkpoint_n, checkpoint_at. */
  readonly auditHead: string
  /** stream: its checkpoints, id `<n>-0`. */
  readonly auditCheckpoints: string
  /** Beginning of the keys of embeddings, summaries and budgets (@weir/ai); of partition 0 alone. */
  readonly ai: string
}

export interface KeyNames {
  readonly stream: string
  readonly deadLetters: string
  readonly group: string
  readonly cluster: boolean
}

/** The keys of partition `p`. */
export function partitionKeys(names: KeyNames, p = 0): PartitionKeys {
  const stream = names.cluster ? `${names.stream}:{${p}}` : names.stream
  const deadLetters = names.cluster ? `${names.deadLetters}:{${p}}` : names.deadLetters
  const base = names.cluster ? stream : `{${names.stream}}`
  return {
    partition: p,
    stream,
    deadLetters,
    group: names.group,
    parkedDue: `${base}:parked`,
    parkedRecords: `${base}:parked:records`,
    parkedState: `${base}:parked:state`,
    parkedIds: `${base}:parked:ids`,
    deadIds: `${base}:dead:ids`,
    ledger: `${base}:ledger`,
    witness: `${base}:witness`,
    gateways: `${base}:gateways`,
    consumers: `${base}:consumers`,
    health: `${base}:health`,
    plan: `${base}:plan`,
    barrier: `${base}:barrier`,
    evidence: `${base}:evidence`,
    settled: `${base}:settled`,
    bloom: `${base}:bloom`,
    limits: `${base}:limits`,
    learned: `${base}:learned`,
    learnedEver: `${base}:learned:ever`,
    breaker: (tool) => `${base}:breaker:${tool}`,
    dictionary: (id) => `${base}:dictionary:${id}`,
    audit: `${base}:audit`,
    auditHead: `${base}:audit:head`,
    auditCheckpoints: `${base}:audit:checkpoints`,
    ai: `${base}:ai:`,
  }
}
