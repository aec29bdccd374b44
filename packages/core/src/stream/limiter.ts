/**
 * What the limits say to one event, before it is admitted.
 *
 *   a large limit that is used much: a leased permit is spent, without Redis (leases.ts); while the answer is on its way that brings
 *     the next ones, the event waits for it
 *   any other limit, counted in the partition of the event: left to the admission script, in the same round trip
 *   any other limit, counted in another partition: asked there first, one place after the other and in the order of the
 *     limits, so that many events that come at once get past them in one order; the admission begins when all have
 *     answered. That is a round trip for each such place; with one partition there is none.
 *
 * What was taken for an event that is then not accepted is given back: a refused or repeated request uses nothing up. With
 * limits in several places that is true a moment later, in which others may be refused for its sake. What cannot be
 * given back (Redis is away) stays out of use for one period.
 */
import type { PartitionKeys } from '../keys.ts'
import { Lease } from './leases.ts'
import {
  LISTED_LIMIT,
  type Limited,
  type LimitPlace,
  leasePermits,
  type RateLimit,
  returnLimits,
  takeLimits,
} from './limits.ts'
import { createLocalLimits } from './local-limits.ts'

export interface LimiterOptions {
  /** Where a limit is counted: the same place for all gateways and partitions; see `limitPartition`. */
  readonly placeOf: (limit: RateLimit) => LimitPlace
  /** Monotonic, ms. */
  readonly now: () => number
  readonly wait: (ms: number) => Promise<void>
  /** What became of a question for a block of permits. */
  readonly onLease: (result: 'granted' | 'refused' | 'failed') => void
  /** Limits could not be asked, or not be given back. The event is not stopped by that. */
  readonly onError: (error: unknown) => void
}

/** What was taken for one event. */
export interface Permits {
  readonly kind: 'permits'
  /** What is left to the admission script. */
  readonly counted: readonly RateLimit[]
  readonly spent: readonly SpentPermit[]
  readonly elsewhere: readonly TakenElsewhere[]
}

interface SpentPermit {
  readonly lease: Lease
  readonly cell: number
}

interface TakenElsewhere {
  readonly place: LimitPlace
  readonly limits: readonly RateLimit[]
  readonly stamp: number
}

export interface Limiter {
  /**
   * Takes one permit of each limit, or none. Answers at once unless another partition must be asked or permits are under way;
   * never rejects: a limit that cannot be asked there is counted by this gateway alone, as `alone` does.
   * @param home the partition in which the event will be admitted
   */
  take(limits: readonly RateLimit[], home: PartitionKeys): Permits | Limited | Promise<Permits | Limited>
  /** For an event that was not accepted. Not for one whose outcome is unknown: it may have been. */
  giveBack(permits: Permits): void
  /** For an event that goes on without Redis: counts it by this gateway alone. */
  alone(limits: readonly RateLimit[]): Limited | undefined
}

/** Names whose permits are leased at once; the events of further ones are counted one by one. */
const MAX_LEASES = 10_000

const NOTHING: readonly never[] = []
const FREE: Permits = { kind: 'permits', counted: NOTHING, spent: NOTHING, elsewhere: NOTHING }

export function createLimiter(options: LimiterOptions): Limiter {
  const { placeOf, now, wait, onError } = options
  const leases = new Map<string, Lease>()
  const local = createLocalLimits(now)
  let sweepAt = 0

  function leaseOf(limit: RateLimit): Lease | undefined {
    const name = `${limit.type}:${limit.name}`
    let lease = leases.get(name)
    if (lease === undefined) {
      if (leases.size >= MAX_LEASES && !sweep(limit.periodMs)) return undefined
      lease = new Lease({
        limit,
        ask: (want, unspent) => leasePermits(placeOf(limit), limit, want, unspent),
        now,
        wait,
        told(result, error) {
          options.onLease(result)
          if (result === 'failed') onError(error)
        },
      })
      leases.set(name, lease)
    }
    return lease
  }

  /** Makes room, at most once in a period. */
  function sweep(periodMs: number): boolean {
    const at = now()
    if (at < sweepAt) return false
    sweepAt = at + periodMs
    for (const [name, lease] of leases) if (lease.idle) leases.delete(name)
    return leases.size < MAX_LEASES
  }

  /** Asks the other places, one after the other. */
  async function takeElsewhere(
    first: Omit<Permits, 'elsewhere'>,
    groups: readonly { readonly place: LimitPlace; readonly limits: RateLimit[] }[],
  ): Promise<Permits | Limited> {
    const elsewhere: TakenElsewhere[] = []
    const permits: Permits = { ...first, elsewhere }
    for (const { place, limits } of groups) {
      let refused: Limited | undefined
      try {
        const outcome = await takeLimits(place, limits)
        if (outcome.kind === 'limited') refused = outcome
        else elsewhere.push({ place, limits, stamp: outcome.stamp })
      } catch (error) {
        onError(error)
        refused = local.take(limits)
      }
      if (refused === undefined) continue
      giveBack(permits)
      return refused
    }
    return permits
  }

  function giveBack({ spent, elsewhere }: Permits): void {
    for (const { lease, cell } of spent) lease.giveBack(cell)
    for (const { place, limits, stamp } of elsewhere) returnLimits(place, limits, stamp).catch(onError)
  }

  type Taken = Permits | Limited | Promise<Permits | Limited>

  /** @param again it has waited for permits before, and does so once only */
  function take(limits: readonly RateLimit[], home: PartitionKeys, again: boolean): Taken {
    const counted: RateLimit[] = []
    const spent: SpentPermit[] = []
    const groups: { readonly place: LimitPlace; readonly limits: RateLimit[] }[] = []
    const underWay: Promise<void>[] = []
    for (const limit of limits) {
      const lease = limit.limit > LISTED_LIMIT ? leaseOf(limit) : undefined
      const answer = lease?.take(again)
      if (lease !== undefined && answer?.kind === 'spent') {
        spent.push({ lease, cell: answer.cell })
        continue
      }
      if (answer?.kind === 'refused') {
        giveBack({ ...FREE, spent })
        return { kind: 'limited', limit, retryAfterMs: answer.retryAfterMs }
      }
      if (answer?.kind === 'asking') {
        underWay.push(answer.answered)
        continue
      }
      const place = placeOf(limit)
      if (place.keys.limits === home.limits) {
        counted.push(limit)
        continue
      }
      const last = groups.at(-1)
      if (last?.place.keys.limits === place.keys.limits) last.limits.push(limit)
      else groups.push({ place, limits: [limit] })
    }
    if (underWay.length > 0) {
      giveBack({ ...FREE, spent })
      return Promise.all(underWay).then(() => take(limits, home, true))
    }
    const first = { kind: 'permits', counted, spent } as const
    return groups.length === 0 ? { ...first, elsewhere: NOTHING } : takeElsewhere(first, groups)
  }

  return {
    giveBack,
    alone: (limits) => local.take(limits),
    take: (limits, home) => (limits.length === 0 ? FREE : take(limits, home, false)),
  }
}
