/**
 * What operators are shown, as JSON: the bodies of the operations API and of `webhook-cli --json` are these and
 * nothing else (docs/operations-api.md explains every field). Names are snake_case because they are read outside;
 * times are RFC 3339 in UTC, durations whole milliseconds, and null means "does not apply" or "not known".
 */
import type { Subject } from '../adapters/adapter.ts'
import type { BreakerState } from '../stream/breaker.ts'
import type { Ledger } from '../stream/ledger.ts'

/** Where one event is now. */
export interface EventDocument {
  readonly event_id: string
  readonly place: 'unread' | 'pending' | 'parked' | 'dead' | 'settled'
  readonly stream_id: string | null
  readonly tool: string | null
  readonly tenant: string | null
  /** The sender's event type, e.g. `pull_request`. */
  readonly type: string | null
  /** The name handlers subscribe to, e.g. `pull_request.opened`. */
  readonly event: string | null
  readonly subject: Subject | null
  readonly received_at: string | null
  /** Attempts that failed; null once settled (not kept). */
  readonly attempts: number | null
  /** How often it was handed out since its last outcome. */
  readonly deliveries: number | null
  /** Who holds it, while pending. */
  readonly consumer: string | null
  readonly idle_ms: number | null
  /** When it is tried again, while parked. */
  readonly due_at: string | null
  /** Why it waits or is dead. */
  readonly reason: string | null
  readonly error: string | null
  readonly first_failed_at: string | null
  readonly dead_at: string | null
  readonly letter_id: string | null
  /** Are the bytes as sent still there? */
  readonly bytes_available: boolean
  readonly bytes_problem: string | null
  readonly size: number | null
  readonly content_type: string | null
}

export interface DeadLetterDocument {
  readonly letter_id: string
  /** null when the record cannot be read. */
  readonly event_id: string | null
  readonly stream_id: string
  readonly tool: string | null
  readonly tenant: string | null
  readonly type: string | null
  readonly reason: string
  readonly error: string
  readonly attempts: number | null
  readonly received_at: string | null
  readonly first_failed_at: string | null
  readonly dead_at: string | null
  /** False: it can only be purged; no program of this version can run it. */
  readonly readable: boolean
}

export interface DeadLetterPage {
  readonly dead_letters: readonly DeadLetterDocument[]
  /** What `after` is for the next page; null on the last. A page may be shorter than asked for and not be the last. */
  readonly next: string | null
}

export interface BreakerDocument {
  readonly tool: string
  readonly state: BreakerState['state']
  /** Failures in a row. */
  readonly failures: number
  readonly open_since: string | null
  /** ms until an event is let through to see; 0 when closed or already possible. */
  readonly wait_ms: number
}

/** What an audit says. `loss` outweighs the others: the counters rolled back together with the events. */
export type Verdict = 'balanced' | 'unbalanced' | 'loss' | 'unknown'

export interface LossDocument {
  readonly stream: string
  /** The last stream id that Redis knows of, and the one that a gateway saw acknowledged. */
  readonly last_generated_id: string
  readonly witness_id: string
}

export interface AuditDocument {
  readonly verdict: Verdict
  readonly ledger: Ledger
  readonly losses: readonly LossDocument[]
}

export interface ConsumerDocument {
  readonly name: string
  /** Did it give a sign of life within the last minute? */
  readonly alive: boolean
  /** ms since that sign; null when it never gave one. */
  readonly seen_ms: number | null
  /** Entries that Redis counts as delivered to it and not settled. */
  readonly pending: number
  /** ms since it last asked Redis for entries. */
  readonly idle_ms: number | null
  readonly held: number | null
  readonly running: number | null
}

export interface GatewayDocument {
  readonly name: string
  readonly spooled: number
  readonly seen_ms: number
}

export interface StreamDocument {
  readonly name: string
  readonly length: number
  /** What Redis estimates; null where its user may not ask. */
  readonly memory_bytes: number | null
  readonly last_generated_id: string
}

export interface PartitionDocument {
  readonly partition: number
  readonly stream: string
  /** Hash slot of all its keys; null without a Cluster. */
  readonly slot: number | null
  /** host:port of the master that answered. */
  readonly server: string
  /** Epoch of the plan that it knows; 0 = none. */
  readonly epoch: number
  /** True: it takes no new events, and is worked off. */
  readonly retired: boolean
  /** Entries in the stream, with those that are settled and kept for a while. */
  readonly length: number
  readonly ledger: Ledger
}

/** How events are spread over partitions; see plan.ts. */
export interface PlanDocument {
  readonly epoch: number
  readonly partitions: number
  /** Partitions that there ever were. */
  readonly highest: number
  readonly since: string | null
  readonly earlier: readonly {
    readonly epoch: number
    readonly partitions: number
    readonly replaced_at: string | null
    /** null = its evidence is still looked up. */
    readonly closed_at: string | null
  }[]
  /** Sentences about masters that have too few of the partitions. */
  readonly notices: readonly string[]
}

export interface StatusDocument {
  readonly verdict: Verdict
  readonly ledger: Ledger
  readonly losses: readonly LossDocument[]
  readonly lag: {
    /** unread + pending + parked; null when unread is not known. */
    readonly messages: number | null
    readonly unread: number | null
    readonly pending: number
    readonly parked: number
  }
  readonly oldest: {
    readonly unread_ms: number
    readonly pending_ms: number
    /** How long the most overdue parked event has been due. */
    readonly overdue_ms: number
  }
  /**
   * How far Redis' clock is behind the newest id of its stream; 0 = as it should be. Above a second it went back: the age
   * of entries and what is kept by age are estimates until it has caught up (docs/redis.md).
   */
  readonly clock_behind_ms: number
  /** Does the consumer group exist? It is made by the first consumer. */
  readonly group: boolean
  readonly consumers: readonly ConsumerDocument[]
  readonly gateways: readonly GatewayDocument[]
  readonly breakers: readonly BreakerDocument[]
  readonly streams: readonly StreamDocument[]
  /** null where Redis is no Cluster: one partition, for ever. */
  readonly plan: PlanDocument | null
  readonly partitions: readonly PartitionDocument[]
  readonly redis: {
    readonly version: string | null
    readonly used_memory_bytes: number | null
    /** 0 = no limit. */
    readonly max_memory_bytes: number | null
    readonly eviction_policy: string | null
    readonly append_only: boolean | null
  }
}

/** One compression dictionary. */
export interface DictionaryDocument {
  readonly id: string
  /** `starter`: bundled; `learned`: of one tenant and tool; `retired`: no new event is packed with it. */
  readonly kind: 'starter' | 'learned' | 'retired'
  readonly tool: string | null
  readonly tenant: string | null
  readonly bytes: number | null
  /** When it was learned. */
  readonly since: string | null
  /** Bytes of events to bytes of frames, as measured when it was learned: with the dictionary before, and with it. */
  readonly ratio_before: number | null
  readonly ratio_after: number | null
  /** Partitions in which it is published. */
  readonly partitions: number
}

/** One event as `tail` shows it. */
export interface TailDocument {
  readonly stream_id: string
  readonly event_id: string | null
  readonly tool: string | null
  readonly tenant: string | null
  readonly type: string | null
  readonly event: string | null
  readonly subject: Subject | null
  readonly received_at: string | null
  readonly size: number | null
  readonly problem: string | null
}

/** RFC 3339 in UTC; null for the 0 that stands for "never". */
export function timeText(ms: number): string | null {
  return ms > 0 ? new Date(ms).toISOString() : null
}
