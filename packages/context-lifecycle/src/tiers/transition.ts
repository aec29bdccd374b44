/** Moves contexts to a tier because somebody says so, whatever happened to them. */
import { messageOf } from '@weir/core/faults'
import type { Tier } from '../compose.ts'
import type { ContextId } from '../context-id.ts'
import type { ContextPlace } from '../context-place.ts'
import { contextsIn, countContexts } from '../every-context.ts'
import { clearIdentity, IDENTITY_AT } from '../head.ts'
import { lookAt, tierOf } from './look.ts'
import type { Mover, Outcome } from './mover.ts'
import { isEverywhere } from './trouble.ts'

export interface TransitionQuery {
  readonly to: Tier
  /** This one alone. */
  readonly id?: ContextId | undefined
  readonly tenant?: string | undefined
  readonly tool?: string | undefined
  /** Without an event or an access for so long, ms. */
  readonly inactiveMs: number
  /** Only counts. */
  readonly dryRun: boolean
  /** Stops before the next context. */
  readonly signal?: AbortSignal | undefined
}

export interface TransitionOptions {
  readonly places: readonly ContextPlace[]
  placeOf(id: ContextId): ContextPlace
  readonly mover: Mover
  readonly concurrency: number
  /** ms */
  now(): number
  onProgress(looked: number, of: number): void
}

export interface Transitioned {
  /** Contexts that were moved, or would be. */
  readonly moved: number
  /** Contexts that are in that tier already. */
  readonly there: number
  /** Contexts to which something happened meanwhile. */
  readonly active: number
  readonly stuck: readonly { readonly context: ContextId; readonly reason: string }[]
  /** False: the signal stopped it before the end. */
  readonly complete: boolean
}

/** Reasons that are told one by one. */
const MAX_STUCK = 1_000
/** Larger than every context. */
const EVERYTHING = Number.MAX_SAFE_INTEGER

/** Throws Fault REDIS_UNAVAILABLE, REDIS_OUT_OF_MEMORY, COLD_UNAVAILABLE, COLD_REFUSED; what was moved until then is moved. */
export async function transitionContexts(
  { places, placeOf, mover, concurrency, now, onProgress }: TransitionOptions,
  query: TransitionQuery,
): Promise<Transitioned> {
  const { to, id, signal } = query
  const sum = { moved: 0, there: 0, active: 0 }
  const stuck: { context: ContextId; reason: string }[] = []
  const moves: Readonly<Record<Tier, readonly ((id: ContextId) => Promise<Outcome>)[]>> = {
    hot: [(each) => mover.thaw(each, EVERYTHING), (each) => mover.heat(each, EVERYTHING)],
    warm: [(each) => mover.cool(each, now()), (each) => mover.thaw(each, EVERYTHING)],
    cold: [(each) => mover.cool(each, now()), (each) => mover.freeze(each)],
  }

  async function consider(place: ContextPlace, each: ContextId): Promise<void> {
    try {
      await act(place, each)
    } catch (error) {
      if (isEverywhere(error)) throw error
      tell(each, messageOf(error))
    }
  }

  function tell(context: ContextId, reason: string): void {
    if (stuck.length < MAX_STUCK) stuck.push({ context, reason })
  }

  async function act(place: ContextPlace, each: ContextId): Promise<void> {
    const look = await lookAt(place, each, { newest: 0 })
    if (look === undefined || look.head.length < IDENTITY_AT) return
    const owner = clearIdentity(look.head)
    if (query.tenant !== undefined && owner?.tenant !== query.tenant) return
    if (query.tool !== undefined && owner?.tool !== query.tool) return
    const { parts, hotEvents } = look
    // Whole: a context whose newest events are hot may have older ones elsewhere.
    const there =
      to === 'hot'
        ? parts.length === 0
        : hotEvents === 0 && parts.every(({ warm }) => warm === (to === 'warm')) && tierOf(look) === to
    if (there) {
      sum.there++
      return
    }
    if (query.dryRun) {
      sum.moved++
      return
    }
    let moved = false
    for (const move of moves[to]) {
      const outcome = await move(each)
      if (outcome.kind === 'moved') moved = true
      if (outcome.kind === 'active') {
        sum.active++
        return
      }
      if (outcome.kind === 'stuck') {
        return tell(each, outcome.why.message)
      }
    }
    if (moved) sum.moved++
    else sum.there++
  }

  if (id !== undefined) {
    await consider(placeOf(id), id)
    return { ...sum, stuck, complete: true }
  }
  const all = await countContexts(places)
  const last = now() - query.inactiveMs
  let looked = 0
  for (const place of places) {
    for await (const some of contextsIn(place, concurrency, signal)) {
      await Promise.all(some.map(async (each) => each.activeAt <= last && (await consider(place, each.id))))
      looked += some.length
      onProgress(looked, Math.max(all, looked))
    }
  }
  return { ...sum, stuck, complete: signal?.aborted !== true }
}
