/** A context as the operations API and webhook-cli answer it: names with underscores, times as text, null where nothing is known. */
import type { Context, Tier } from './compose.ts'
import { contextIdOf } from './context-id.ts'
import type { ContextSummary } from './contexts.ts'
import type { Reference, Severity } from './digest.ts'
import { type Importance, importanceOf } from './importance.ts'
import type { Summary } from './search/card.ts'

export interface ReferenceDocument {
  readonly tool: string
  readonly subject: string
  /** Where it is remembered, if anything of it was ever received. */
  readonly context_id: string
}

export interface TimelineDocument {
  readonly event_id: string
  /** Full name, e.g. `pull_request.opened`. */
  readonly event: string
  /** When it happened, by the sender's clock. */
  readonly at: string
  readonly received_at: string
  readonly who: string | null
  readonly what: string
  readonly state: string | null
  readonly severity: Severity | null
  readonly link: string | null
  readonly text: string | null
}

export interface ContextDocument {
  readonly context_id: string
  readonly tenant: string
  readonly tool: string
  readonly kind: string
  readonly subject: string
  readonly title: string | null
  readonly link: string | null
  readonly state: string | null
  readonly severity: Severity | null
  /** What has happened in a few sentences, and how many of its events they know. */
  readonly summary: { readonly text: string; readonly events: number } | null
  /** 0 to 1 */
  readonly importance: number
  readonly importance_parts: Importance['parts']
  /** All that it has; the timeline may hold the newest only. */
  readonly events: number
  readonly raw_bytes: number
  /** Where its newest event is. */
  readonly tier: Tier
  /** Events that the timeline should have and that cannot be had now. */
  readonly withheld: { readonly events: number; readonly reason: string } | null
  readonly accesses: number
  readonly last_access_at: string | null
  readonly first_at: string | null
  readonly last_at: string | null
  readonly people: Context['people']
  readonly mentioned: readonly string[]
  /** What its events name. */
  readonly related: readonly ReferenceDocument[]
  /** Whose events name it. */
  readonly named_by: readonly ReferenceDocument[]
  /** Oldest first. */
  readonly timeline: readonly TimelineDocument[]
}

export interface SummaryDocument {
  readonly context_id: string
  readonly tenant: string
  readonly tool: string
  readonly kind: string
  readonly subject: string
  readonly events: number
  readonly accesses: number
  readonly active_at: string
  readonly tier: Tier
}

/**
 * @param now ms, for what importance says of recency
 * @param summary what has happened in a few sentences, where somebody has written it
 * @param namedBy subjects whose events name it
 */
export function contextDocument(
  context: Context,
  now: number,
  summary: Summary | undefined,
  namedBy: readonly Reference[],
): ContextDocument {
  const { tenant, lastAccessAt, firstAt, lastAt } = context
  const { score, parts } = importanceOf(context, now)
  return {
    context_id: context.id,
    tenant,
    tool: context.tool,
    kind: context.kind,
    subject: context.subject,
    title: context.title,
    link: context.link,
    state: context.state,
    severity: context.severity,
    summary: summary === undefined ? null : { text: summary.text, events: summary.events },
    importance: score,
    importance_parts: parts,
    events: context.events,
    raw_bytes: context.rawBytes,
    tier: context.tier,
    withheld:
      context.withheld === undefined
        ? null
        : { events: context.withheld.events, reason: context.withheld.why.message },
    accesses: context.accesses,
    last_access_at: timeText(lastAccessAt ?? null),
    first_at: timeText(firstAt),
    last_at: timeText(lastAt),
    people: context.people,
    mentioned: context.mentioned,
    related: context.references.map((reference) => referenceDocument(tenant, reference)),
    named_by: namedBy.map((reference) => referenceDocument(tenant, reference)),
    timeline: context.timeline.map(({ eventId, receivedAt, digest }) => ({
      event_id: eventId,
      event: digest.name,
      at: timeText(digest.at),
      received_at: timeText(receivedAt),
      who: digest.who ?? null,
      what: digest.what,
      state: digest.state ?? null,
      severity: digest.severity ?? null,
      link: digest.link ?? null,
      text: digest.text ?? null,
    })),
  }
}

function referenceDocument(tenant: string, { tool, key }: Reference): ReferenceDocument {
  return { tool, subject: key, context_id: contextIdOf(tenant, tool, key) }
}

export function summaryDocument(summary: ContextSummary): SummaryDocument {
  const { id, tenant, tool, kind, subject, events, accesses, activeAt, tier } = summary
  return {
    context_id: id,
    tenant,
    tool,
    kind,
    subject,
    events,
    accesses,
    active_at: timeText(activeAt),
    tier,
  }
}

export function timeText(ms: number): string
export function timeText(ms: number | null): string | null
export function timeText(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}
