/**
 * The Lua function that park, replay and settle share, in a script of its own: for tests of evidence alone.
 */
import type { RedisLink } from '../../packages/core/src/redis/link.ts'
import { defineScript } from '../../packages/core/src/redis/script.ts'
import { type EvidencePlace, TOUCH_EVIDENCE } from '../../packages/core/src/stream/evidence.ts'

/*
 * KEYS  shards of consecutive slices, oldest first
 * ARGV  first slice, window ms, field, stamp ms, id bytes ('' = derived)
 * Reply number of shards written
 */
const TOUCH = defineScript(
  'touch-evidence',
  `${TOUCH_EVIDENCE}
local slice, window, stamp = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
for i = 1, #KEYS do touch(KEYS[i], slice + i - 1, window, ARGV[3], stamp, ARGV[5]) end
return #KEYS
`,
)

/**
 * Keeps an event's evidence valid until one window after `stampMs`: written into every slice from now to then.
 * Used when an event is parked, replayed, or settled late.
 * @param nowMs Redis time
 * @param minted the event id's 16 bytes when the id is minted
 */
export async function touchEvidence(
  link: RedisLink,
  place: EvidencePlace,
  nowMs: number,
  stampMs: number,
  minted?: Buffer,
): Promise<void> {
  const first = Math.floor(nowMs / place.windowMs)
  const keys: string[] = []
  for (let slice = first; slice <= Math.floor(Math.max(nowMs, stampMs) / place.windowMs); slice++) {
    keys.push(place.key(slice))
  }
  await link.run(TOUCH, keys, [first, place.windowMs, place.field, Math.round(stampMs), minted ?? ''])
}
