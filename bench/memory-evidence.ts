/** Dedupe evidence by how many events share a window: small hashes are compact, and their own cost is shared by few. */
import { randomBytes } from 'node:crypto'
import { eventIdFromBytes } from '@weir/core/event'
import type { Admission } from '@weir/core/stream/admit'
import type { Meter } from './memory-meter.ts'
import { inPipeline } from './records.ts'

const DEPTH = 500

export interface Density {
  /** Events in one window. */
  readonly count: number
  /** Hashes that their evidence is spread over: `deduplication.evidence_shards`. */
  readonly shards: number
}

export interface MeasuredDensity extends Density {
  /** Per event. */
  readonly bytes: number
}

/** Admits so many events with next to no record, removes the stream, and sees what is left. */
export async function evidenceByDensity(
  meter: Meter,
  densities: readonly Density[],
): Promise<MeasuredDensity[]> {
  const found: MeasuredDensity[] = []
  for (const { count, shards } of densities) {
    await meter.bytesOf(() => inPipeline(admissions(count), DEPTH, meter.admitWith(shards)))
    await meter.link.call('DEL', meter.stream)
    found.push({ count, shards, bytes: (await meter.bytesNow()) / count })
  }
  return found
}

function* admissions(count: number): Generator<Admission> {
  for (let i = 0; i < count; i++) {
    const locator = randomBytes(16)
    const id = eventIdFromBytes(locator)
    yield { id, tool: 'github', locator, derived: true, fields: ['v', '1'], repeat: false, limits: [] }
  }
}
