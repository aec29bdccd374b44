/**
 * The audit trail in Redis: lines that form a chain, written by many processes, in partition 0.
 *
 *   <audit>              stream: entry n has the id `n-0` and one field, its line; ids only rise, so nothing goes in between
 *   <audit:head>         hash: n, hash          the last entry: who appends names the one that he follows on
 *                              floor_n, floor_hash            the last one that retention removed
 *                              checkpoint_n, checkpoint_at    the last checkpoint; before the first one: since when it is missed
 *   <audit:checkpoints>  stream: the checkpoint of entry n has the id `n-0`
 *
 * Redis has no SHA-256 for scripts, so the caller makes the chain and Redis compares: an append that does not follow on the
 * head is refused with the real head, and the caller makes it anew. What the lines say, and how they are linked, is not
 * looked at here (@weir/security/audit-chain).
 *
 * When somebody meddles, the log goes on rather than stop recording: an entry is never given a number that the stream has
 * given out, so a head that was set back leaves a gap or a broken link in the chain for `audit verify` to find.
 */
import type { PartitionKeys } from '../keys.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { defineScript } from '../redis/script.ts'

/** A place in the chain: up to entry `n`, whose hash this is. */
export interface AuditPoint {
  readonly n: number
  /** 64 hex digits; before the first entry 64 zeros */
  readonly hash: string
}

/** An entry that is to be appended. */
export interface AuditLine extends AuditPoint {
  readonly text: string
}

export interface AuditState {
  /** The last entry, by the record of the head. */
  readonly head: AuditPoint
  /** The last entry, as the stream counts: differs from `head.n` only after somebody meddled. */
  readonly last: number
  /** Up to here entries were removed by retention; n = 0: none were. */
  readonly floor: AuditPoint
  /** The last checkpoint; n = 0: there is none, and `at` is when the first entry came (0 = none came). */
  readonly checkpoint: { readonly n: number; readonly at: number }
}

/** Where the next entry follows on. */
export function followOn({ head, last }: AuditState): AuditPoint {
  return { n: Math.max(head.n, last), hash: head.hash }
}

/** `state()` of KEYS[1], the entries, and KEYS[2], the head: seven values. `count_of(stream)`: its highest number. */
const STATE = `
local function count_of(stream)
  if redis.call('EXISTS', stream) == 0 then return 0 end
  local info = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return tonumber(string.match(info[i + 1], '^%d+')) end
  end
end
local function state()
  local zero = string.rep('0', 64)
  local h = redis.call('HMGET', KEYS[2], 'n', 'hash', 'floor_n', 'floor_hash', 'checkpoint_n', 'checkpoint_at')
  return tonumber(h[1] or 0) or 0, h[2] or zero, count_of(KEYS[1]),
    tonumber(h[3] or 0) or 0, h[4] or zero, tonumber(h[5] or 0) or 0, tonumber(h[6] or 0) or 0
end
`

/*
 * KEYS  1 entries, 2 head
 * Reply {n, hash, last, floor n, floor hash, checkpoint n, checkpoint ms}
 */
const READ_STATE = defineScript('read-audit-state', `${STATE}\nreturn {state()}`)

function stateOf(reply: readonly RedisReply[]): AuditState {
  const [n, hash, last, floorN, floorHash, checkpointN, at] = reply
  return {
    head: { n: Number(n), hash: String(hash) },
    last: Number(last),
    floor: { n: Number(floorN), hash: String(floorHash) },
    checkpoint: { n: Number(checkpointN), at: Number(at) },
  }
}

export async function readAuditState(link: RedisLink, keys: PartitionKeys): Promise<AuditState> {
  return stateOf((await link.run(READ_STATE, [keys.audit, keys.auditHead], [])) as RedisReply[])
}

/*
 * KEYS  1 entries, 2 head
 * ARGV  1 n of the entry that they follow on, 2 its hash, 3 hash of the last of them, 4 now ms, 5… their lines
 * Reply {1 appended | 0 they do not follow on the head, and then as read-audit-state}
 */
