/**
 * Dead letters as operators ask for them: by tool, tenant, reason and time, page by page, and replayed or purged as a
 * whole query. There is no hidden cap: a bulk run goes to the last letter that was there when it began. Letters that
 * die again meanwhile stand behind that one, so a run always ends.
 */
import type { Clock } from '../clock.ts'
import { EVENT_ID_PATTERN } from '../event.ts'
import type { PartitionKeys } from '../keys.ts'
import type { Partition } from '../partition.ts'
import { type PartitionPlan, placesOf } from '../plan.ts'
import type { EventRecord } from '../record.ts'
import type { RedisLink, RedisReply } from '../redis/link.ts'
import { redisTime } from '../redis/time.ts'
import {
  type DeadLetter,
  findDeadLetter,
  getDeadLetter,
  listDeadLetters,
  purgeDeadLetter,
  type ReplayOutcome,
  replayDeadLetter,
} from '../stream/dead-letters.ts'
import type { EvidencePlace } from '../stream/evidence.ts'
import { type LongMemoryOptions, settledKeys, settledMember } from '../stream/long-memory.ts'
import { compareStreamIds, streamIdMillis } from '../stream/stream-id.ts'
import { type DeadLetterDocument, type DeadLetterPage, timeText } from './documents.ts'
import { isOvertaken } from './overtaken.ts'

/** All given conditions must hold. */
export interface LetterQuery {
  readonly tool?: string | undefined
  readonly tenant?: string | undefined
  readonly reason?: string | undefined
  /** Died at or after, ms since the epoch. */
  readonly since?: number | undefined
  /** Died at or before, ms since the epoch. */
  readonly until?: number | undefined
  /** Letters after this one only. */
  readonly after?: string | undefined
}

export interface BulkOptions {
  /** Letters a second; undefined = as fast as Redis takes them. */
  readonly rate?: number | undefined
  /** Stops after the letters in hand. */
  readonly signal?: AbortSignal | undefined
  /** Told once, before anything is done, where there is something to do: nothing that died after `bound` (ms) will be looked at. */
  readonly onBegin?: ((bound: number) => void) | undefined
  readonly onProgress?: ((progress: BulkProgress) => void) | undefined
}

export interface BulkProgress {
  /** Letters that the query chose so far. */
  readonly matched: number
  /** Of those: replayed, or purged. */
  readonly done: number
  /** A redelivery of the event had been accepted or settled meanwhile; the letter was closed. */
  readonly superseded: number
  /** Somebody else had taken the letter. */
  readonly absent: number
  /** Cannot be replayed, because no program of this version can read the record. */
  readonly unreadable: number
  /** The last letter dealt with: `after` of the query that goes on from here. */
  readonly last: string | null
  /** Nothing that died after this was looked at, ms since the epoch. */
  readonly bound: number
}

export interface BulkResult extends BulkProgress {
  /** True when the signal stopped it before the end. */
  readonly stopped: boolean
}

export interface DeadLetters {
  page(query: LetterQuery, count: number): Promise<DeadLetterPage>
  /** By letter id or event id. */
  find(id: string): Promise<FoundLetter | undefined>
  count(query: LetterQuery, signal?: AbortSignal): Promise<number>
  replay(query: LetterQuery, options?: BulkOptions): Promise<BulkResult>
  /** One letter, by letter id or event id. */
  replayOne(id: string): Promise<ReplayOutcome | 'unreadable'>
  purge(query: LetterQuery, options?: BulkOptions): Promise<BulkResult>
  /** False when it is not there. */
  purgeOne(id: string): Promise<boolean>
}

export interface FoundLetter {
  readonly partition: Partition
  readonly document: DeadLetterDocument
  readonly letter: DeadLetter
}

export interface DeadLettersOptions {
  readonly partitions: readonly Partition[]
  readonly plan: () => PartitionPlan
  readonly memory: (keys: PartitionKeys) => LongMemoryOptions
  readonly evidence: (keys: PartitionKeys, tool: string, locator: Buffer) => EvidencePlace
  readonly clock: Clock
}

/** Letters read at once. */
const READ_COUNT = 100
/** Letters that one page may look at; a rare match must not make one request read all. */
const PAGE_LOOKS = 10_000
/** Letters replayed or purged at once. */
const IN_FLIGHT = 16
/** With a rate, letters go in this many portions a second, so that a low rate does not come in bursts. */
const PORTIONS_PER_SECOND = 10

const LETTER_ID = /^(?:(\d{1,4}):)?(\d{1,15}-\d{1,20})$/
const LAST_SEQUENCE = '18446744073709551615'

/** Is this the id of a letter, as documents show it? */
export function isLetterId(text: string): boolean {
  return LETTER_ID.test(text)
}

interface Placed {
  readonly partition: Partition
  readonly letter: DeadLetter
  /** Its id as documents show it. */
  readonly name: string
}

