/** Is an event of a dead letter somewhere else by now? Asked of partitions that are not the letter's own. */
import { eventIdBytes } from '../event.ts'
import type { Partition } from '../partition.ts'
import type { EventRecord } from '../record.ts'
import { type EvidencePlace, evidenceKeys } from '../stream/evidence.ts'
import { type LongMemoryOptions, wasSettled } from '../stream/long-memory.ts'

/**
 * True when a redelivery was accepted in this partition, or the event was settled there.
 * @param place where its evidence stands in this partition
 * @param redisMs that partition's clock
 */
export async function isOvertaken(
  { link, keys }: Partition,
  record: EventRecord,
  place: EvidencePlace,
  memory: LongMemoryOptions,
  redisMs: number,
): Promise<boolean> {
  if ((await link.call('HEXISTS', keys.parkedIds, record.id)) === 1) return true
  const own = eventIdBytes(record.id)
  const shards = evidenceKeys(place, redisMs, redisMs + place.windowMs)
  const first = Math.floor(redisMs / place.windowMs) - 1
  for (const [index, shard] of shards.entries()) {
    const value = await link.call('HGET', shard, place.field)
    if (!Buffer.isBuffer(value)) continue
    const base = (first + index) * place.windowMs
    const counts = (ms: number) => redisMs - (base + ms) < place.windowMs
    if (record.derived) {
      if (value.length < 20 && counts(Number(value.toString('latin1')))) return true
      continue
    }
    if (value.length % 20 !== 0) continue
    for (let at = 0; at < value.length; at += 20) {
      if (own.equals(value.subarray(at + 4, at + 20)) && counts(value.readUInt32BE(at))) return true
    }
  }
  return record.derived && (await wasSettled(link, memory, redisMs, record.locator))
}
