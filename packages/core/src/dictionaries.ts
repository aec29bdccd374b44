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
import { sharedKeys } from './keys.ts'
import type { RedisLink } from './redis/link.ts'

export interface Dictionary {
  /** First 16 hex digits of the content's SHA-256. */
  readonly id: string
  readonly bytes: Buffer
}

export interface DictionarySet {
  /** The dictionary that new events of this tool are packed with. */
  forTool(tool: string): Dictionary | undefined
  /** A dictionary already known in this process. */
  known(id: string): Dictionary | undefined
  add(dictionary: Dictionary): void
  all(): Iterable<Dictionary>
}

export function dictionaryOf(bytes: Buffer): Dictionary {
  return { id: createHash('sha256').update(bytes).digest('hex').slice(0, 16), bytes }
}

export function createDictionarySet(byTool: ReadonlyMap<string, Dictionary>): DictionarySet {
  const byId = new Map([...byTool.values()].map((dictionary) => [dictionary.id, dictionary]))
  return {
    forTool: (tool) => byTool.get(tool),
    known: (id) => byId.get(id),
    add: (dictionary) => void byId.set(dictionary.id, dictionary),
    all: () => byId.values(),
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
 * Publishes every dictionary of the set and reads each back.
 * Throws Fault DICTIONARY_MISSING when Redis holds other bytes under that id than we do.
 */
export async function publishDictionaries(link: RedisLink, set: DictionarySet): Promise<void> {
  for (const dictionary of set.all()) {
    const key = sharedKeys.dictionary(dictionary.id)
    await link.call('SET', key, dictionary.bytes, 'NX')
    const stored = await link.call('GET', key)
    if (!Buffer.isBuffer(stored) || !stored.equals(dictionary.bytes)) {
      throw new Fault(
        'DICTIONARY_MISSING',
        `Redis key ${key} does not hold the bytes of dictionary ${dictionary.id}; delete that key, it is published again at the next start`,
      )
    }
  }
}

/** Finds a dictionary in the set, else in Redis (checked against its id, then kept in the set). */
export async function fetchDictionary(link: RedisLink, set: DictionarySet, id: string): Promise<Dictionary> {
  const known = set.known(id)
  if (known !== undefined) return known
  const stored = await link.call('GET', sharedKeys.dictionary(id))
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
    `dictionary ${id} is neither bundled nor published in Redis (${sharedKeys.dictionary(id)}); start a gateway of the version that packed with it, or restore that key; the event waits`,
  )
}
