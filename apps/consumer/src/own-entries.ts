/**
 * Entries in this consumer's own name that it does not hold, or will not finish: those whose delivery was lost on the
 * way are taken up, those left over at the end are handed back. Neither counts as a delivery, because neither says
 * anything against the entry: a poison event is one whose workers die.
 */
import type { PartitionKeys } from '@weir/core/keys'
import type { RedisLink, RedisReply } from '@weir/core/redis/link'
import { type DeliveredEntry, entriesOf, listPending, type PendingEntry } from '@weir/core/stream/reclaim'
import type { Logger } from 'pino'
import type { Held } from './held.ts'

export interface OwnEntriesOptions {
  readonly link: RedisLink
  readonly keys: PartitionKeys
  readonly consumer: string
  readonly held: Held
  readonly log: Logger
}

const PAGE = 200
/** Idle time that is set on entries handed back, so that the others' reclaimers take them up at once, ms. */
const HANDED_BACK_IDLE_MS = 86_400_000

/** Own pending entries, page by page. */
async function* ownPages({ link, keys, consumer }: OwnEntriesOptions): AsyncGenerator<PendingEntry[]> {
  let after: string | undefined
  for (;;) {
    const page = await listPending(link, keys, {
      consumer,
      count: PAGE,
      ...(after === undefined ? {} : { after }),
    })
    if (page.length > 0) yield page
    if (page.length < PAGE) return
    after = page.at(-1)?.streamId
  }
}

function byDeliveries(entries: readonly PendingEntry[]): Map<number, PendingEntry[]> {
  const groups = new Map<number, PendingEntry[]>()
  for (const entry of entries) {
    const group = groups.get(entry.deliveries)
    if (group === undefined) groups.set(entry.deliveries, [entry])
    else group.push(entry)
  }
  return groups
}

/** Takes up entries that were delivered in an answer that never arrived, as there is room for them. */
export async function takeUpLost(
  options: OwnEntriesOptions,
  signal: AbortSignal,
  onEntries: (entries: readonly DeliveredEntry[], deliveries: number) => void,
): Promise<void> {
  const { link, keys, consumer, held, log } = options
  for await (const page of ownPages(options)) {
    for (const [deliveries, group] of byDeliveries(page)) {
      let lost = group.filter(({ streamId }) => !held.has(streamId))
      while (lost.length > 0) {
        await held.whenRoom(signal)
        if (signal.aborted) return
        const reservation = held.reserve(lost.length)
        try {
          const ids = lost.slice(0, reservation.count).map(({ streamId }) => streamId)
          lost = lost.slice(ids.length)
          if (ids.length === 0) continue
          log.info({ entries: ids.length }, 'taking up entries whose delivery was lost')
          const { stream, group: name } = keys
          const reply = await link.call('XCLAIM', stream, name, consumer, 0, ...ids, 'RETRYCOUNT', deliveries)
          onEntries(entriesOf(reply as RedisReply[]), deliveries)
        } finally {
          reservation.release()
        }
      }
    }
  }
}

/** Hands back whatever is still in this consumer's name; its delivery to this consumer is taken back too. */
export async function handBack(options: OwnEntriesOptions): Promise<void> {
  const { link, keys, consumer, log } = options
  for await (const page of ownPages(options)) {
    for (const [deliveries, group] of byDeliveries(page)) {
      const ids = group.map(({ streamId }) => streamId)
      const count = Math.max(0, deliveries - 1)
      await link.call(
        'XCLAIM',
        keys.stream,
        keys.group,
        consumer,
        0,
        ...ids,
        'IDLE',
        HANDED_BACK_IDLE_MS,
        'RETRYCOUNT',
        count,
        'JUSTID',
      )
      log.info({ entries: ids.length }, 'handed unfinished entries back')
    }
  }
}
