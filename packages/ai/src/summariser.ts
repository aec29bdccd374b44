/** What tells in a few sentences what has happened. */
export interface Summariser {
  /** `local` leaves nothing and costs nothing: what it makes is neither cached nor counted. */
  readonly provider: 'local' | 'openai'
  readonly model: string
  /** Tokens of one request at most besides those of its texts: its instructions, and all that it may write. */
  readonly overheadTokens: number
  /** Throws what an embedder throws. */
  summarise(request: SummaryRequest, signal?: AbortSignal): Promise<Summary>
}

export interface SummaryRequest {
  /** What the events are about, e.g. `acme/site#42`. */
  readonly subject: string
  /** The summary of what happened before these entries. */
  readonly previous: string | undefined
  /** What has happened since, oldest first: `2024-05-01 alice merged: Fix login (#42)`. */
  readonly entries: readonly string[]
}

export interface Summary {
  /** Plain text of at most {@link SUMMARY_MAX} characters. */
  readonly text: string
  /** Read and written, as the provider counted them; 0 where it costs nothing. */
  readonly tokens: number
  /** How many of them were written. */
  readonly outputTokens: number
}

/** Longest summary, characters: what fits beside a search result. */
export const SUMMARY_MAX = 600
