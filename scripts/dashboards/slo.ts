/**
 * The objectives, as the dashboards show them. alerts/slo.yml alerts on the same numbers; a test keeps the two and
 * docs/monitoring.md equal.
 */

export interface Objective {
  /** Value of the label `slo` of the recording rules. */
  readonly slo: string
  /** Share of good events that is promised over 30 days. */
  readonly target: number
}

export const OBJECTIVES = {
  availability: { slo: 'availability', target: 0.999 },
  errors: { slo: 'errors', target: 0.999 },
  /** Settled within a second of being accepted: p99 < 1 s. */
  latency: { slo: 'latency', target: 0.99 },
} as const satisfies Record<string, Objective>

/** Events that may wait: the fourth objective, a level. */
export const BACKLOG_EVENTS = 1000
/** Seconds from accepted to settled that the objective of latency is about. */
export const LATENCY_SECONDS = 1

/** Share of events that may be bad. In decimals, without what binary fractions add (1 - 0.999 = 0.0010000000000000009). */
export function budgetOf({ target }: Objective): number {
  return Number((1 - target).toFixed(6))
}

/** Share of bad events over the last 30 days, as recorded. */
export function badShare({ slo }: Objective): string {
  return `weir:slo_error_ratio:30d{slo="${slo}"}`
}
