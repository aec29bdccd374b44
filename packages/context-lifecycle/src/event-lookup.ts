/**
 * An event as operators look for it: where it is in the pipeline, and once its entry is gone there, what its context keeps of
 * it. The operations API and webhook-cli answer this.
 */
import type { EventId } from '@weir/core/event'
import { messageOf } from '@weir/core/faults'
import { isUnreadable, type Packed, type UnpackedBody } from '@weir/core/packing'
import type { PipelineView } from '@weir/core/pipeline-view'
import type { EventDocument } from '@weir/core/view/documents'
import type { ContextId } from './context-id.ts'
import type { Contexts } from './contexts.ts'

export type FoundEvent = EventDocument & {
  /** The context that it is in. */
  readonly context: ContextId | null
}

/** The bytes as sent; or `gone`: settled, and no longer held. */
export type FoundBytes = ({ readonly kind: 'bytes' } & UnpackedBody) | { readonly kind: 'gone' }

export interface EventLookup {
  /** undefined when nobody knows the event (or it was forgotten). Throws `RangeError` for what is not an event id, Fault REDIS_UNAVAILABLE. */
  find(id: EventId): Promise<FoundEvent | undefined>
  /** As `find`; also throws what isUnreadable (packing.ts) tells when the bytes are there and cannot be read. */
  bytes(id: EventId): Promise<FoundBytes | undefined>
}

type View = Pick<PipelineView, 'find' | 'raw' | 'settled' | 'open'>

/** @param contexts undefined = there are none */
export function createEventLookup(
  view: View,
  contexts: Pick<Contexts, 'contextOf' | 'record'> | undefined,
): EventLookup {
  /** Its record in its context; or why that cannot be had, which is a fact about it. */
  async function kept(
    context: ContextId | null,
    id: EventId,
  ): Promise<{ readonly record?: Packed | undefined; readonly problem?: string }> {
    if (context === null) return {}
    try {
      return { record: await contexts?.record(context, id) }
    } catch (error) {
      if (!isUnreadable(error)) throw error
      return { problem: messageOf(error) }
    }
  }

  return {
    async find(id) {
      const event = await view.find(id)
      const context = (await contexts?.contextOf(id)) ?? null
      if (event !== undefined && (event.bytes_available || event.bytes_problem !== null))
        return { ...event, context }
      if (event === undefined && context === null) return undefined
      // Settled so long ago that the stream has not got it any more.
      const { record, problem = null } = await kept(context, id)
      const settled = await view.settled(id, record)
      return { ...settled, bytes_problem: problem ?? settled.bytes_problem, context }
    },
    async bytes(id) {
      const raw = await view.raw(id)
      if (raw?.kind === 'bytes') return raw
      const context = await contexts?.contextOf(id)
      const record = context === undefined ? undefined : await contexts?.record(context, id)
      if (record !== undefined) return { kind: 'bytes', ...(await view.open(record)) }
      return raw === undefined && context === undefined ? undefined : { kind: 'gone' }
    },
  }
}
