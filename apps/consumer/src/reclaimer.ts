/**
 * Takes over entries of consumers that died, quarantines poison, removes consumers that are gone.
 *
 * An entry delivered twice without an outcome is a suspect: perhaps it kills its worker. Suspects are taken over one at
 * a time, each as soon as the one before has its outcome, so that a crash accuses one entry and not all that were held
 * with it, and not before this process has lived for `reclaim_idle` (upkeep.ts); at `quarantine_after` deliveries the entry goes to the
 * dead letters unrun.
 *
 * After a jump of Redis' clock every entry looks abandoned, also those that living consumers work on. So idle times are
 * asked for first and judged then: a jump that came before the answer is seen, one that comes after it does no harm.
 */
import type { PartitionKeys } from '@weir/core/keys'
import type { RedisLink } from '@weir/core/redis/link'
import {
  claimPending,
  type DeliveredEntry,
  listPending,
  type PendingEntry,
  removeConsumers,
} from '@weir/core/stream/reclaim'
import type { Logger } from 'pino'
import type { Held } from './held.ts'

export interface ReclaimerOptions {
  readonly link: RedisLink
  readonly keys: PartitionKeys
  readonly consumer: string
  readonly held: Held
  readonly log: Logger
  /** ms */
  readonly reclaimIdleMs: number
  readonly quarantineAfter: number
  readonly deadConsumerAfterMs: number
  /** Are the idle times that Redis has told until now to be believed? */
  readonly idleIsTrue: () => Promise<boolean>
  /** `deliveries`: how often they were handed out, this time included. */
  readonly onReclaimed: (entries: readonly DeliveredEntry[], deliveries: number) => void
  readonly onPoison: (entry: DeliveredEntry, deliveries: number) => void
}

const PAGE = 100

/**
 * Deliveries without an outcome that make an entry a suspect. The first takeover comes in bulk, because a consumer that
 * died says little against each of its thousand entries; with a `quarantine_after` of 2 there is no second chance.
 */
export function suspectFrom(quarantineAfter: number): number {
  return Math.min(2, quarantineAfter - 1)
}

/** Pages of entries that nobody has cared for, oldest first, without those held here. */
async function* abandoned(options: ReclaimerOptions): AsyncGenerator<PendingEntry[]> {
  const { link, keys, held, reclaimIdleMs } = options
  let after: string | undefined
  for (;;) {
    const page = await listPending(link, keys, {
      idleMs: reclaimIdleMs,
      count: PAGE,
      ...(after === undefined ? {} : { after }),
    })
    const strange = page.filter(({ streamId }) => !held.has(streamId))
    if (strange.length > 0 && !(await options.idleIsTrue())) return
    yield strange
    if (page.length < PAGE) return
    after = page.at(-1)?.streamId
  }
}

/**
 * Makes these entries ours, as there is room, and passes them on before the room is given back. It waits for room in
 * line with the reader and the retries: looking now and then would find none for as long as a backlog lasts.
 */
async function takeOver(
  options: ReclaimerOptions,
  entries: readonly PendingEntry[],
  signal: AbortSignal,
  pass: (claimed: readonly DeliveredEntry[]) => void,
): Promise<number> {
  const { link, keys, consumer, held, reclaimIdleMs } = options
  let taken = 0
  for (let left = entries; left.length > 0; ) {
    await held.whenRoom(signal)
    if (signal.aborted) break
    const reservation = held.reserve(left.length)
    try {
      const ids = left.slice(0, reservation.count).map(({ streamId }) => streamId)
      left = left.slice(ids.length)
      const claimed = await claimPending(link, keys, consumer, reclaimIdleMs, ids)
      if (claimed.length > 0) pass(claimed)
      taken += claimed.length
    } finally {
      reservation.release()
    }
  }
  return taken
}

/** One round over all but the suspects; returns how many entries were taken over. */
export async function reclaimOnce(options: ReclaimerOptions, signal: AbortSignal): Promise<number> {
  const { link, keys, log, quarantineAfter } = options
  if (!(await options.idleIsTrue())) return 0
  const removed = await removeConsumers(link, keys, { idleMs: options.deadConsumerAfterMs })
  if (removed.length > 0) log.info({ consumers: removed }, 'removed consumers that are gone')
  const suspicious = suspectFrom(quarantineAfter)
  let taken = 0
  for await (const entries of abandoned(options)) {
    const fresh = entries.filter(({ deliveries }) => deliveries < suspicious)
    taken += await takeOver(options, fresh, signal, (claimed) => {
      const from = fresh[0]?.consumer
      log.warn({ entries: claimed.length, from }, 'took over entries of a silent consumer')
      options.onReclaimed(claimed, suspicious)
    })
    for (const entry of entries) {
      if (entry.deliveries < quarantineAfter) continue
      taken += await takeOver(options, [entry], signal, (claimed) => {
        for (const poison of claimed) options.onPoison(poison, entry.deliveries)
      })
    }
    if (signal.aborted) break
  }
  return taken
}

/** Takes suspects over, one after the other, until there are none; returns how many. */
export async function reclaimSuspects(options: ReclaimerOptions, signal: AbortSignal): Promise<number> {
  const { held, log, quarantineAfter } = options
  const suspicious = suspectFrom(quarantineAfter)
  let taken = 0
  for await (const entries of abandoned(options)) {
    for (const entry of entries) {
      if (entry.deliveries < suspicious || entry.deliveries >= quarantineAfter) continue
      await held.whenNoSuspect(signal)
      if (signal.aborted) return taken
      taken += await takeOver(options, [entry], signal, (claimed) => {
        const { streamId, deliveries } = entry
        log.warn({ stream_id: streamId, deliveries }, 'took over a suspect entry')
        options.onReclaimed(claimed, deliveries + 1)
      })
    }
  }
  return taken
}
