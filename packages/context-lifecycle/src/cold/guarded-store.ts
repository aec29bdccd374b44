/**
 * A cold store that costs its callers little when it is slow or down: so many operations at once, and a breaker.
 *
 *   closed ──(failureThreshold operations in a row ended with COLD_UNAVAILABLE)──▶ open ──(openDurationMs pass)──▶ half-open
 *   half-open: the first operation that comes is the probe; all others are refused until it has ended
 *     the store answered it → closed          COLD_UNAVAILABLE → open again, for as long          it was aborted → the next one
 *
 * Refused means COLD_UNAVAILABLE at once, without asking the store; those who wait for their turn when it opens are refused
 * too. COLD_REFUSED is an answer: somebody has to change something, but the store is there. An operation that began before
 * the breaker opened says nothing about now, so while it is not closed only the probe's outcome counts.
 *
 * A list takes a turn for each page and none in between: whoever gets every object that a list names would wait for himself.
 */
import type { Clock } from '@weir/core/clock'
import { Fault, isFault } from '@weir/core/faults'
import { type ColdObject, type ColdStore, checkBeginning, checkName } from './cold-store.ts'
import { createTurns } from './turns.ts'

export interface GuardSettings {
  /** Operations in a row, each with all its attempts. */
  readonly failureThreshold: number
  /** ms */
  readonly openDurationMs: number
  /** Most operations at once. */
  readonly concurrency: number
}

export type GuardState = 'closed' | 'open' | 'half-open'

/** What became of an operation: `shut` = the breaker refused it, `missing` = a get of what is not there. */
export type ColdOutcome = 'ok' | 'missing' | 'unavailable' | 'refused' | 'shut' | 'aborted' | 'failed'

export interface ColdObservation {
  readonly operation: 'put' | 'get' | 'delete' | 'list'
  readonly outcome: ColdOutcome
  /** How long the store took, all attempts together, ms; 0 when it was not asked. */
  readonly ms: number
  /** How long the operation waited for its turn, ms. */
  readonly waitedMs: number
}

export interface GuardDeps {
  readonly clock: Clock
  /** For metrics: each operation as it ends, each page of a list as one. Must not throw. */
  observe?(seen: ColdObservation): void
  /** The breaker's state is another now. Must not throw. */
  onChange?(state: GuardState): void
}

export interface GuardedStore extends ColdStore {
  /** As it would be found by an operation that comes now. */
  readonly state: GuardState
}

/** Objects of a list that are read in one turn; what S3 answers at once. */
const PAGE = 1000

export function createGuardedStore(store: ColdStore, settings: GuardSettings, deps: GuardDeps): GuardedStore {
  const { clock, observe, onChange } = deps
  const turns = createTurns(settings.concurrency)
  let state: GuardState = 'closed'
  /** In a row, while closed. */
  let failures = 0
  /** Monotonic ms at which it opened. */
  let openedAt = 0
  let probing = false
  let closed = false

  const become = (next: GuardState): void => {
    const changed = state !== next
    state = next
    failures = 0
    probing = next === 'half-open'
    if (next === 'open') {
      openedAt = clock.monotonic()
      turns.sendAway(shut())
    }
    if (changed) onChange?.(next)
  }

  const shut = () =>
    new Fault(
      'COLD_UNAVAILABLE',
      closed
        ? `cold storage: ${store.place} is closed`
        : `cold storage: ${store.place} failed ${settings.failureThreshold} times in a row and is left alone for ${settings.openDurationMs} ms at a time`,
    )

  const isDue = () => clock.monotonic() - openedAt >= settings.openDurationMs

  /** True when the caller is the probe. Throws when it is refused. */
  const enter = (): boolean => {
    if (closed) throw shut()
    if (state === 'closed') return false
    if (probing || (state === 'open' && !isDue())) throw shut()
    become('half-open')
    return true
  }

  const leave = (outcome: ColdOutcome, probe: boolean): void => {
    const answered = outcome === 'ok' || outcome === 'missing' || outcome === 'refused'
    if (probe) {
      if (answered) become('closed')
      else if (outcome === 'unavailable') become('open')
      else probing = false
    } else if (state === 'closed') {
      if (answered) failures = 0
      else if (outcome === 'unavailable' && ++failures >= settings.failureThreshold) become('open')
    }
  }

  const guard = async <T>(
    operation: ColdObservation['operation'],
    signal: AbortSignal | undefined,
    outcomeOf: (result: T) => ColdOutcome,
    work: () => Promise<T>,
  ): Promise<T> => {
    const came = clock.monotonic()
    let began: number | undefined
    let outcome: ColdOutcome = 'shut'
    let probe = false
    let end: (() => void) | undefined
    try {
      probe = enter()
      end = await turns.take(signal)
      began = clock.monotonic()
      const result = await work()
      outcome = outcomeOf(result)
      return result
    } catch (error) {
      if (signal?.aborted) outcome = 'aborted'
      else if (began !== undefined) outcome = outcomeOfError(error)
      throw error
    } finally {
      const now = clock.monotonic()
      if (began !== undefined || probe) leave(outcome, probe)
      end?.()
      observe?.({ operation, outcome, ms: now - (began ?? now), waitedMs: (began ?? now) - came })
    }
  }

  return {
    place: store.place,
    get state() {
      return state === 'open' && isDue() ? 'half-open' : state
    },
    async put(name, bytes, signal) {
      checkName(name)
      await guard('put', signal, isOk, () => store.put(name, bytes, signal))
    },
    async get(name, signal) {
      checkName(name)
      const outcomeOf = (found: Buffer | undefined) => (found === undefined ? 'missing' : 'ok')
      return guard('get', signal, outcomeOf, () => store.get(name, signal))
    },
    async delete(name, signal) {
      checkName(name)
      await guard('delete', signal, isOk, () => store.delete(name, signal))
    },
    async *list(prefix, after = '', signal) {
      checkBeginning(prefix)
      checkBeginning(after)
      const objects = store.list(prefix, after, signal)[Symbol.asyncIterator]()
      try {
        for (let more = true; more; ) {
          const page = await guard('list', signal, isOk, () => read(objects, PAGE))
          more = page.length === PAGE
          for (const object of page) {
            signal?.throwIfAborted()
            yield object
          }
        }
      } finally {
        await objects.return?.()
      }
    },
    close() {
      if (closed) return
      closed = true
      turns.sendAway(shut())
      store.close()
    },
  }
}

const isOk = (): ColdOutcome => 'ok'

function outcomeOfError(error: unknown): ColdOutcome {
  if (isFault(error, 'COLD_UNAVAILABLE')) return 'unavailable'
  return isFault(error, 'COLD_REFUSED') ? 'refused' : 'failed'
}

async function read(objects: AsyncIterator<ColdObject>, most: number): Promise<ColdObject[]> {
  const page: ColdObject[] = []
  while (page.length < most) {
    const { value, done } = await objects.next()
    if (done) break
    page.push(value)
  }
  return page
}
