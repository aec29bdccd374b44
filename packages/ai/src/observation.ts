/** What the enrichment tells whoever counts and logs. No tenant, text or name of a subject is in it: it may become labels. */
import type { Fault, FaultCode } from '@weir/core/faults'
import type { BreakerView } from './breaker.ts'

export type Purpose = 'embedding' | 'summary'
/** `aborted`: its caller went away, or it failed with something that is no fault. */
export type RequestOutcome = 'ok' | 'aborted' | FaultCode

export type Observation =
  | {
      /** A request to a provider has ended, with all its attempts. */
      readonly kind: 'request'
      readonly purpose: Purpose
      readonly provider: 'local' | 'openai'
      readonly model: string
      readonly outcome: RequestOutcome
      readonly texts: number
      readonly ms: number
      readonly inputTokens: number
      readonly outputTokens: number
      /** In the currency of the configured prices; undefined where none is configured. */
      readonly cost: number | undefined
    }
  /** Something was looked for before a provider was asked. */
  | {
      readonly kind: 'lookup'
      readonly purpose: Purpose
      readonly found: 'hit' | 'similar' | 'miss'
      readonly count: number
    }
  | { readonly kind: 'over-budget'; readonly purpose: Purpose }
  /** The cache could not be read or written, or the budget not be corrected; the enrichment went on without. */
  | { readonly kind: 'degraded'; readonly error: Fault }
  | { readonly kind: 'breaker'; readonly view: BreakerView }

export type Observe = (observation: Observation) => void
