/**
 * Compression dictionaries. A dictionary's id is the first 16 hex digits of its SHA-256; the bundled starters
 * (packages/core/dictionaries/<tool>.dict) hold structure only and may be shared by all tenants.
 *
 * A dictionary is published to Redis and read back before its first use, so that every consumer can open what
 * any gateway packed, whatever version either runs. A record whose dictionary is nowhere is a loud fault
 * (DICTIONARY_MISSING) that loses nothing: the event waits until the dictionary is back.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { Fault } from './faults.ts'
import type { PartitionKeys } from './keys.ts'
import type { RedisLink, RedisReply } from './redis/link.ts'

export interface Dictionary {
  /** First 16 hex digits of the content's SHA-256. */
  readonly id: string
  readonly bytes: Buffer
}

export interface DictionarySet {
  /** The dictionary that new events are packed with: the one learned for this tenant and tool, else the tool's starter. */
  forEvent(tenant: string, tool: string): Dictionary | undefined
  /** A dictionary already known in this process. */
  known(id: string): Dictionary | undefined
  /** Makes a dictionary known, to open with. */
  add(dictionary: Dictionary): void
  /** Makes a dictionary known, and one of those that this process publishes. */
  addOwn(dictionary: Dictionary): void
  /** Those that this process publishes: structure only, nobody's values. */
  own(): Iterable<Dictionary>
  /** From now on packs the events of these owners (see {@link ownerOf}) with these, and those of others with starters. */
  learn(learned: ReadonlyMap<string, Dictionary>): void
}

/** Whose a learned dictionary is. Neither name has a slash. */
export function ownerOf(tenant: string, tool: string): string {
  return `${tenant}/${tool}`
}

export function dictionaryOf(bytes: Buffer): Dictionary {
  return { id: createHash('sha256').update(bytes).digest('hex').slice(0, 16), bytes }
}

export function createDictionarySet(starters: ReadonlyMap<string, Dictionary>): DictionarySet {
  const byId = new Map([...starters.values()].map((dictionary) => [dictionary.id, dictionary]))
  const own = new Map(byId)
  let learned: ReadonlyMap<string, Dictionary> = new Map()
  return {
    forEvent(tenant, tool) {
      const starter = starters.get(tool)
      return learned.size === 0 ? starter : (learned.get(ownerOf(tenant, tool)) ?? starter)
    },
    known: (id) => byId.get(id),
    add: (dictionary) => void byId.set(dictionary.id, dictionary),
    addOwn(dictionary) {
      byId.set(dictionary.id, dictionary)
      own.set(dictionary.id, dictionary)
    },
    own: () => own.values(),
    learn(next) {
      learned = next
      for (const dictionary of next.values()) byId.set(dictionary.id, dictionary)
    },
  }
}

/** The starters that come with Weir, one file per tool. */
export function loadBundledDictionaries(
  directory: URL = new URL('../dictionaries/', import.meta.url),
): Map<string, Dictionary> {
  const byTool = new Map<string, Dictionary>()
  for (const file of readdirSync(directory)) {
    if (!file.endsWith('.dict')) continue
    byTool.set(file.slice(0, -'.dict'.length), dictionaryOf(readFileSync(new URL(file, directory))))
  }
  return byTool
}

/**
 * Publishes the process's own dictionaries and reads each back.
 * Throws Fault DICTIONARY_MISSING when Redis holds other bytes under that id than we do.
 */
export async function publishDictionaries(
  link: RedisLink,
  keys: PartitionKeys,
  set: DictionarySet,
): Promise<void> {
  for (const dictionary of set.own()) await publishDictionary(link, keys, dictionary)
}

/** Publishes one dictionary and reads it back; throws as {@link publishDictionaries}. */
export async function publishDictionary(
  link: RedisLink,
  keys: PartitionKeys,
  dictionary: Dictionary,
): Promise<void> {
  const key = keys.dictionary(dictionary.id)
  await link.call('SET', key, dictionary.bytes, 'NX')
  const stored = await link.call('GET', key)
  if (!Buffer.isBuffer(stored) || !stored.equals(dictionary.bytes)) {
    throw new Fault(
      'DICTIONARY_MISSING',
      `Redis key ${key} does not hold the bytes of dictionary ${dictionary.id}; delete that key, it is published again at the next start`,
    )
  }
}

/** Finds a dictionary in the set, else in Redis (checked against its id, then kept in the set). */
export async function fetchDictionary(
  link: RedisLink,
  keys: PartitionKeys,
  set: DictionarySet,
  id: string,
): Promise<Dictionary> {
  const known = set.known(id)
  if (known !== undefined) return known
  const stored = await link.call('GET', keys.dictionary(id))
  if (Buffer.isBuffer(stored)) {
    const dictionary = dictionaryOf(stored)
    if (dictionary.id === id) {
      set.add(dictionary)
      return dictionary
    }
  }
  throw missingDictionary(id)
}

export function missingDictionary(id: string): Fault {
  return new Fault(
    'DICTIONARY_MISSING',
    `dictionary ${id} is neither bundled nor published in Redis (key …:dictionary:${id}); start a gateway of the version that packed with it, or restore that key; the event waits`,
  )
}

/** What is noted of a learned dictionary beside its bytes. */
export interface LearnedNote {
  readonly id: string
  /** Redis ms. */
  readonly at: number
  readonly bytes: number
  /** Events that it was made from. */
  readonly events: number
  /** Bytes of contents to bytes of frames, measured on other events: with what was there before, and with it. */
  readonly ratioBefore: number
  readonly ratioAfter: number
}

/** The learned dictionaries that new events are to be packed with, by owner. Notes that cannot be read are left out. */
export async function readLearned(link: RedisLink, keys: PartitionKeys): Promise<Map<string, LearnedNote>> {
  const flat = (await link.call('HGETALL', keys.learned)) as RedisReply[]
  const notes = new Map<string, LearnedNote>()
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const note = noteOf(String(flat[i + 1]))
    if (note !== undefined) notes.set(String(flat[i]), note)
  }
  return notes
}

function noteOf(text: string): LearnedNote | undefined {
  try {
    const note = JSON.parse(text) as Partial<LearnedNote> | null
    return typeof note?.id === 'string' ? (note as LearnedNote) : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/**
 * Gives a tenant and tool a learned dictionary: published and read back in every partition before any is told to use it.
 * The one before stays published, because events packed with it may still be waiting.
 */
export async function giveLearned(
  partitions: readonly { readonly link: RedisLink; readonly keys: PartitionKeys }[],
  owner: string,
  dictionary: Dictionary,
  note: LearnedNote,
): Promise<void> {
  for (const { link, keys } of partitions) await publishDictionary(link, keys, dictionary)
  for (const { link, keys } of partitions) await link.call('HSET', keys.learned, owner, JSON.stringify(note))
}

/** Takes it away again: new events are packed with the starter. False when there was none. */
export async function takeLearned(
  partitions: readonly { readonly link: RedisLink; readonly keys: PartitionKeys }[],
  owner: string,
): Promise<boolean> {
  let there = false
  for (const { link, keys } of partitions) {
    if ((await link.call('HDEL', keys.learned, owner)) === 1) there = true
  }
  return there
}