const APPEND = defineScript(
  'append-audit',
  `${STATE}
local n, hash, last = state()
if last > n then n = last end
if n ~= tonumber(ARGV[1]) or hash ~= ARGV[2] then return {0, state()} end
for i = 5, #ARGV do
  n = n + 1
  redis.call('XADD', KEYS[1], string.format('%d-0', n), 'e', ARGV[i])
end
redis.call('HSET', KEYS[2], 'n', string.format('%d', n), 'hash', ARGV[3])
redis.call('HSETNX', KEYS[2], 'checkpoint_at', ARGV[4])
return {1, state()}
`,
)

export interface AppendOutcome {
  /** `behind`: somebody else was faster, or nobody knew the head yet; nothing was written. */
  readonly kind: 'appended' | 'behind'
  /** As it is now. */
  readonly state: AuditState
}

/**
 * Appends lines, all or none. Throws a Fault as every script: REDIS_UNAVAILABLE (nobody knows), REDIS_OUT_OF_MEMORY
 * (nothing was written).
 * @param after the entry that the first one follows on
 * @param lines at least one
 */
export async function appendAudit(
  link: RedisLink,
  keys: PartitionKeys,
  after: AuditPoint,
  lines: readonly AuditLine[],
  nowMs: number,
): Promise<AppendOutcome> {
  const hash = lines.at(-1)?.hash ?? after.hash
  const [appended, ...state] = (await link.run(
    APPEND,
    [keys.audit, keys.auditHead],
    [after.n, after.hash, hash, nowMs, ...lines.map(({ text }) => text)],
  )) as RedisReply[]
  return { kind: appended === 1 ? 'appended' : 'behind', state: stateOf(state) }
}

/** The line of entry `n`; undefined when it is not there. */
export async function auditLineAt(
  link: RedisLink,
  keys: PartitionKeys,
  n: number,
): Promise<string | undefined> {
  const id = `${n}-0`
  const [entry] = linesOf(await link.call('XRANGE', keys.audit, id, id))
  return entry?.text
}

/** Entries read at once. */
const PAGE = 500

/**
 * The lines from entry `after + 1` to `upTo`, page by page. What stands among them and is no line is ''.
 * Entries that are appended or removed by retention meanwhile may be missing at the end or the beginning.
 */
export async function* auditLines(
  link: RedisLink,
  keys: PartitionKeys,
  after: number,
  upTo: number,
): AsyncGenerator<string, void, undefined> {
  yield* pages(link, keys.audit, `(${after}-18446744073709551615`, String(upTo))
}

/** All checkpoints that are kept, oldest first. */
export async function auditCheckpoints(link: RedisLink, keys: PartitionKeys): Promise<string[]> {
  const lines: string[] = []
  for await (const line of pages(link, keys.auditCheckpoints, '-', '+')) lines.push(line)
  return lines
}

async function* pages(
  link: RedisLink,
  key: string,
  from: string,
  to: string,
): AsyncGenerator<string, void, undefined> {
  for (let start = from; ; ) {
    const page = linesOf(await link.call('XRANGE', key, start, to, 'COUNT', PAGE))
    for (const { text } of page) yield text
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE) return
    start = `(${last.id}`
  }
}

function linesOf(reply: RedisReply): { id: string; text: string }[] {
  return ((reply ?? []) as RedisReply[][]).map(([id, fields]) => ({
    id: String(id),
    text: String((fields as RedisReply[] | undefined)?.[1] ?? ''),
  }))
}

/*
 * KEYS  1 checkpoints, 2 head
 * ARGV  1 n of the last checkpoint, as it is known, 2 n, 3 ms, 4 line
 * Reply {1 put | 0 there is another one since, n of the last one, its ms}
 */
