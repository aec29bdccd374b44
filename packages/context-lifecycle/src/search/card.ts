/**
 * What is searched of a context: one card for each, whatever tier its events are in. Small enough that a process holds those
 * of all contexts, and enough to show a result without reading the context.
 */
import { TITLE_MAX } from '@weir/core/adapters/peek'
import { cut } from '@weir/core/cut'
import type { Context, TimelineEntry } from '../compose.ts'
import type { Severity } from '../digest.ts'
import { quantise } from './quantised.ts'

/** What a text means, in the space of one model. */
export interface Embedding {
  /** Vectors of different models cannot be compared. */
  readonly model: string
  readonly vector: Int8Array
}

/** What has happened, in a few sentences. */
export interface Summary {
  readonly text: string
  /** How many events it knows: the first to arrive. */
  readonly events: number
}

export interface Card {
  readonly id: string
  readonly tenant: string
  readonly tool: string
  readonly kind: string
  readonly subject: string
  readonly title: string | null
  readonly link: string | null
  readonly state: string | null
  readonly severity: Severity | null
  /** Who did something, and who was named; each once. */
  readonly people: readonly string[]
  /** What happened last, newest first, and what was written. */
  readonly text: string
  readonly summary?: Summary
  /** 0 to 1, as of when the card was made. */
  readonly importance: number
  /** When something happened last, ms; 0 = not known. Never later than its receipt. */
  readonly lastAt: number
  /** Events in all. */
  readonly events: number
  readonly embedding?: Embedding
}

/** What was found out about a context beyond what its events say. */
export interface Enrichment {
  readonly summary?: Summary | undefined
  /** Of `cardText`, with the model that made it. */
  readonly embedding?: { readonly model: string; readonly vector: Float32Array } | undefined
}

/** Longest text and summary, characters: together they bound what a card costs. */
export const TEXT_MAX = 1_000
export const SUMMARY_MAX = 1_000
const SUBJECT_MAX = 500
const LINK_MAX = 1_000
export const PEOPLE_MAX = 20
/** Most dimensions; the largest models known have 4,096. */
export const DIMENSIONS_MAX = 4_096
/** Of one event, characters: one long comment must not hide what else happened. */
const ENTRY_TEXT_MAX = 300
/** Of the kinds of events, characters. */
const KINDS_MAX = 300

/**
 * Throws `RangeError` for an embedding of more than {@link DIMENSIONS_MAX} dimensions.
 * @param importance 0 to 1, as of now (importance.ts)
 */
export function cardOf(context: Context, importance: number, enrichment: Enrichment = {}): Card {
  const { id, tenant, tool, kind, title, link, state, severity, timeline } = context
  const { summary, embedding } = enrichment
  const dimensions = embedding?.vector.length ?? 0
  if (dimensions > DIMENSIONS_MAX)
    throw new RangeError(
      `an embedding of ${dimensions} dimensions; at most ${DIMENSIONS_MAX} can be searched`,
    )
  return {
    id,
    tenant,
    tool,
    kind,
    subject: cut(context.subject, SUBJECT_MAX),
    title: title === null ? null : cut(title, TITLE_MAX),
    // Half a link leads nowhere.
    link: link === null || link.length > LINK_MAX ? null : link,
    state,
    severity,
    people: [...new Set([...context.people.map(({ name }) => name), ...context.mentioned])].slice(
      0,
      PEOPLE_MAX,
    ),
    text: textOf(timeline, title),
    ...(summary?.text ? { summary: { ...summary, text: cut(summary.text, SUMMARY_MAX) } } : {}),
    importance,
    lastAt: timeline.reduce((at, { digest, receivedAt }) => Math.max(at, Math.min(digest.at, receivedAt)), 0),
    events: context.events,
    ...(embedding && dimensions > 0
      ? { embedding: { model: embedding.model, vector: quantise(embedding.vector) } }
      : {}),
  }
}

/** The text whose embedding a card should have: what it is called first, as embedders look at the beginning most. */
export function cardText({
  tool,
  kind,
  subject,
  title,
  state,
  severity,
  people,
  summary,
  text,
}: Card): string {
  const known = [title, `${tool} ${kind.replaceAll('_', ' ')} ${subject}`, state, severity, people.join(' ')]
  return [...known, summary?.text, text].filter((part) => part).join('\n')
}

/**
 * What happened, newest first. What was done goes before what was written: a repository with sixty events is known by its
 * deploy keys and stars, and three long comments would take all the room. The kinds of events come first, since what is done
 * is often one word: `created` is found as a user's, `reopened` as a secret's.
 */
function textOf(timeline: readonly TimelineEntry[], title: string | null): string {
  const newestFirst = timeline.toReversed()
  const kinds = new Set(newestFirst.map(({ type }) => type.replaceAll('_', ' ')))
  const done = newestFirst.map(({ digest: { what, title: of } }) =>
    of && of !== title ? `${what}: ${of}` : what,
  )
  const written = newestFirst.map(({ digest: { text } }) =>
    text && text !== title ? cut(text, ENTRY_TEXT_MAX) : '',
  )
  const first = joined(
    [...kinds].map((kind) => cut(kind, ENTRY_TEXT_MAX)),
    KINDS_MAX,
  ).replaceAll('\n', ', ')
  const half = joined(done, TEXT_MAX / 2 - first.length)
  return joined([first, ...half.split('\n'), ...written, ...done], TEXT_MAX)
}

/** Each once, by lines, as many as there is room for. */
function joined(lines: readonly string[], max: number): string {
  const found = new Set<string>()
  let left = max
  for (const line of lines) {
    if (line === '' || found.has(line) || line.length > left) continue
    found.add(line)
    left -= line.length + 1
  }
  return [...found].join('\n')
}
