/** How an enrichment ends that did not fail. */
import type { OverBudget } from './budget.ts'
import { isUnavailable, retryAfterOf } from './unavailable.ts'

/** Where a result is from. `local`: too little to ask a model about. `nothing`: there was nothing to ask anybody about. */
export type Source = 'provider' | 'cache' | 'similar' | 'local' | 'nothing'

/** It was not done, and may be tried again; nothing is lost by waiting. */
export type Postponed = OverBudget | Unavailability

export interface Unavailability {
  readonly kind: 'unavailable'
  /** When it makes sense to try again, ms. */
  readonly retryInMs: number
  /** For a log. */
  readonly why: string
}

/** The outcome of `work`, where Fault AI_UNAVAILABLE is one. */
export async function unlessUnavailable<T>(
  retryMs: number,
  work: () => Promise<T>,
): Promise<T | Unavailability> {
  try {
    return await work()
  } catch (error) {
    if (!isUnavailable(error)) throw error
    return { kind: 'unavailable', retryInMs: retryAfterOf(error) ?? retryMs, why: error.message }
  }
}
