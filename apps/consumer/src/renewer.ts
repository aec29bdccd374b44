/**
 * Tells Redis that entries which wait or run here for long are still ours, and drops those that are not any more: the
 * consumer was stopped (SIGSTOP, a long pause) for longer than the reclaim time and others took over.
 */
import type { PartitionKeys } from '@weir/core/keys'
import type { RedisLink } from '@weir/core/redis/link'
import { renewLeases, renewPending } from '@weir/core/stream/parked'
import type { Held, HeldItem } from './held.ts'
import { OwnershipLost } from './run.ts'

export interface RenewerOptions {
  readonly link: RedisLink
  readonly keys: PartitionKeys
  readonly consumer: string
  readonly leaseToken: string
  readonly leaseMs: number
  readonly held: Held
  readonly monotonic: () => number
}

const CHUNK = 100

/** Renews these items; returns those that are ours. */
export async function renew(options: RenewerOptions, items: readonly HeldItem[]): Promise<Set<HeldItem>> {
  const { link, keys } = options
  const ours = new Set<HeldItem>()
  const renewKind = async (
    kind: HeldItem['holding']['kind'],
    ask: (streamIds: readonly string[]) => Promise<Set<string>>,
  ) => {
    const those = items.filter(({ holding }) => holding.kind === kind)
    for (let i = 0; i < those.length; i += CHUNK) {
      const chunk = those.slice(i, i + CHUNK)
      const asked = options.monotonic()
      const kept = await ask(chunk.map(({ streamId }) => streamId))
      for (const item of chunk) {
        if (!kept.has(item.streamId)) continue
        item.confirmedAt = asked
        ours.add(item)
      }
    }
  }
  // Leases last: out of memory they cannot be renewed (nor claimed by others), pending entries can.
  await renewKind('pending', (ids) => renewPending(link, keys, options.consumer, ids))
  await renewKind('lease', (ids) => renewLeases(link, keys, options.leaseToken, options.leaseMs, ids))
  return ours
}

/**
 * One round over everything held that was not confirmed for `olderThanMs`. Outcomes that wait to be settled (Redis out
 * of memory) are renewed as well, or others would run them again and again. Returns how many were lost.
 */
export async function renewHeld(options: RenewerOptions, olderThanMs: number): Promise<number> {
  const now = options.monotonic()
  const due = [...options.held.all()].filter((item) => now - item.confirmedAt >= olderThanMs)
  const ours = await renew(options, due)
  let lost = 0
  for (const item of due) {
    // Settling something that is not ours does nothing, or what is right: see core/stream/settle.ts.
    if (ours.has(item) || item.state === 'settling' || item.state === 'gone') continue
    lost++
    item.abort?.(new OwnershipLost('another consumer has taken this event over'))
    if (item.state === 'queued') options.held.remove(item)
  }
  return lost
}
