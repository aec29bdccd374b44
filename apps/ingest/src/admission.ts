/**
 * Where one verified event goes, so that the answer is true.
 *
 *   Redis takes events ──admit──▶ accepted | duplicate | limited                       (the usual way)
 *        │                  └──unknown outcome──▶ wait for Redis, admit again with the same id, while the budget lasts
 *        ▼ no, or too many in flight, out of memory, budget spent
 *   spool (fsynced) ──▶ spooled
 *        ▼ full, failing, or not for this sender
 *   unavailable: the sender is told to come again
 *
 * While Redis is known to be away nobody waits for it: the event goes to the spool at once. An error that nobody
 * foresaw counts as unknown too; the event is then safe in the spool while somebody reads the log.
 *
 * Limits are taken before the admission, or counted by it (@weir/core/stream/limiter), and given back when the event was
 * a duplicate or refused. For an event that Redis surely does not count (it is away, out of memory, or has too much to do)
 * this gateway counts alone.
 */
import type { Clock } from '@weir/core/clock'
import type { EventId } from '@weir/core/event'
import { Fault, isFault, messageOf } from '@weir/core/faults'
import { freezeFields } from '@weir/core/record'
import type { Admission } from '@weir/core/stream/admit'
import type { PlannedOutcome } from '@weir/core/stream/admit-by-plan'
import type { Limiter, Permits } from '@weir/core/stream/limiter'
import type { Limited } from '@weir/core/stream/limits'
import type { Logger } from 'pino'
import type { Journals } from './journals.ts'
import type { Lane } from './lane.ts'
import type { Lanes } from './lanes.ts'
import type { GatewayMetrics } from './metrics.ts'

export type Verdict =
  | { readonly kind: 'accepted' }
  | {
      readonly kind: 'spooled'
      /** How long the disk took, ms. */
      readonly ms: number
    }
  | { readonly kind: 'duplicate'; readonly firstId: EventId }
  | Limited
  | { readonly kind: 'unavailable'; readonly why: string }

export interface Admissions {
  /**
   * Decides about one event. Never rejects.
   * @param spools whether the spool may take this sender's events
   */
  admit(admission: Admission, spools: boolean): Promise<Verdict>
}

export interface AdmissionOptions {
  readonly lanes: Lanes
  readonly limiter: Limiter
  readonly spool: Journals | undefined
  /** Called after an event was spooled for this partition. */
  onSpooled(partition: number): void
  /** How long unknown outcomes are tried again, ms. */
  readonly budgetMs: number
  readonly maxInFlight: number
  readonly clock: Clock
  readonly metrics: GatewayMetrics
  readonly log: Logger
}

/** Pause before the same obstacle is told again, ms. */
const TELL_AGAIN_MS = 10_000
/** Most bytes of records that wait for the disk at once; a disk that hangs must not fill the memory. */
const MAX_SPOOLING_BYTES = 64 * 1024 * 1024

/** The answer, and the lane that gave it. */
type Answered = PlannedOutcome<Lane>

type SpoolReason = 'redis_down' | 'redis_unknown' | 'redis_out_of_memory' | 'overload'

const ACCEPTED: Verdict = { kind: 'accepted' }
const NOT_KEPT = 'Redis cannot take the event now, and the spool does not take it'