const PUT_CHECKPOINT = defineScript(
  'put-audit-checkpoint',
  `${STATE}
local kept = redis.call('HMGET', KEYS[2], 'checkpoint_n', 'checkpoint_at')
local last = math.max(tonumber(kept[1] or 0) or 0, count_of(KEYS[1]))
if last ~= tonumber(ARGV[1]) or tonumber(ARGV[2]) <= last then return {0, last, tonumber(kept[2] or 0) or 0} end
redis.call('XADD', KEYS[1], ARGV[2] .. '-0', 'c', ARGV[4])
redis.call('HSET', KEYS[2], 'checkpoint_n', ARGV[2], 'checkpoint_at', ARGV[3])
return {1, tonumber(ARGV[2]), tonumber(ARGV[3])}
`,
)

export interface PutOutcome {
  /** `overtaken`: somebody else has put one meanwhile. */
  readonly kind: 'put' | 'overtaken'
  /** The last one now. */
  readonly checkpoint: AuditState['checkpoint']
}

/** @param known n of the last checkpoint, as the caller knows it */
export async function putAuditCheckpoint(
  link: RedisLink,
  keys: PartitionKeys,
  known: number,
  checkpoint: { readonly n: number; readonly at: number; readonly text: string },
): Promise<PutOutcome> {
  const { n, at, text } = checkpoint
  const reply = (await link.run(
    PUT_CHECKPOINT,
    [keys.auditCheckpoints, keys.auditHead],
    [known, n, at, text],
  )) as number[]
  const [put, lastN, lastAt] = reply
  return { kind: put === 1 ? 'put' : 'overtaken', checkpoint: { n: Number(lastN), at: Number(lastAt) } }
}

/*
 * KEYS  1 entries, 2 head, 3 checkpoints
 * ARGV  1 n, 2 hash
 * Reply number of entries removed
 */
const TRIM = defineScript(
  'trim-audit',
  `
if tonumber(ARGV[1]) <= (tonumber(redis.call('HGET', KEYS[2], 'floor_n') or 0) or 0) then return 0 end
-- XTRIM first: it works when Redis is out of memory, and HSET after it in the same script then does too.
local removed = redis.call('XTRIM', KEYS[1], 'MINID', string.format('%d-0', ARGV[1] + 1))
redis.call('XTRIM', KEYS[3], 'MINID', ARGV[1] .. '-0')
redis.call('HSET', KEYS[2], 'floor_n', ARGV[1], 'floor_hash', ARGV[2])
return removed
`,
)

export type TrimAuditOutcome =
  | { readonly kind: 'trimmed'; readonly removed: number; readonly floor: AuditPoint }
  /** Nothing was older. */
  | { readonly kind: 'kept' }
  /** Entry n is not the one that its checkpoint knows: evidence, which stays where it is. */
  | { readonly kind: 'refused'; readonly n: number }

/**
 * Removes entries up to the newest checkpoint that is older than `beforeMs`. The checkpoint itself stays, as the proof of
 * the anchor from which the rest is verified. Step by step, a checkpoint each.
 */
export async function trimAudit(
  link: RedisLink,
  keys: PartitionKeys,
  beforeMs: number,
): Promise<TrimAuditOutcome> {
  let { floor } = await readAuditState(link, keys)
  let removed = 0
  for await (const line of pages(link, keys.auditCheckpoints, '-', '+')) {
    const checkpoint = pointOf(line)
    if (checkpoint === undefined || checkpoint.n <= floor.n) continue
    if (checkpoint.at > beforeMs) break
    const { n, hash } = checkpoint
    const entry = pointOf((await auditLineAt(link, keys, n)) ?? '')
    if (entry?.hash !== hash) return { kind: 'refused', n }
    removed += Number(await link.run(TRIM, [keys.audit, keys.auditHead, keys.auditCheckpoints], [n, hash]))
    floor = { n, hash }
  }
  return removed === 0 ? { kind: 'kept' } : { kind: 'trimmed', removed, floor }
}

/** What entries and checkpoints have in common. */
function pointOf(line: string): (AuditPoint & { readonly at: number }) | undefined {
  try {
    const { n, hash, at } = JSON.parse(line) as Record<string, unknown>
    if (typeof n !== 'number' || typeof hash !== 'string' || typeof at !== 'number') return undefined
    return { n, hash, at }
  } catch {
    return undefined // not one of ours, and so nothing to cut at
  }
}
