/**
 * Compression dictionaries. A dictionary's id is the first 16 hex digits of its SHA-256; the bundled starters
 * (packages/core/dictionaries/<tool>.dict) hold structure only and may be shared by all tenants.
 *
 * A dictionary is published to Redis and read back before its first use, so that every consumer can open what
 * any gateway packed, whatever version either runs. A record whose dictionary is nowhere is a loud fault
 * (DICTIONARY_MISSING) that loses nothing: the event waits until the dictionary is back.
 *
 * A learned one holds pieces of its tenant's events. Where events are encrypted it is too, with that tenant's key, and
 * belongs to that tenant and its own id.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { DEFAULT_TENANT } from './event.ts'
import { Fault, isFault } from './faults.ts'
import { NO_KEYRING, type Opener, type Sealing } from './keyring/keyring.ts'
import type { PartitionKeys } from './keys.ts'
import type { RedisLink, RedisReply } from './redis/link.ts'

export interface Dictionary {
  /** First 16 hex digits of the content's SHA-256. */
  readonly id: string
  readonly bytes: Buffer
  /** What is published and copied in place of the bytes: sealed with the key of its tenant. */
  readonly sealed?: Buffer
}

/** Whether what is sealed can go on to be used: its key may have been destroyed meanwhile. */
export type IsCurrent = Sealing['isCurrent']

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

