/** How the providers do, as this process last saw them; none is asked for the sake of telling. */
import type { Clock } from '@weir/core/clock'
import type { Check } from '@weir/core/health/document'
import { createSighting } from '@weir/core/health/sighting'
import type { Enrichment } from './enrichment.ts'
import type { Observe } from './observation.ts'

export interface AiHealth {
  readonly observe: Observe
  /** @param enrichment undefined = it is switched off */
  check(
    enrichment:
      | { readonly [Part in 'embedder' | 'summariser']: Pick<Enrichment[Part], 'provider'> }
      | undefined,
  ): Check
}

export function createAiHealth(clock: Pick<Clock, 'monotonic'>): AiHealth {
  const sighting = createSighting(clock)
  sighting.breaker('closed')
  return {
    observe(seen) {
      if (seen.kind === 'breaker') sighting.breaker(seen.view.state)
      if (seen.kind === 'over-budget') sighting.failed(`${seen.purpose}: the budget of the day is used up`)
      // What is built in says nothing of a provider; nor does a caller who went away.
      if (seen.kind !== 'request' || seen.provider === 'local' || seen.outcome === 'aborted') return
      if (seen.outcome === 'ok') sighting.worked()
      else sighting.failed(`${seen.purpose}: ${seen.outcome}`)
    },
    check(enrichment) {
      if (enrichment === undefined) return { state: 'off', age_ms: null }
      const providers = [...new Set([enrichment.embedder.provider, enrichment.summariser.provider])]
      if (providers.every((provider) => provider === 'local')) return { state: 'ok', age_ms: 0, providers }
      return { ...sighting.check(), providers }
    },
  }
}