export function createDeadLetters(options: DeadLettersOptions): DeadLetters {
  const { partitions, clock } = options
  const nameOf = ({ keys }: Partition, letterId: string) =>
    partitions.length === 1 ? letterId : `${keys.partition}:${letterId}`
  const placeOf = (name: string): { partition: Partition; letterId: string } | undefined => {
    const [, number = '0', letterId] = LETTER_ID.exec(name) ?? []
    const partition = partitions.find(({ keys }) => keys.partition === Number(number))
    return partition === undefined || letterId === undefined ? undefined : { partition, letterId }
  }

  /** Every letter of the query in order, whether it matches or not is told with it. */
  async function* scan(query: LetterQuery, bounds?: ReadonlyMap<Partition, string>) {
    const cursor = query.after === undefined ? undefined : placeOf(query.after)
    const since =
      query.since === undefined || query.since <= 0 ? undefined : `${query.since - 1}-${LAST_SEQUENCE}`
    for (const partition of partitions) {
      const { keys, link } = partition
      if (cursor !== undefined && keys.partition < cursor.partition.keys.partition) continue
      let after = since
      if (
        cursor?.partition === partition &&
        (after === undefined || compareStreamIds(cursor.letterId, after) > 0)
      ) {
        after = cursor.letterId
      }
      const bound = bounds?.get(partition)
      if (bounds !== undefined && bound === undefined) continue
      reading: for (;;) {
        const letters = await listDeadLetters(link, keys, { after, count: READ_COUNT })
        for (const letter of letters) {
          if (query.until !== undefined && streamIdMillis(letter.letterId) > query.until) break reading
          if (bound !== undefined && compareStreamIds(letter.letterId, bound) > 0) break reading
          yield {
            partition,
            letter,
            name: nameOf(partition, letter.letterId),
            matches: matches(letter, query),
          }
        }
        if (letters.length < READ_COUNT) break
        after = letters.at(-1)?.letterId
      }
    }
  }

  async function* matching(
    query: LetterQuery,
    bounds: ReadonlyMap<Partition, string>,
  ): AsyncGenerator<Placed> {
    for await (const placed of scan(query, bounds)) if (placed.matches) yield placed
  }

  /** The last letter of each partition that has any. */
  const lastLetters = async (): Promise<Map<Partition, string>> => {
    const last = new Map<Partition, string>()
    for (const partition of partitions) {
      const { keys, link } = partition
      const [entry] = (await link.call('XREVRANGE', keys.deadLetters, '+', '-', 'COUNT', 1)) as [
        RedisReply[]?,
      ]
      if (entry !== undefined) last.set(partition, String(entry[0]))
    }
    return last
  }

  const replayPlaced = async ({
    partition: { keys, link },
    letter,
  }: Placed): Promise<ReplayOutcome | 'unreadable'> => {
    const { record, letterId } = letter
    if (record === undefined) return 'unreadable'
    const redisMs = await redisTime(link)
    const memory = options.memory(keys)
    const settled = {
      keys: settledKeys(memory, redisMs, record.locator),
      member: settledMember(record.locator),
    }
    const place = options.evidence(keys, record.tool, record.locator)
    const overtaken = await overtakenElsewhere(keys.partition, record)
    return replayDeadLetter(link, keys, { letterId, record, overtaken }, place, settled, redisMs)
  }
  /** The plan of partitions was changed since it died: a redelivery may have gone to another partition. */
  const overtakenElsewhere = async (home: number, record: EventRecord): Promise<boolean> => {
    const places = placesOf(options.plan(), record.locator)
    for (const each of [places.partition, ...places.settled]) {
      const other = options.partitions[each]
      if (each === home || other === undefined) continue
      const place = options.evidence(other.keys, record.tool, record.locator)
      const memory = options.memory(other.keys)
      if (await isOvertaken(other, record, place, memory, await redisTime(other.link))) return true
    }
    return false
  }
  const purgePlaced = ({ partition: { keys, link }, letter }: Placed): Promise<boolean> =>
    purgeDeadLetter(link, keys, { letterId: letter.letterId, eventId: fieldOf(letter, 'id') ?? '' })

  const placed = async (id: string): Promise<Placed | undefined> => {
    if (EVENT_ID_PATTERN.test(id)) {
      for (const partition of partitions) {
        const letter = await findDeadLetter(partition.link, partition.keys, id)
        if (letter !== undefined) return { partition, letter, name: nameOf(partition, letter.letterId) }
      }
      return undefined
    }
    const place = placeOf(id)
    if (place === undefined) return undefined
    const { partition, letterId } = place
    const letter = await getDeadLetter(partition.link, partition.keys, letterId)
    return letter && { partition, letter, name: id }
  }

  type Outcome = 'done' | 'superseded' | 'absent' | 'unreadable'

  const bulk = async (
    query: LetterQuery,
    { rate, signal, onBegin, onProgress }: BulkOptions,
    deal: (placed: Placed) => Promise<Outcome>,
  ): Promise<BulkResult> => {
    const bounds = await lastLetters()
    const bound = Math.max(0, ...[...bounds.values()].map(streamIdMillis))
    if (bounds.size > 0) onBegin?.(bound)
    const counts = { done: 0, superseded: 0, absent: 0, unreadable: 0 }
    let matched = 0
    let last: string | null = null
    const progress = (): BulkProgress => ({ matched, ...counts, last, bound })
    const most =
      rate === undefined
        ? IN_FLIGHT
        : Math.min(IN_FLIGHT, Math.max(1, Math.floor(rate / PORTIONS_PER_SECOND)))
    const began = clock.monotonic()
    const dealWith = async (portion: readonly Placed[]) => {
      if (rate !== undefined) {
        await clock.wait(Math.max(0, began + (matched / rate) * 1000 - clock.monotonic()), signal)
      }
      if (signal?.aborted) return
      const outcomes = await Promise.all(portion.map(deal))
      for (const outcome of outcomes) counts[outcome] += 1
      matched += portion.length
      last = portion.at(-1)?.name ?? last
      onProgress?.(progress())
    }

    let portion: Placed[] = []
    for await (const one of matching(query, bounds)) {
      portion.push(one)
      if (portion.length < most) continue
      await dealWith(portion)
      portion = []
      if (signal?.aborted) break
    }
    if (portion.length > 0 && !signal?.aborted) await dealWith(portion)
    return { ...progress(), stopped: signal?.aborted ?? false }
  }

  return {
    async page(query, count) {
      const documents: DeadLetterDocument[] = []
      let looks = 0
      let last: string | null = null
      for await (const one of scan(query)) {
        if (looks === PAGE_LOOKS || (one.matches && documents.length === count))
          return { dead_letters: documents, next: last }
        looks += 1
        last = one.name
        if (one.matches) documents.push(letterDocument(one))
      }
      return { dead_letters: documents, next: null }
    },
    async find(id) {
      const found = await placed(id)
      return found && { ...found, document: letterDocument(found) }
    },
    async count(query, signal) {
      let count = 0
      for await (const _ of matching(query, await lastLetters())) {
        if (signal?.aborted) break
        count += 1
      }
      return count
    },
    replay: (query, bulkOptions = {}) =>
      bulk(query, bulkOptions, async (one) => {
        const outcome = await replayPlaced(one)
        return outcome === 'replayed' ? 'done' : outcome
      }),
    async replayOne(id) {
      const found = await placed(id)
      return found === undefined ? 'absent' : replayPlaced(found)
    },
    purge: (query, bulkOptions = {}) =>
      bulk(query, bulkOptions, async (one) => ((await purgePlaced(one)) ? 'done' : 'absent')),
    async purgeOne(id) {
      const found = await placed(id)
      return found === undefined ? false : purgePlaced(found)
    },
  }
}