export function createDictionarySet(
  starters: ReadonlyMap<string, Dictionary>,
  isCurrent: IsCurrent = () => true,
): DictionarySet {
  const byId = new Map([...starters.values()].map((dictionary) => [dictionary.id, dictionary]))
  const own = new Map(byId)
  let learned: ReadonlyMap<string, Dictionary> = new Map()
  return {
    forEvent(tenant, tool) {
      const own = learned.size === 0 ? undefined : usable(learned, tenant, tool, isCurrent)
      return own ?? starters.get(tool)
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

/** The learned dictionary of this tenant and tool, unless its key is gone: nobody else could open it then. */
export function usable(
  learned: ReadonlyMap<string, Dictionary>,
  tenant: string,
  tool: string,
  isCurrent: IsCurrent,
): Dictionary | undefined {
  const own = learned.get(ownerOf(tenant, tool))
  return own?.sealed === undefined || isCurrent(tenant, own.sealed) ? own : undefined
}

function belongingOf(tenant: string, id: string): string {
  return `dictionary\n${tenant}\n${id}`
}

/** The same dictionary, to be published sealed. Throws Fault KEY_MISSING where `sealing` is not ready for its tenant. */
export function sealDictionary(sealing: Sealing, tenant: string, dictionary: Dictionary): Dictionary {
  const sealed = sealing.seal(tenant, belongingOf(tenant, dictionary.id), dictionary.bytes)
  return { ...dictionary, sealed }
}

/**
 * The dictionary that these published or copied bytes are; undefined when they are another one, or damaged. Throws Fault
 * KEY_MISSING or KEY_DESTROYED for a sealed one.
 */
export function readDictionary(
  stored: Buffer,
  id: string,
  tenant: string,
  opener: Opener,
): Dictionary | undefined {
  const plain = dictionaryOf(stored)
  if (plain.id === id) return plain
  const opened = opener.open(tenant, belongingOf(tenant, id), stored)
  const dictionary = opened && dictionaryOf(opened)
  return dictionary?.id === id ? { ...dictionary, sealed: stored } : undefined
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

/**
 * Publishes one dictionary and reads it back; throws as {@link publishDictionaries}.
 * @param instead of what is published under that id: the same dictionary, plain or sealed with another key
 */
export async function publishDictionary(
  link: RedisLink,
  keys: PartitionKeys,
  dictionary: Dictionary,
  instead = false,
): Promise<void> {
  const key = keys.dictionary(dictionary.id)
  const bytes = dictionary.sealed ?? dictionary.bytes
  await link.call('SET', key, bytes, ...(instead ? [] : ['NX']))
  const stored = await link.call('GET', key)
  if (!Buffer.isBuffer(stored) || !stored.equals(bytes)) {
    throw new Fault(
      'DICTIONARY_MISSING',
      `Redis key ${key} does not hold the bytes of dictionary ${dictionary.id}; delete that key, it is published again at the next start`,
    )
  }
}

/**
 * Finds a dictionary in the set, else in Redis (checked against its id, then kept in the set). Throws Fault
 * DICTIONARY_MISSING; for a sealed one also KEY_MISSING or KEY_DESTROYED.
 * @param tenant whose events need it
 */
export async function fetchDictionary(
  link: RedisLink,
  keys: PartitionKeys,
  set: DictionarySet,
  id: string,
  tenant = DEFAULT_TENANT,
  opener: Opener = NO_KEYRING,
): Promise<Dictionary> {
  return set.known(id) ?? fetchPublished(link, keys, set, id, tenant, opener)
}

async function fetchPublished(
  link: RedisLink,
  keys: PartitionKeys,
  set: DictionarySet,
  id: string,
  tenant: string,
  opener: Opener,
): Promise<Dictionary> {
  const stored = await link.call('GET', keys.dictionary(id))
  const dictionary = Buffer.isBuffer(stored) ? readDictionary(stored, id, tenant, opener) : undefined
  if (dictionary === undefined) throw missingDictionary(id)
  set.add(dictionary)
  return dictionary
}

/** Sealed bytes begin with version, key and nonce: so much of them tells whether they were sealed anew. */
const SEAL_HEAD_BYTES = 21

/**
 * A learned dictionary as it is published now: fetched again where its bytes were sealed with another key since, because
 * what is known of it may be published again, or copied. Throws as `fetchDictionary`.
 */
async function followDictionary(
  link: RedisLink,
  keys: PartitionKeys,
  set: DictionarySet,
  id: string,
  tenant: string,
  opener: Opener,
): Promise<Dictionary> {
  const known = set.known(id)
  if (known === undefined) return fetchPublished(link, keys, set, id, tenant, opener)
  const head = await link.call('GETRANGE', keys.dictionary(id), 0, SEAL_HEAD_BYTES - 1)
  const same =
    Buffer.isBuffer(head) && head.equals((known.sealed ?? known.bytes).subarray(0, SEAL_HEAD_BYTES))
  return same ? known : fetchPublished(link, keys, set, id, tenant, opener)
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
  for (const { link, keys } of partitions) {
    await noteLearned(link, keys, owner.slice(0, owner.indexOf('/')), dictionary.id)
    await publishDictionary(link, keys, dictionary, true)
  }
  for (const { link, keys } of partitions) await link.call('HSET', keys.learned, owner, JSON.stringify(note))
}

/** Notes whose a learned dictionary is before it is published: when new events are packed with another one, nothing else tells. */
export async function noteLearned(
  link: RedisLink,
  keys: PartitionKeys,
  tenant: string,
  id: string,
): Promise<void> {
  await link.call('SADD', keys.learnedEver, `${tenant}/${id}`)
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

/**
 * The learned dictionaries that there are, the newest `most`, by owner. Left out are those that are not published, and those whose
 * key is not there (yet) or was destroyed: their tenants' events are packed with the starter. Throws Fault REDIS_UNAVAILABLE.
 */
export async function findLearned(
  link: RedisLink,
  keys: PartitionKeys,
  set: DictionarySet,
  most: number,
  opener: Opener,
): Promise<Map<string, Dictionary>> {
  const notes = [...(await readLearned(link, keys))].sort(([, a], [, b]) => b.at - a.at).slice(0, most)
  const learned = new Map<string, Dictionary>()
  for (const [owner, { id }] of notes) {
    if ((await link.call('EXISTS', keys.dictionary(id))) !== 1) continue
    const tenant = owner.slice(0, owner.indexOf('/'))
    try {
      learned.set(owner, await followDictionary(link, keys, set, id, tenant, opener))
    } catch (error) {
      if (!isFault(error, 'KEY_MISSING') && !isFault(error, 'KEY_DESTROYED')) throw error
    }
  }
  return learned
}
