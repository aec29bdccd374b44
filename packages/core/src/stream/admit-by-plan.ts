/**
 * Admission where the events are spread over partitions: first every other partition that may have evidence of the key is
 * asked, then the one that it belongs to admits it. Why none is admitted twice meanwhile: plans.ts.
 *
 *   evidence in another partition: own id → known · max_size reached (counted together) → duplicate
 *   another partition cannot be asked → unknown: never a guess
 *   any partition knows a later plan → all over again, under that one
 */
import { type PartitionPlan, placesOf, planFrom, planText } from '../plan.ts'
import type { RedisLink } from '../redis/link.ts'
import type { Admission, AdmissionOutcome, Admitter } from './admit.ts'

export interface PlannedPlace {
  readonly link: RedisLink
  readonly admitter: Admitter
}

export interface PlanAdmitterOptions<Place extends PlannedPlace> {
  plan(): PartitionPlan
  /** Throws Fault REDIS_UNAVAILABLE for one that cannot be asked now. */
  place(partition: number): Place
  /** A later plan was seen: from its return on `plan` is this one, or one later still. */
  adopt(plan: PartitionPlan): void
}

/** The answer, and who gave it. */
export interface PlannedOutcome<Place extends PlannedPlace> {
  readonly outcome: AdmissionOutcome
  readonly place: Place
}

export type PlanAdmitter<Place extends PlannedPlace> = (
  admission: Admission,
) => Promise<PlannedOutcome<Place>>

/** Plans that may follow one another while one event is admitted. */
const MAX_MOVES = 10

export function createPlanAdmitter<Place extends PlannedPlace>(
  options: PlanAdmitterOptions<Place>,
): PlanAdmitter<Place> {
  const texts = new WeakMap<PartitionPlan, string>()
  const textOf = (plan: PartitionPlan): string => {
    const text = texts.get(plan) ?? planText(plan)
    texts.set(plan, text)
    return text
  }

  /** undefined: a later plan was adopted. */
  async function once(admission: Admission, plan: PartitionPlan): Promise<PlannedOutcome<Place> | undefined> {
    const places = placesOf(plan, admission.locator)
    const place = options.place(places.partition)
    let standing = {
      epoch: plan.epoch,
      plan: textOf(plan),
      elsewhere: 0,
      firstId: undefined as string | undefined,
    }
    for (const partition of places.evidence) {
      const other = options.place(partition)
      const sighting = await other.admitter.look(other.link, admission, standing)
      switch (sighting.kind) {
        case 'known':
          return { outcome: sighting, place: other }
        case 'moved':
          options.adopt(planFrom(sighting.plan))
          return undefined
        case 'seen': {
          const { occurrences, firstId } = sighting
          if (occurrences === 0) break
          if (admission.derived) {
            const { id, repeat } = admission
            return { outcome: repeat ? { kind: 'known' } : { kind: 'duplicate', firstId: id }, place: other }
          }
          standing = {
            ...standing,
            elsewhere: standing.elsewhere + occurrences,
            firstId: standing.firstId ?? firstId,
          }
          if (standing.elsewhere < other.admitter.maxSize(admission.tool)) break
          return { outcome: { kind: 'duplicate', firstId: standing.firstId as string }, place: other }
        }
      }
    }
    const outcome = await place.admitter.admitUnder(place.link, admission, standing)
    if (outcome.kind !== 'moved') return { outcome, place }
    options.adopt(planFrom(outcome.plan))
    return undefined
  }

  return async (admission) => {
    for (let moves = 0; moves <= MAX_MOVES; moves++) {
      const answer = await once(admission, options.plan())
      if (answer !== undefined) return answer
    }
    throw new Error(`admission: the plan of partitions changed more than ${MAX_MOVES} times meanwhile`)
  }
}
