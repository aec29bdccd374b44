import type { ContextId } from '../context-id.ts'
import type { ContextPlace } from '../context-place.ts'
import { warmSegment } from './moves.ts'
import { decodeRef, type Part, partField } from './parts.ts'
import { segmentHead } from './segment.ts'

/**
 * Bytes of content of the newest parts that a promotion of so many bytes takes: the newest one always, and those before it as long
 * as they fit in. undefined when they were moved meanwhile. Throws Fault REDIS_UNAVAILABLE, RECORD_CORRUPT.
 */
export async function newestBytes(
  place: ContextPlace,
  id: ContextId,
  parts: readonly Part[],
  maxBytes: number,
): Promise<number | undefined> {
  let taken = 0
  for (const part of parts.toReversed()) {
    const bytes = await contentBytes(place, id, part)
    if (bytes === undefined) return undefined
    if (taken > 0 && taken + bytes > maxBytes) break
    taken += bytes
  }
  return taken
}

async function contentBytes(place: ContextPlace, id: ContextId, part: Part): Promise<number | undefined> {
  if (part.warm) {
    const segment = await warmSegment(place, id, part)
    return segment && segmentHead(id, segment).contentBytes
  }
  const ref = await place.link.call('HGET', place.keys.parts(id), partField(part, 'cold'))
  return Buffer.isBuffer(ref) ? decodeRef(id, String(ref)).contentBytes : undefined
}