export function createAdmissions(options: AdmissionOptions): Admissions {
  const { lanes, limiter, spool, clock, metrics, log } = options
  let inFlight = 0
  let spoolingBytes = 0
  let unsuitableToldAt = Number.NEGATIVE_INFINITY
  metrics.gauge('webhook_ingest_in_flight', () => inFlight)

  async function admit(admission: Admission, spools: boolean): Promise<Verdict> {
    const lane = lanes.of(admission.locator)
    if (lane === undefined || !lanes.up(admission.locator)) {
      if (admission.limits.length > 0) metrics.count('webhook_rate_limit_redis_errors_total')
      return withoutRedis(admission, spools, 'redis_down')
    }
    if (inFlight >= options.maxInFlight) return withoutRedis(admission, spools, 'overload')
    inFlight++
    let reason: SpoolReason
    let first = admission
    let permits: Permits | undefined
    try {
      const recalled = admission.derived ? lanes.recall(admission.locator) : undefined
      // Unknown goes on to its admission: an event is never refused on a guess.
      if (recalled !== undefined && (await recalled) === 'settled') {
        metrics.count('webhook_duplicates_total', admission.tool, 'long')
        return { kind: 'duplicate', firstId: admission.id }
      }
      if (admission.limits.length > 0) {
        const taken = limiter.take(admission.limits, lane.keys)
        const answer = taken instanceof Promise ? await taken : taken
        if (answer.kind === 'limited') return limited(answer)
        permits = answer
        first = { ...admission, limits: answer.counted }
      }
      return verdictOf(admission, permits, await lanes.admit(first))
    } catch (error) {
      if (admission.limits.length > 0) metrics.count('webhook_rate_limit_redis_errors_total')
      const second = await afterFailure(first, error)
      if (typeof second !== 'string') return verdictOf(admission, permits, second)
      reason = second
    } finally {
      inFlight--
    }
    if (reason === 'redis_out_of_memory') return withoutRedis(admission, spools, reason)
    return toSpool(admission, spools, reason)
  }

  /** For an event that Redis surely does not count: this gateway counts it alone. */
  function withoutRedis(admission: Admission, spools: boolean, reason: SpoolReason): Promise<Verdict> {
    const refused = admission.limits.length > 0 ? limiter.alone(admission.limits) : undefined
    return refused === undefined ? toSpool(admission, spools, reason) : Promise.resolve(limited(refused))
  }

  function verdictOf(
    admission: Admission,
    permits: Permits | undefined,
    { outcome, place }: Answered,
  ): Verdict {
    switch (outcome.kind) {
      case 'accepted':
        place.witness.saw(admission.fields, outcome.streamId)
        if (permits !== undefined) metrics.count('webhook_rate_limit_allowed_total')
        return ACCEPTED
      case 'known':
        place.witness.saw(admission.fields, '')
        return ACCEPTED
      case 'duplicate':
        if (permits !== undefined) limiter.giveBack(permits)
        metrics.count('webhook_duplicates_total', admission.tool, 'window')
        return outcome
      case 'limited':
        if (permits !== undefined) limiter.giveBack(permits)
        return limited(outcome)
    }
  }

  function limited(refused: Limited): Verdict {
    metrics.count('webhook_rate_limit_exceeded_total', refused.limit.type)
    return refused
  }

  /** The second and further attempts, or why the spool has to take it. */
  async function afterFailure(admission: Admission, error: unknown): Promise<Answered | SpoolReason> {
    if (!isFault(error, 'REDIS_UNAVAILABLE')) return spoolReason(error)
    const deadline = clock.monotonic() + options.budgetMs
    const again: Admission = { ...admission, repeat: true }
    const { locator } = admission
    lanes.suspect(locator)
    while (await lanes.whenUp(locator, deadline - clock.monotonic())) {
      try {
        const outcome = await before(deadline, lanes.admit(again))
        metrics.count('webhook_admission_unknown_total', 'retried')
        return outcome
      } catch (failure) {
        if (!isFault(failure, 'REDIS_UNAVAILABLE')) return spoolReason(failure)
        lanes.suspect(locator)
      }
    }
    metrics.count('webhook_admission_unknown_total', 'given_up')
    return 'redis_unknown'
  }

  /** For what another attempt would not change. */
  function spoolReason(error: unknown): SpoolReason {
    if (isFault(error, 'REDIS_OUT_OF_MEMORY')) return 'redis_out_of_memory'
    metrics.count('webhook_faults_total', isFault(error) ? error.code : 'UNEXPECTED')
    if (isFault(error, 'REDIS_UNSUITABLE')) tellUnsuitable(error)
    else log.error({ event: 'admission_failed', err: error }, 'an admission failed in an unforeseen way')
    return 'redis_unknown'
  }

  /** A right that is missing is missing for every event: said now and then, not with each. */
  function tellUnsuitable({ code, message }: Fault): void {
    const now = clock.monotonic()
    if (now - unsuitableToldAt < TELL_AGAIN_MS) return
    unsuitableToldAt = now
    log.error(
      { event: 'redis', code, reason: message },
      'Redis does not let us admit events; they are spooled',
    )
  }

  /** Rejects REDIS_UNAVAILABLE at the deadline: the command may still succeed, and then the spool's copy is known. */
  function before<T>(deadline: number, promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const late = (): void => reject(new Fault('REDIS_UNAVAILABLE', 'admission: the budget is spent'))
      const timer = setTimeout(late, Math.max(0, deadline - clock.monotonic()))
      promise.then(resolve, reject).finally(() => clearTimeout(timer))
    })
  }

  async function toSpool(admission: Admission, spools: boolean, reason: SpoolReason): Promise<Verdict> {
    if (!spools || spool === undefined) return refused('not_configured', NOT_KEPT)
    const record = freezeFields(admission.fields)
    if (spoolingBytes + record.length > MAX_SPOOLING_BYTES) {
      return refused('overload', 'too many events wait for the disk')
    }
    spoolingBytes += record.length
    const partition = lanes.of(admission.locator)?.keys.partition ?? 0
    const startedAt = clock.monotonic()
    try {
      await spool.append(partition, record)
    } catch (error) {
      if (!isFault(error, 'SPOOL_FULL'))
        log.error({ event: 'spool_failed', err: error }, 'the spool refused an event')
      const full = isFault(error, 'SPOOL_FULL')
      return refused(full ? 'full' : 'io', messageOf(error))
    } finally {
      spoolingBytes -= record.length
    }
    const ms = clock.monotonic() - startedAt
    metrics.stage('spool', ms)
    metrics.count('webhook_spooled_total', reason)
    options.onSpooled(partition)
    return { kind: 'spooled', ms }
  }

  function refused(reason: string, why: string): Verdict {
    metrics.count('webhook_spool_refused_total', reason)
    return { kind: 'unavailable', why }
  }

  return { admit }
}
