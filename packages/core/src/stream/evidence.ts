/**
 * Dedupe evidence: which occurrences were accepted within the tool's window. Exact; no bloom filter here.
 *
 *   <evidence>:<tool>:<window ms>:<slice>:<shard>   hash: 12 bytes of the locator → when
 *
 * A slice is one window long and named by Redis TIME (never a gateway's clock). Slices s and s−1 are read, and
 * evidence older than the window is ignored; reading only the current slice once re-admitted every key one slice
 * later. Shards stay listpack-sized (22 to 35 bytes an event; one big hash took 97 and stalled Redis when it
 * expired). Values: for derived ids the decimal ms offset in the slice (an integer costs a listpack 3–5 bytes);
 * for minted ids up to `max_size` pieces of u32 offset + 16 id bytes, 20 bytes each, in the order of admission. A value
 * of the other kind (fewer than 20 bytes: derived) is left over from before `max_size` was changed; it counts for nothing.
 *
 * Evidence may be stamped ahead of now: a parked event's evidence counts its window from the retry that is due.
 */
import type { PartitionKeys } from '../keys.ts'

export interface EvidenceLayout {
  readonly keys: PartitionKeys
  readonly tool: string
  /** ms */
  readonly windowMs: number
  /** Hash shards per slice. */
  readonly shards: number
}

/** Where the evidence of one locator stands. */
export interface EvidencePlace {
  readonly windowMs: number
  /** 12 bytes */
  readonly field: Buffer
  /** Key of the shard in this slice. */
  key(slice: number): string
}

export function evidencePlace(layout: EvidenceLayout, locator: Buffer): EvidencePlace {
  const shard = locator.readUInt32BE(0) % layout.shards
  const prefix = `${layout.keys.evidence}:${layout.tool}:${layout.windowMs}`
  return {
    windowMs: layout.windowMs,
    field: locator.subarray(4, 16),
    key: (slice) => `${prefix}:${slice}:${shard}`,
  }
}

/** Keys of every slice in which evidence may stand that is valid at some time between `fromMs` and `toMs`. */
export function evidenceKeys(place: EvidencePlace, fromMs: number, toMs: number): string[] {
  const keys: string[] = []
  const last = Math.floor(toMs / place.windowMs)
  for (let slice = Math.floor(fromMs / place.windowMs) - 1; slice <= last; slice++)
    keys.push(place.key(slice))
  return keys
}

/** When the slice of an evidence key begins, Redis ms; NaN for what is no such key. */
export function evidenceSliceStart(keys: PartitionKeys, key: string): number {
  const [windowMs, slice] = key
    .slice(keys.evidence.length + 1)
    .split(':')
    .slice(1) as [string, string]
  return Number(windowMs) * Number(slice)
}

/**
 * Lua, part of the scripts that park, replay and settle: an event that is under way keeps its evidence.
 * `touch(key, slice, window, field, stamp, own)` writes one shard's evidence of an event as of `stamp` (ms);
 * `own` is '' for derived ids. Other occurrences stay where they are: their order says which came first.
 */
export const TOUCH_EVIDENCE = `
local function touch(key, slice, window, field, stamp, own)
  local value = string.format('%d', stamp - slice * window)
  if own ~= '' then
    local piece = struct.pack('>I4', math.max(0, stamp - slice * window)) .. own
    local old = redis.call('HGET', key, field)
    if old and #old % 20 == 0 then
      local pieces, found = {}, false
      for at = 1, #old, 20 do
        local same = string.sub(old, at + 4, at + 19) == own
        if same then found = true end
        pieces[#pieces + 1] = same and piece or string.sub(old, at, at + 19)
      end
      if not found then pieces[#pieces + 1] = piece end
      value = table.concat(pieces)
    else
      value = piece
    end
  end
  redis.call('HSET', key, field, value)
  if redis.call('HLEN', key) == 1 then redis.call('PEXPIREAT', key, (slice + 3) * window) end
end
`

/**
 * Lua, part of the scripts that give an event up: takes its evidence out of a shard, so that a redelivery is accepted again.
 * `own` is '' for derived ids. Other occurrences stay.
 */
export const FORGET_EVIDENCE = `
local function forget(key, field, own)
  if own == '' then
    redis.call('HDEL', key, field)
    return
  end
  local old = redis.call('HGET', key, field)
  if not old or #old % 20 ~= 0 then return end
  local kept = {}
  for at = 1, #old, 20 do
    if string.sub(old, at + 4, at + 19) ~= own then kept[#kept + 1] = string.sub(old, at, at + 19) end
  end
  if #kept == 0 then redis.call('HDEL', key, field) else redis.call('HSET', key, field, table.concat(kept)) end
end
`
