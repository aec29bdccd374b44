/** Compression dictionaries as operators see them: what is published, and a tenant's own made from its events. */
import {
  type Dictionary,
  giveLearned,
  type LearnedNote,
  ownerOf,
  readLearned,
  sealDictionary,
  takeLearned,
} from '../dictionaries.ts'
import type { Sealing } from '../keyring/keyring.ts'
import { createContentMaker, isUnreadable } from '../packing.ts'
import type { Partition } from '../partition.ts'
import { decodeRecord, type EventRecord } from '../record.ts'
import type { RedisReply } from '../redis/link.ts'
import { keysWithPrefix } from '../redis/scan.ts'
import { redisTime } from '../redis/time.ts'
import { entriesOf } from '../stream/reclaim.ts'
import { type Training, type TrainingOptions, trainDictionary } from '../training/train.ts'
import type { BodyOpener } from './body.ts'
import { type DictionaryDocument, timeText } from './documents.ts'

export interface TrainingRequest {
  readonly tenant: string
  readonly tool: string
  /** Events looked for, newest first. */
  readonly events: number
  /** zstd level that events are packed with. */
  readonly level: number
  /** Largest dictionary, bytes. */
  readonly maxBytes: number
  /** In [0, 1) */
  readonly random: () => number
  /** Stops looking for events; what was found until then is used. */
  readonly signal?: AbortSignal | undefined
  /** So many records of the streams are looked at, of so many at most. */
  readonly onLook?: (looked: number, of: number) => void
  readonly onStep?: TrainingOptions['onStep']
}

export interface Dictionaries {
  /** Starters first, by tool; then learned ones by tenant and tool; then those that are published and used by no new event. */
  list(): Promise<readonly DictionaryDocument[]>
  /** Makes a dictionary out of events that the streams still hold. Nothing is changed. */
  train(request: TrainingRequest): Promise<Training>
  /**
   * Publishes a trained dictionary in every partition, sealed where events are; gateways use it within
   * webhook.compression.refresh_interval. Throws as `Sealing.prepare`.
   */
  use(tenant: string, tool: string, training: Extract<Training, { kind: 'trained' }>): Promise<void>
  /** New events are packed with the starter again; false when there was no learned one. The bytes stay published. */
  drop(tenant: string, tool: string): Promise<boolean>
}

export interface DictionariesOptions {
  readonly partitions: readonly Partition[]
  readonly body: BodyOpener
  /** The bundled starters, by tool. */
  readonly starters: ReadonlyMap<string, Dictionary>
  /** Undefined = events are not encrypted, and what is learned of them is not. */
  readonly sealing?: Sealing | undefined
}

/** Entries read at once: some hundred KB. */
const PAGE = 200

export function createDictionaries(options: DictionariesOptions): Dictionaries {
  const { partitions, body, starters, sealing } = options
  const contentOf = createContentMaker()

  /** Ids of the published dictionaries, with the number of partitions that have each. */
  const published = async (): Promise<Map<string, number>> => {
    const found = new Map<string, number>()
    for (const { keys, link } of partitions) {
      const prefix = keys.dictionary('')
      for (const key of await keysWithPrefix(link, prefix)) {
        const id = key.slice(prefix.length)
        found.set(id, (found.get(id) ?? 0) + 1)
      }
    }
    return found
  }

  const learnedNotes = async (): Promise<Map<string, LearnedNote>> => {
    const notes = new Map<string, LearnedNote>()
    for (const { keys, link } of partitions) {
      for (const [owner, note] of await readLearned(link, keys)) notes.set(owner, note)
    }
    return notes
  }

  /** Contents of this owner's events that the streams hold, newest first. */
  async function* contents({ tenant, tool, signal, onLook }: TrainingRequest): AsyncGenerator<Buffer> {
    const lengths = await Promise.all(partitions.map(({ keys, link }) => link.call('XLEN', keys.stream)))
    const all = lengths.reduce<number>((sum, length) => sum + Number(length), 0)
    let looked = 0
    for (const partition of partitions) {
      const { keys, link } = partition
      let end = '+'
      for (;;) {
        if (signal?.aborted) return
        const page = entriesOf(
          (await link.call('XREVRANGE', keys.stream, end, '-', 'COUNT', PAGE)) as RedisReply[],
        )
        for (const { fields } of page) {
          const content = await contentIn(partition, fields ?? [], tenant, tool)
          if (content !== undefined) yield content
        }
        looked += page.length
        onLook?.(looked, Math.max(all, looked))
        const last = page.at(-1)
        if (last === undefined || page.length < PAGE) break
        end = `(${last.streamId}`
      }
    }
  }

  const contentIn = async (partition: Partition, fields: Buffer[], tenant: string, tool: string) => {
    let record: EventRecord
    try {
      record = decodeRecord(fields)
      if (record.tenant !== tenant || record.tool !== tool) return undefined
      const { headers, body: bytes } = await body.open(partition, record)
      return Buffer.from(contentOf(tool, headers, bytes).bytes)
    } catch (error) {
      // One that cannot be read has nothing to teach; consumers tell of it.
      if (isUnreadable(error)) return undefined
      throw error
    }
  }

  return {
    async list() {
      const there = await published()
      const notes = await learnedNotes()
      const documents: DictionaryDocument[] = []
      const add = (id: string, about: Omit<DictionaryDocument, 'id' | 'partitions'>) => {
        documents.push({ id, ...about, partitions: there.get(id) ?? 0 })
        there.delete(id)
      }
      for (const [tool, { id, bytes }] of [...starters].sort(([a], [b]) => (a < b ? -1 : 1))) {
        add(id, { kind: 'starter', tool, tenant: null, bytes: bytes.length, since: null, ...NO_RATIOS })
      }
      for (const [owner, note] of [...notes].sort(([a], [b]) => (a < b ? -1 : 1))) {
        const [tenant = '', tool = ''] = owner.split('/')
        const { id, bytes, at, ratioBefore, ratioAfter } = note
        const ratios = { ratio_before: ratioBefore, ratio_after: ratioAfter }
        add(id, { kind: 'learned', tool, tenant, bytes, since: timeText(at), ...ratios })
      }
      for (const id of [...there.keys()].sort()) {
        add(id, { kind: 'retired', tool: null, tenant: null, bytes: null, since: null, ...NO_RATIOS })
      }
      return documents
    },
    async train(request) {
      const found: Buffer[] = []
      for await (const content of contents(request)) {
        found.push(content)
        if (found.length === request.events) break
      }
      const { level, maxBytes, random, onStep } = request
      return trainDictionary(found, { level, maxBytes, random, onStep, before: starters.get(request.tool) })
    },
    async use(tenant, tool, { dictionary, learnedFrom, before, after }) {
      const [first] = partitions
      if (first === undefined) throw new TypeError('there is no partition')
      await sealing?.prepare(tenant)
      const given = sealing === undefined ? dictionary : sealDictionary(sealing, tenant, dictionary)
      await giveLearned(partitions, ownerOf(tenant, tool), given, {
        id: dictionary.id,
        at: await redisTime(first.link),
        bytes: dictionary.bytes.length,
        events: learnedFrom,
        ratioBefore: before.ratio,
        ratioAfter: after.ratio,
      })
    },
    drop: (tenant, tool) => takeLearned(partitions, ownerOf(tenant, tool)),
  }
}

const NO_RATIOS = { ratio_before: null, ratio_after: null }
