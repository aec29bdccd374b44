/**
 * A parked event is given up for good: parked → purged. As a dead letter that is purged, it leaves no evidence behind, so a
 * redelivery is accepted again; the ledger counts it as purged.
 *
 * One that a consumer has in hand stays: its work would go on after the event is said to be gone, and leave effects. Who held it
 * and died gives it back by the end of the lease.
 */
import { eventIdBytes } from '../event.ts'
import type { PartitionKeys } from '../keys.ts'
import type { EventRecord } from '../record.ts'
import type { RedisLink } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'
import { type EvidencePlace, evidenceKeys, FORGET_EVIDENCE } from './evidence.ts'

/*
 * KEYS  1 parked due, 2 parked records, 3 parked state, 4 parked ids, 5 ledger, 6… evidence shards
 * ARGV  1 stream id, 2 evidence field, 3 id bytes ('' = derived)
 * Reply 1 purged | 0 not parked (any more) | 2 in hand
 */
const PURGE_PARKED = defineScript(
  'purge-parked',
  `${FORGET_EVIDENCE}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local sid = ARGV[1]
local due, raw = redis.call('ZSCORE', KEYS[1], sid), redis.call('HGET', KEYS[3], sid)
if not due then return 0 end
local state = raw and cjson.decode(raw) or {by = ''}
if state.by ~= '' and tonumber(due) > now then return 2 end
redis.call('ZREM', KEYS[1], sid)
redis.call('HDEL', KEYS[2], sid)
redis.call('HDEL', KEYS[3], sid)
if state.id and redis.call('HGET', KEYS[4], state.id) == sid then redis.call('HDEL', KEYS[4], state.id) end
redis.call('HINCRBY', KEYS[5], 'purged', 1)
for i = 6, #KEYS do forget(KEYS[i], ARGV[2], ARGV[3]) end
return 1
`,
)

export interface ParkedEvent {
  readonly streamId: string
  /** undefined = it cannot be read; then its evidence stays until it expires. */
  readonly record: Pick<EventRecord, 'id' | 'derived'> | undefined
  /** When it is due, or the end of its lease, ms: evidence was stamped ahead to that at most. */
  readonly dueMs: number
}

export type PurgeParkedOutcome = 'purged' | 'absent' | 'held'

/**
 * @param evidence where its evidence stands; undefined where the record cannot be read
 * Throws Fault REDIS_UNAVAILABLE: it may have been done.
 */
export async function purgeParked(
  link: RedisLink,
  keys: PartitionKeys,
  { streamId, record, dueMs }: ParkedEvent,
  evidence: EvidencePlace | undefined,
  redisMs: number,
): Promise<PurgeParkedOutcome> {
  const shards = evidence === undefined ? [] : evidenceKeys(evidence, redisMs, Math.max(redisMs, dueMs))
  const reply = await link.run(
    PURGE_PARKED,
    [keys.parkedDue, keys.parkedRecords, keys.parkedState, keys.parkedIds, keys.ledger, ...shards],
    [streamId, evidence?.field ?? '', record === undefined || record.derived ? '' : eventIdBytes(record.id)],
  )
  return reply === 1 ? 'purged' : reply === 2 ? 'held' : 'absent'
}
