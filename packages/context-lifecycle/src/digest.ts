/**
 * What is kept of an event in its context's timeline: who did what, when, and what became of the subject by it. Small, and
 * made of the payload alone; the payload itself is kept beside it, packed.
 *
 * A digest describes; it never throws. Whatever a payload lacks is left out, and what is too long is cut.
 */
import type { Subject } from '@weir/core/adapters/adapter'

/** Another subject that an event names, as the adapters key subjects. */
export interface Reference {
  readonly tool: string
  /** `acme/site#42`, `PROJ-123`; of the same tenant. */
  readonly key: string
}

/** How bad it is, where the sender says so. */
export type Severity = 'info' | 'warning' | 'error' | 'critical'

export interface Digest {
  /** The event's full name, e.g. `pull_request.opened`. */
  readonly name: string
  /** When it happened by the sender's clock, ms since the epoch; when it was received, where the sender names no time. */
  readonly at: number
  /** Who did it: a login or a display name. */
  readonly who?: string
  /** What they did, as a reader would say it after the name: `opened`, `pushed 3 commits`, `commented`. */
  readonly what: string
  /** Of the subject, as it is now. */
  readonly title?: string
  readonly link?: string
  /** State of the subject after the event, where the event says it: `open`, `closed`, `merged`, `firing`, `resolved`, `success`. */
  readonly state?: string
  /** What was written: the description, comment or commit messages; white space folded. */
  readonly text?: string
  readonly severity?: Severity
  /** It concerns the repository's default branch. */
  readonly defaultBranch?: true
  /** People named with an @ in what was written, without it; each once. */
  readonly people?: readonly string[]
  /** Other subjects that it names, each once; never its own. */
  readonly references?: readonly Reference[]
}

/** What a digest is made of. */
export interface DigestSource {
  readonly tool: string
  readonly type: string
  /** Full name. */
  readonly name: string
  /** ms since the epoch */
  readonly receivedAt: number
  /** Parsed JSON of unknown shape. */
  readonly payload: unknown
  readonly subject: Subject
}

/** Longest text kept, characters. */
export const TEXT_MAX = 2_000
/** Longest name of somebody, characters. */
export const WHO_MAX = 100
/** Most people, and most references, of one event. */
export const MENTIONS_MAX = 20
