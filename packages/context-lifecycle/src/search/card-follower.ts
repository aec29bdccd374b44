/**
 * Keeps up with the cards of one place.
 *
 *   round ──▶ what changed after the last change seen ──▶ told
 *         ──▶ fewer cards there than are known, or another connection → compared, and told what is gone
 *
 * Removing leaves no trace that would have to be kept for followers that may not exist: a follower knows every card that is
 * there or was, so if Redis has fewer, some were removed. (More, where one came between the two questions: the next round
 * tells it.) After a failover that lost changes Redis may have as many, and others, and a clock that is behind: so a new
 * connection is a reason to compare too, and to go on from the last change that is there.
 */
import type { ContextId } from '../context-id.ts'
import type { ContextPlace } from '../context-place.ts'
import { cardsOf, cardsSince, cardsThere, countCards, type StoredCard } from './card-store.ts'

export interface CardFollower {
  /**
   * One round; returns how many changes it told. Throws Fault REDIS_UNAVAILABLE: what was told was told, and the next round
   * goes on from there.
   */
  round(): Promise<number>
  /** Cards that it knows of. */
  readonly known: number
}

export interface CardFollowerOptions {
  readonly place: ContextPlace
  /** Told of new and changed cards, a page at a time. */
  changed(cards: readonly StoredCard[]): Promise<void>
  gone(id: ContextId): void
}

export function createCardFollower({ place, changed, gone }: CardFollowerOptions): CardFollower {
  const known = new Map<ContextId, number>()
  let since = 0
  let epoch: number | undefined

  async function told(cards: readonly StoredCard[]): Promise<void> {
    await changed(cards)
    for (const { id, changedAt } of cards) known.set(id, changedAt)
  }

  async function compare(): Promise<number> {
    const there = await cardsThere(place)
    let [changes, last] = [0, 0]
    for (const changedAt of there.values()) last = Math.max(last, changedAt)
    since = Math.min(since, last)
    for (const id of known.keys()) {
      if (there.has(id)) continue
      known.delete(id)
      gone(id)
      changes += 1
    }
    // Later ones than `since` are told by the next round. Others are those of before a failover.
    const others = [...there].filter(([id, changedAt]) => changedAt <= since && known.get(id) !== changedAt)
    if (others.length > 0) await told(await cardsOf(place, others))
    return changes + others.length
  }

  return {
    async round() {
      const connection = place.link.epoch
      let changes = 0
      for await (const cards of cardsSince(place, since)) {
        await told(cards)
        since = cards.at(-1)?.changedAt ?? since
        changes += cards.length
      }
      if (connection !== epoch || (await countCards(place)) < known.size) changes += await compare()
      epoch = connection
      return changes
    },
    get known() {
      return known.size
    },
  }
}
