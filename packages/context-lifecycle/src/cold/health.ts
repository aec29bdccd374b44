/** How cold storage does, as its last user in this process saw it; it is never asked for the sake of telling. */
import type { Clock } from '@weir/core/clock'
import type { Check } from '@weir/core/health/document'
import { createSighting } from '@weir/core/health/sighting'
import type { ColdObservation, GuardDeps, GuardState } from './guarded-store.ts'

export interface ColdHealth extends Required<Pick<GuardDeps, 'observe' | 'onChange'>> {
  check(): Check
}

/** @param kind where objects are kept: `s3`, `directory` */
export function createColdHealth(clock: Pick<Clock, 'monotonic'>, kind: string): ColdHealth {
  const sighting = createSighting(clock)
  sighting.breaker('closed')
  return {
    observe({ operation, outcome }: ColdObservation) {
      if (outcome === 'ok' || outcome === 'missing') sighting.worked()
      // Refused by the breaker, or its caller went away: that says nothing of the store.
      else if (outcome !== 'shut' && outcome !== 'aborted') sighting.failed(`${operation}: ${outcome}`)
    },
    onChange: (state: GuardState) => sighting.breaker(state),
    check: () => ({ ...sighting.check(), kind }),
  }
}
