/** What was found, as the operations API and webhook-cli answer it: names with underscores, times as text, null where nothing is known. */
import type { Severity } from '../digest.ts'
import { timeText } from '../document.ts'
import type { Explained } from './rank.ts'
import type { SearchAnswer, SearchResult } from './search.ts'

export interface SearchResultDocument {
  readonly context_id: string
  readonly subject: string
  readonly title: string | null
  /** 0 to 1 */
  readonly score: number
  readonly tenant: string
  readonly tool: string
  readonly kind: string
  readonly state: string | null
  readonly severity: Severity | null
  readonly link: string | null
  readonly events: number
  readonly last_at: string | null
  /** 0 to 1, as of its last change. */
  readonly importance: number
  /** Where the score comes from, when that was asked for; weight × value add up to it. */
  readonly parts?: readonly Explained[]
}

export interface SearchDocument {
  /** Best first. */
  readonly results: readonly SearchResultDocument[]
  /** As of when: while Redis is away, answers come out of what was known then. */
  readonly as_of: string
  /** Contexts that were searched. */
  readonly searched: number
  /** Contexts left out: encrypted with a key that is destroyed or missing here, or damaged. */
  readonly unreadable: number
  readonly meaning: SearchAnswer['meaning']
}

export interface SearchDocumentOptions {
  /** With parts. */
  readonly explain: boolean
}

export function searchDocument(answer: SearchAnswer, options: SearchDocumentOptions): SearchDocument {
  const { results, asOf, searched, unreadable, meaning } = answer
  return {
    results: results.map((result) => resultDocument(result, options)),
    as_of: timeText(asOf),
    searched,
    unreadable,
    meaning,
  }
}

function resultDocument(result: SearchResult, { explain }: SearchDocumentOptions): SearchResultDocument {
  const { id, subject, title, score, tenant, tool, kind, state, severity, link, events, lastAt, importance } =
    result
  return {
    context_id: id,
    subject,
    title,
    score,
    tenant,
    tool,
    kind,
    state,
    severity,
    link,
    events,
    last_at: timeText(lastAt === 0 ? null : lastAt),
    importance,
    ...(explain ? { parts: result.parts } : {}),
  }
}