/** Since the oldest dead letter died, ms; 0 when there is none. */
export async function oldestDeadLetterAge(
  link: RedisLink,
  keys: Pick<PartitionKeys, 'deadLetters'>,
): Promise<number> {
  const [first] = (await link.call('XRANGE', keys.deadLetters, '-', '+', 'COUNT', 1)) as [RedisReply[]?]
  return first === undefined ? 0 : Math.max(0, (await redisTime(link)) - streamIdMillis(String(first[0])))
}

function letterDocument({ letter, name }: Placed): DeadLetterDocument {
  const { record } = letter
  const attempts = Number(fieldOf(letter, 'n') ?? Number.NaN)
  return {
    letter_id: name,
    event_id: record?.id ?? null,
    stream_id: letter.streamId,
    tool: fieldOf(letter, 'tool') ?? null,
    tenant: fieldOf(letter, 'tenant') ?? null,
    type: fieldOf(letter, 'type') ?? null,
    reason: letter.reason,
    error: letter.error,
    attempts: Number.isSafeInteger(attempts) ? attempts : null,
    received_at: record === undefined ? null : timeText(record.receivedAt),
    first_failed_at: timeText(letter.firstFailedAt),
    dead_at: timeText(letter.deadAt),
    readable: record !== undefined,
  }
}

function matches(letter: DeadLetter, query: LetterQuery): boolean {
  return (
    (query.tool === undefined || fieldOf(letter, 'tool') === query.tool) &&
    (query.tenant === undefined || fieldOf(letter, 'tenant') === query.tenant) &&
    (query.reason === undefined || letter.reason === query.reason)
  )
}

/** A field of the entry as text; also of one whose record cannot be read. */
function fieldOf(letter: DeadLetter, name: string): string | undefined {
  for (let i = 0; i + 1 < letter.fields.length; i += 2) {
    if (String(letter.fields[i]) === name) return String(letter.fields[i + 1])
  }
  return undefined
}
