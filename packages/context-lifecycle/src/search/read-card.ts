import { isFault } from '@weir/core/faults'
import type { Opener } from '@weir/core/keyring/keyring'
import type { ContextId } from '../context-id.ts'
import type { ContextPlace } from '../context-place.ts'
import { openedFor } from '../opening.ts'
import type { Card } from './card.ts'
import { decodeCard, outlineOf } from './card-bytes.ts'

/** The card of a context; undefined when it has none (yet), or none that can be read. Throws Fault REDIS_UNAVAILABLE, KEY_MISSING. */
export async function readCard(
  { link, keys }: ContextPlace,
  id: ContextId,
  opener: Opener,
): Promise<Card | undefined> {
  const bytes = await link.call('GET', keys.card(id))
  if (!Buffer.isBuffer(bytes)) return undefined
  try {
    return await openedFor(opener, outlineOf(id, bytes).tenant, () => decodeCard(id, bytes, opener))
  } catch (error) {
    if (isFault(error, 'RECORD_CORRUPT') || isFault(error, 'KEY_DESTROYED')) return undefined
    throw error
  }
}
