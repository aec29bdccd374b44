/**
 * Events as they come, read beside the consumer group (XREAD): looking takes nothing away and counts as nothing.
 *
 * The stream is followed by explicit ids, so that nothing is missed between two reads; while Redis is away it waits,
 * and goes on after the last event it showed.
 */
import { isFault, messageOf } from '../faults.ts'
import type { Partition } from '../partition.ts'
import { decodeRecord, type EventRecord } from '../record.ts'
import type { RedisReply } from '../redis/link.ts'
import { type DeliveredEntry, entriesOf } from '../stream/reclaim.ts'
import { compareStreamIds } from '../stream/stream-id.ts'
import type { BodyOpener } from './body.ts'
import { type TailDocument, timeText } from './documents.ts'

export interface TailOptions {
  /** Events that were there before, to begin with. */
  readonly last?: number
  /** Ends it, within `blockMs`. */
  readonly signal: AbortSignal
  /** How long one read waits for new events, ms; shorter than the link's command time-out. Default 500. */
  readonly blockMs?: number
  /** Told when Redis goes away and when it is back. */
  readonly onOutage?: (state: 'away' | 'back', error?: unknown) => void
}

const BLOCK_MS = 500
const READ_COUNT = 100

/** Each link is blocked for up to `blockMs` at a time: give it links that nobody else waits on. */
export async function* tailStream(
  partitions: readonly Partition[],
  body: BodyOpener,
  options: TailOptions,
): AsyncGenerator<TailDocument> {
  const { signal, last = 0, onOutage } = options
  const block = Math.max(1, Math.floor((options.blockMs ?? BLOCK_MS) / partitions.length))
  const positions = new Map<Partition, string>()
  const before: { readonly partition: Partition; readonly entry: DeliveredEntry }[] = []
  for (const partition of partitions) {
    const { keys, link } = partition
    const newest = entriesOf(
      (await link.call('XREVRANGE', keys.stream, '+', '-', 'COUNT', Math.max(1, last))) as RedisReply[],
    )
    positions.set(partition, newest[0]?.streamId ?? '0-0')
    before.push(...newest.map((entry) => ({ partition, entry })))
  }
  before.sort((a, b) => compareStreamIds(a.entry.streamId, b.entry.streamId))
  for (const { partition, entry } of last === 0 ? [] : before.slice(-last)) {
    yield await tailDocument(partition, entry, body)
  }

  let away = false
  while (!signal.aborted) {
    for (const [partition, position] of positions) {
      const { keys, link } = partition
      try {
        if (away) await link.ready(signal)
        const reply = (await link.call(
          'XREAD',
          'COUNT',
          READ_COUNT,
          'BLOCK',
          block,
          'STREAMS',
          keys.stream,
          position,
        )) as RedisReply[] | null
        if (away) onOutage?.('back')
        away = false
        for (const entry of entriesOf(
          ((reply?.[0] as RedisReply[] | undefined)?.[1] ?? []) as RedisReply[],
        )) {
          if (signal.aborted) return
          positions.set(partition, entry.streamId)
          yield await tailDocument(partition, entry, body)
        }
      } catch (error) {
        if (signal.aborted) return
        if (!isFault(error, 'REDIS_UNAVAILABLE')) throw error
        if (!away) onOutage?.('away', error)
        away = true
      }
    }
  }
}

async function tailDocument(
  partition: Partition,
  entry: DeliveredEntry,
  body: BodyOpener,
): Promise<TailDocument> {
  let record: EventRecord
  try {
    record = decodeRecord(entry.fields ?? [])
  } catch (error) {
    if (!isFault(error, 'RECORD_CORRUPT')) throw error
    const nothing = { event_id: null, tool: null, tenant: null, type: null, event: null, subject: null }
    return { stream_id: entry.streamId, ...nothing, received_at: null, size: null, problem: messageOf(error) }
  }
  const { event, subject, size, problem } = await body.look(partition, record)
  return {
    stream_id: entry.streamId,
    event_id: record.id,
    tool: record.tool,
    tenant: record.tenant,
    type: record.type,
    event,
    subject,
    received_at: timeText(record.receivedAt),
    size,
    problem,
  }
}
