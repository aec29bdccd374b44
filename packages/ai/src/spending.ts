/** Work that costs tokens: reserved before, corrected after. */
import { Fault } from '@weir/core/faults'
import type { Budget, OverBudget, Usage } from './budget.ts'
import type { Observe, Purpose } from './observation.ts'

export interface Spent<T> {
  readonly kind: 'spent'
  readonly result: T
}

/**
 * @param estimate tokens at most, as estimated
 * @param work also says what was spent, as far as it came, when it throws: by calling `spent`
 * Throws what `work` throws; and Fault REDIS_UNAVAILABLE or REDIS_OUT_OF_MEMORY when nothing could be reserved of a budget
 * that has a limit: without one it goes on uncounted.
 */
export async function spending<T>(
  budget: Budget,
  observe: Observe,
  plan: { readonly purpose: Purpose; readonly tenant: string; readonly estimate: number },
  work: (spent: (usage: Usage) => void) => Promise<T>,
): Promise<Spent<T> | OverBudget> {
  const degraded = (error: unknown) => {
    if (!(error instanceof Fault)) throw error
    observe({ kind: 'degraded', error })
  }
  const reservation = await budget.reserve(plan.tenant, plan.estimate).catch((error: unknown) => {
    if (budget.limited) throw error
    degraded(error)
    return undefined
  })
  if (reservation?.kind === 'over-budget') {
    observe({ kind: 'over-budget', purpose: plan.purpose })
    return reservation
  }
  let total: Usage = { tokens: 0, cost: 0 }
  try {
    const result = await work(({ tokens, cost }) => {
      total = { tokens: total.tokens + tokens, cost: total.cost + cost }
    })
    return { kind: 'spent', result }
  } finally {
    // A result that was paid for is not lost because it could not be counted: its reservation stands.
    if (reservation?.kind === 'reserved') await budget.settle(reservation, total).catch(degraded)
  }
}
