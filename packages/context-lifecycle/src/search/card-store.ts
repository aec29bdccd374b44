/**
 * The cards of contexts in Redis: written by whoever makes them, and followed by whoever searches.
 *
 *   put ──▶ no such context → not written      of fewer events than the one there → not written      else ──▶ written, and
 *           its place in `cards` is the newest
 *   a follower asks for what changed after the last change that it has seen
 *   removed ──▶ out of `cards`: a follower notices that there are fewer than it knows, and compares
 *
 * Changes are numbered by Redis' clock in µs, and by one more than the last where that has not moved on: a follower that has
 * seen one of two changes in the same moment would never see the other.
 */
import type { Sealing } from '@weir/core/keyring/keyring'
import type { RedisReply } from '@weir/core/redis/link'
import { defineScript } from '@weir/core/redis/script'
import type { ContextId } from '../context-id.ts'
import type { ContextPlace } from '../context-place.ts'
import type { Card } from './card.ts'
import { encodeCard } from './card-bytes.ts'

/**
 * `gone`: the context was removed, or removed and made anew with fewer events than the card knows. `older`: the card there
 * knows more events; whoever made it saw more.
 */
export type PutOutcome = 'put' | 'gone' | 'older'

/** A card as it lies there. */
export interface StoredCard {
  readonly id: ContextId
  /** Redis µs */
  readonly changedAt: number
  /** undefined = removed just now */
  readonly bytes: Buffer | undefined
}

/** Cards read at once: at most 20 KB each (card.ts bounds its parts), mostly one or two. */
const PAGE = 200
const SCAN_COUNT = 1_000

/*
 * KEYS  1 head, 2 card, 3 cards, 4 cards changed
 * ARGV  1 context, 2 card
 * Reply 1 written | 0 no such context | 2 the card there is of more events
 *
 * Both the head and the card have the number of events at bytes 1 to 4. The first write is the one that Redis refuses
 * when it is out of memory.
 */
const PUT_CARD = defineScript(
  'put-card',
  `
local call = redis.call
local function events(bytes) return #bytes == 4 and struct.unpack('>I4', bytes) or 0 end
local known = events(string.sub(ARGV[2], 2, 5))
local head = call('GETRANGE', KEYS[1], 1, 4)
if #head < 4 or events(head) < known then return 0 end
if events(call('GETRANGE', KEYS[2], 1, 4)) > known then return 2 end
call('SET', KEYS[2], ARGV[2])
local t = call('TIME')
local now, last = t[1] * 1000000 + t[2], tonumber(call('GET', KEYS[4]) or 0)
local changed = string.format('%d', math.max(now, last + 1))
call('SET', KEYS[4], changed)
call('ZADD', KEYS[3], changed, ARGV[1])
return 1
`,
)

/*
 * KEYS  1 card, 2 cards
 * ARGV  1 context
 * Reply 1 removed | 0 there was none
 */
const REMOVE_CARD = defineScript(
  'remove-card',
  `
redis.call('UNLINK', KEYS[1])
return redis.call('ZREM', KEYS[2], ARGV[1])
`,
)

/**
 * Throws Fault REDIS_UNAVAILABLE (put it again), REDIS_OUT_OF_MEMORY, or KEY_MISSING where `sealing` is not ready for its tenant.
 * @param sealing undefined = nothing is encrypted
 */
export async function putCard(
  { link, keys }: ContextPlace,
  card: Card,
  sealing: Pick<Sealing, 'seal'> | undefined,
): Promise<PutOutcome> {
  const names = [keys.head(card.id), keys.card(card.id), keys.cards, keys.cardsChanged]
  const reply = await link.run(PUT_CARD, names, [card.id, encodeCard(card, sealing)])
  return reply === 1 ? 'put' : reply === 2 ? 'older' : 'gone'
}

/** False when there was none. Throws Fault REDIS_UNAVAILABLE. */
export async function removeCard({ link, keys }: ContextPlace, id: ContextId): Promise<boolean> {
  return (await link.run(REMOVE_CARD, [keys.card(id), keys.cards], [id])) === 1
}

/** Cards that changed after `since` (µs; 0 = all), oldest change first, page by page. Throws Fault REDIS_UNAVAILABLE. */
export async function* cardsSince(place: ContextPlace, since: number): AsyncGenerator<readonly StoredCard[]> {
  const { link, keys } = place
  for (let after = since; ; ) {
    const range = [`(${after}`, '+inf', 'WITHSCORES', 'LIMIT', 0, PAGE]
    const changes = pairsIn(await link.call('ZRANGEBYSCORE', keys.cards, ...range))
    if (changes.length > 0) yield await cardsOf(place, changes)
    after = changes.at(-1)?.[1] ?? after
    if (changes.length < PAGE) return
  }
}

/** These cards, as they are now. Throws Fault REDIS_UNAVAILABLE. */
export async function cardsOf(
  { link, keys }: ContextPlace,
  changes: readonly (readonly [id: ContextId, changedAt: number])[],
): Promise<readonly StoredCard[]> {
  const found: StoredCard[] = []
  for (let from = 0; from < changes.length; from += PAGE) {
    const page = changes.slice(from, from + PAGE)
    const cards = (await link.call('MGET', ...page.map(([id]) => keys.card(id)))) as RedisReply[]
    for (const [at, [id, changedAt]] of page.entries()) {
      const bytes = cards[at]
      found.push({ id, changedAt, bytes: Buffer.isBuffer(bytes) ? bytes : undefined })
    }
  }
  return found
}

/** Throws Fault REDIS_UNAVAILABLE. */
export async function countCards({ link, keys }: ContextPlace): Promise<number> {
  return (await link.call('ZCARD', keys.cards)) as number
}

/** Every card that is there from beginning to end, and when it changed; one that comes or goes meanwhile, perhaps. */
export async function cardsThere({ link, keys }: ContextPlace): Promise<Map<ContextId, number>> {
  const there = new Map<ContextId, number>()
  let cursor = '0'
  do {
    const reply = await link.call('ZSCAN', keys.cards, cursor, 'COUNT', SCAN_COUNT)
    const [next, page] = reply as [RedisReply, RedisReply]
    for (const [id, changedAt] of pairsIn(page)) there.set(id, changedAt)
    cursor = String(next)
  } while (cursor !== '0')
  return there
}

function pairsIn(flat: RedisReply): (readonly [ContextId, number])[] {
  return (flat as Buffer[]).flatMap((id, at, all) =>
    at % 2 === 0 ? [[String(id), Number(all[at + 1])] as const] : [],
  )
}
