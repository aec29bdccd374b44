/**
 * What was made hot before it was asked for, and has not been asked for yet. `…:contexts:foresights` is a hash, one for all shards, of
 *
 *   <context> → <state>:<at>:<until>:<score>:<bytes>
 *
 *   claimed ──▶ warmed ──▶ read in time: a hit │ not: a miss         (both once: who removes the field counts it)
 *      └──▶ given back, or nobody came back within its time: free again, and nothing is counted
 *
 * Every step but the claim compares with the whole value that was read, so several curators count nothing twice. The field holds the
 * content that it takes of the memory limit, so that the limit is one for all of them.
 */
import { defineScript } from '@weir/core/redis/script'
import type { ContextId } from '../context-id.ts'
import type { ContextPlace } from '../context-place.ts'

export interface Foresight {
  readonly id: ContextId
  readonly state: 'claimed' | 'warmed'
  /** When it was predicted, Redis ms. */
  readonly at: number
  /** When its claim, or its time to come true, is over, Redis ms. */
  readonly until: number
  /** Its score among the hot once it was there, as Redis tells it; '' while it is claimed. */
  readonly score: string
  /** Bytes of its content that were promoted. */
  readonly bytes: number
}

/** Outstanding at most, whatever their size. */
const MAX_OUTSTANDING = 1_000

const encoded = ({ state, at, until, score, bytes }: Foresight): string =>
  [state, at, until, score, bytes].join(':')

/** Those that are outstanding. Throws Fault REDIS_UNAVAILABLE. */
export async function outstanding({ link, keys }: ContextPlace): Promise<readonly Foresight[]> {
  const flat = (await link.call('HGETALL', keys.foresights)) as Buffer[]
  return Array.from({ length: flat.length / 2 }, (_, n) => {
    const [id, value] = flat.slice(2 * n, 2 * n + 2).map(String) as [string, string]
    const [state, at, until, score, bytes] = value.split(':')
    return {
      id,
      state: state as Foresight['state'],
      at: Number(at),
      until: Number(until),
      score: score ?? '',
      bytes: Number(bytes),
    }
  })
}

/*
 * KEYS  1 foresights
 * ARGV  1 context, 2 value, 3 its bytes, 4 most bytes of all
 * Reply claimed | taken: another has it | full: there is no room for it
 */
const CLAIM = defineScript(
  'claim-foresight',
  `
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 'taken' end
local all = redis.call('HVALS', KEYS[1])
if #all >= ${MAX_OUTSTANDING} then return 'full' end
local bytes = tonumber(ARGV[3])
for _, value in ipairs(all) do bytes = bytes + string.match(value, '%d+$') end
if bytes > tonumber(ARGV[4]) then return 'full' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 'claimed'
`,
)

/** Throws Fault REDIS_OUT_OF_MEMORY (it was not claimed) or REDIS_UNAVAILABLE (it may have been, and comes free by itself). */
export async function claim(
  { link, keys }: ContextPlace,
  foresight: Foresight,
  limitBytes: number,
): Promise<'claimed' | 'taken' | 'full'> {
  const args = [foresight.id, encoded(foresight), foresight.bytes, limitBytes]
  return String(await link.run(CLAIM, [keys.foresights], args)) as 'claimed' | 'taken' | 'full'
}

/*
 * KEYS  1 foresights
 * ARGV  1 context, 2 value that it has, 3 new value, or '' for none
 * Reply 1, or 0: it has another value, or is gone
 */
const SWITCH = defineScript(
  'switch-foresight',
  `
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
return 1
`,
)

/** Ends one, or follows it by another. False: somebody else did. Throws as `claim`. */
export async function replace(
  { link, keys }: ContextPlace,
  foresight: Foresight,
  next: Foresight | undefined,
): Promise<boolean> {
  const args = [foresight.id, encoded(foresight), next === undefined ? '' : encoded(next)]
  return (await link.run(SWITCH, [keys.foresights], args)) === 1
}
