/**
 * After every reconnect: is what Redis acknowledged still there? A loss takes the end of what a connection had
 * acknowledged, so each connection's events are checked from the newest backwards, until one is found; in the usual
 * case that is one question. What is missing and was not trimmed is a LOSS, and is offered again under the same id.
 *
 * A check that is broken off leaves the rest for the next one. The stream may then begin with events that were offered
 * again, or that came meanwhile, so that an older id looks trimmed: what was found lost stays so until it was offered.
 *
 * Offering again is safe also where it was not needed: the evidence in Redis knows the event's id.
 */
import { isFault } from '@weir/core/faults'
import type { PartitionKeys } from '@weir/core/keys'
import { decodeRecord, type FieldList } from '@weir/core/record'
import type { RedisLink, RedisReply } from '@weir/core/redis/link'
import type { Admission, AdmissionOutcome } from '@weir/core/stream/admit'
import { compareStreamIds } from '@weir/core/stream/stream-id'
import type { Logger } from 'pino'
import type { GatewayMetrics } from './metrics.ts'
import type { RingEntry } from './ring.ts'
import type { Witness } from './witness.ts'

/** Events offered again at once. */
const BATCH = 100

export interface ReofferOptions {
  readonly link: RedisLink
  readonly keys: PartitionKeys
  /** The usual admission, and the witness of the partition that answered. */
  admit(admission: Admission): Promise<{ readonly outcome: AdmissionOutcome; readonly witness: Witness }>
  readonly witness: Witness
  readonly metrics: GatewayMetrics
  readonly log: Logger
}

/** The admission of a record that was fixed earlier: no limits, and known if it is in Redis already. */
function repeatOf(fields: FieldList): Admission {
  const { id, tool, locator, derived } = decodeRecord(fields)
  return { id, tool, locator, derived, fields, repeat: true, limits: [] }
}

/**
 * Makes the check that follows a reconnect. It throws Fault REDIS_UNAVAILABLE when Redis goes away meanwhile; then
 * nothing is forgotten, and the check after the next reconnect covers it.
 */
export function createReoffer(options: ReofferOptions): (connection: number) => Promise<void> {
  const { link, keys, witness, metrics, log } = options
  /** The last loss that was told: after `from` all was gone, up to `to`. `open`: not all of it that is held was looked at. */
  let told = { from: '', to: '', open: false }
  const wasTold = ({ streamId }: RingEntry) =>
    told.open && compareStreamIds(streamId, told.from) > 0 && compareStreamIds(streamId, told.to) <= 0
  /** Lost, and perhaps not offered again yet, by their indices: the last check was broken off. */
  let owed: ReadonlySet<number> = new Set()

  async function offerAgain(held: RingEntry): Promise<void> {
    const fields = witness.fields(held)
    if (fields === undefined) return
    const { outcome, witness: answered } = await options.admit(repeatOf(fields))
    const streamId = outcome.kind === 'accepted' ? outcome.streamId : ''
    witness.forget(held)
    answered.saw(fields, streamId)
    metrics.count('webhook_reoffered_total', streamId === '' ? 'known' : 'accepted')
  }

  return (connection) =>
    witness.inspect(connection, async (held) => {
      const highest = witness.highest
      if (highest === '') return
      const ends = await streamEnds(link, keys.stream)
      const missing = new Set(await findLost(link, keys.stream, held, ends))
      const lost = held.filter((each) => missing.has(each) || owed.has(each.index))
      const more = lost.some((each) => each.streamId !== '' && !owed.has(each.index) && !wasTold(each))
      owed = new Set(lost.map(({ index }) => index))
      const behind = compareStreamIds(ends.lastId, highest) < 0
      if (more || (behind && told.to !== highest)) {
        told = { from: ends.lastId, to: highest, open: true }
        metrics.count('webhook_loss_detected_total')
        log.error(
          {
            event: 'loss',
            from: lost.find(({ streamId }) => streamId !== '')?.streamId ?? ends.lastId,
            to: highest,
            last_in_redis: ends.lastId,
            held: lost.length,
          },
          'LOSS: Redis came back without events that it had acknowledged; those still held are offered again',
        )
      }
      for (let from = 0; from < lost.length; from += BATCH) {
        await Promise.all(lost.slice(from, from + BATCH).map(offerAgain))
      }
      if (lost.length > 0) told = { ...told, open: false }
    })
}

interface StreamEnds {
  readonly firstId: string
  readonly lastId: string
  /** Entries that were in this stream and are not any more. */
  readonly removed: number
}

/** The held events that are not in the stream although they should be. */
async function findLost(
  link: RedisLink,
  stream: string,
  held: readonly RingEntry[],
  ends: StreamEnds,
): Promise<RingEntry[]> {
  const older = held.filter(({ streamId }) => streamId !== '' && compareStreamIds(streamId, ends.firstId) < 0)
  // More than were ever removed: it is not the stream that had them, but one that began after it was lost.
  const trimmed = older.length <= ends.removed
  const lost: RingEntry[] = []
  let end = held.length
  while (end > 0) {
    const connection = held[end - 1]?.connection
    let start = end
    while (start > 0 && held[start - 1]?.connection === connection) start--
    lost.push(...(await missingEnd(link, stream, held.slice(start, end), ends, trimmed)))
    end = start
  }
  return lost
}

/** The end of one connection's events that is missing, newest first. */
async function missingEnd(
  link: RedisLink,
  stream: string,
  held: readonly RingEntry[],
  ends: StreamEnds,
  trimmed: boolean,
): Promise<RingEntry[]> {
  const end: RingEntry[] = []
  let missing = false
  for (const event of held.toReversed()) {
    // Without a stream id it cannot be asked for; it is offered again when one near it is missing.
    if (event.streamId !== '') {
      if (await isThere(link, stream, event.streamId, ends, trimmed)) break
      missing = true
    }
    end.push(event)
  }
  return missing ? end : []
}

/** @param trimmed what is older than the stream's first entry was settled long ago, and trimmed */
async function isThere(
  link: RedisLink,
  stream: string,
  id: string,
  ends: StreamEnds,
  trimmed: boolean,
): Promise<boolean> {
  if (compareStreamIds(id, ends.lastId) > 0) return false
  if (compareStreamIds(id, ends.firstId) < 0) return trimmed
  const found = (await link.call('XRANGE', stream, id, id)) as RedisReply[]
  return found.length > 0
}

/** The first id that is in the stream (of an empty one: the one after the last) and the last one it ever made. */
async function streamEnds(link: RedisLink, stream: string): Promise<StreamEnds> {
  let info: RedisReply[]
  try {
    info = (await link.call('XINFO', 'STREAM', stream)) as RedisReply[]
  } catch (error) {
    if (isFault(error) || !(error instanceof Error) || !error.message.includes('no such key')) throw error
    return { firstId: '0-0', lastId: '0-0', removed: 0 }
  }
  let firstId: string | undefined
  let lastId = '0-0'
  let removed = 0
  for (let i = 0; i + 1 < info.length; i += 2) {
    const name = String(info[i])
    const value = info[i + 1]
    if (name === 'last-generated-id') lastId = String(value)
    else if (name === 'entries-added') removed += Number(value)
    else if (name === 'length') removed -= Number(value)
    else if (name === 'first-entry' && Array.isArray(value)) firstId = String(value[0])
  }
  return { firstId: firstId ?? after(lastId), lastId, removed }
}

function after(id: string): string {
  const [ms, seq] = id.split('-')
  return `${ms}-${Number(seq) + 1}`
}
