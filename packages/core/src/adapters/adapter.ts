/**
 * What one sending tool is like. One small file per tool beside this one, joined in table.ts.
 * An adapter is data and pure functions: it opens nothing, verifies nothing, and never throws.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { OccurrenceKey } from '../event.ts'
import type { RecurringNames } from '../folding/fold.ts'

/**
 * How requests of a tool prove where they come from; `@weir/security` holds the verifiers. Neither package imports the other:
 * where the gateway joins both, the compiler sees to it that each name here is one there.
 */
export type SignatureScheme =
  | 'github'
  | 'gitlab'
  | 'jira'
  | 'bitbucket'
  | 'stripe'
  | 'slack'
  | 'shopify'
  | 'pagerduty'
  | 'alertmanager'
  | 'standard'
  | 'generic'

/** The parsed request as an adapter sees it. Header names are lower case; repeated headers never reach it. */
export interface AdapterRequest {
  readonly headers: IncomingHttpHeaders
  /** The raw bytes. */
  readonly body: Buffer
  /** The parsed JSON, present only for adapters with `readsBody`. Unknown shape. */
  readonly json: unknown
}

/** Who did what to which thing: what the consumer, contexts and operators want to know of an event. */
export interface Subject {
  /** Stable key within tenant and tool, e.g. `acme/site#42` or `PROJ-123`. */
  readonly key: string
  readonly kind: string
  readonly title?: string
  readonly url?: string
}

export interface Adapter {
  readonly tool: string
  /** How its requests are verified. */
  readonly signature: SignatureScheme
  /** Members whose values recur all over the payload; it packs better without them. */
  readonly recurringNames?: RecurringNames
  /** Headers kept with the event besides content-type. Lower case. */
  readonly keptHeaders: readonly string[]
  /** True when identity needs the parsed body; costs about 10 µs a request. */
  readonly readsBody: boolean
  /** True when the sender's delivery id stays the same over redeliveries (then ids are derived, see event.ts). */
  readonly stableIds: boolean
  /**
   * Does the sender try again after a 5xx or a time-out? Decides what may be refused during an outage. `never` also where
   * it is not sure to, or does it so soon that no outage ends in between.
   */
  readonly retries: 'never' | 'by-itself'
  /** Status for "limited" and "cannot take it now": some senders retry 5xx only. */
  readonly limitedStatus: 429 | 503
  /** Accepted media types, e.g. `application/json`. */
  readonly mediaTypes: readonly string[]
  /** The event's type and its action, as the headers (or the body, with `readsBody`) name them. */
  type(request: AdapterRequest): string
  /** The sender's delivery id, or the adapter's own hash; undefined = hash of the body. */
  occurrence(request: AdapterRequest): OccurrenceKey | undefined
  /**
   * The full name handlers subscribe to: the type, or the type, a dot and more (`pull_request.opened`). Called by the
   * consumer with the parsed body, of which it may look at `nameMembers` only.
   */
  eventName(type: string, json: unknown): string
  /** Members of the body's object that `eventName` looks at; the consumer need not parse the others for it. */
  readonly nameMembers: readonly string[]
  /** What the event is about; undefined when the payload does not say. Called by the consumer. */
  subject(type: string, json: unknown): Subject | undefined
  /**
   * For senders that ask once whether the address is really theirs (needs `readsBody`): the text that a 200 answers a
   * verified request with, printable ASCII. undefined for an event.
   */
  challenge?(json: unknown): string | undefined
}
