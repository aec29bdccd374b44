/**
 * Which dictionaries events are packed with. Only with ones that Redis is known to hold: until they are published,
 * and from every lost connection until they are published again (Redis may come back empty), events are packed
 * without. Larger then, but never dependent on something that is nowhere.
 *
 * Those that were learned for a tenant (webhook-cli dict train) are found in Redis now and then. They are never published
 * again from here, with one exception: an event in the spool may need one that Redis has lost meanwhile.
 *
 * A copy of each lies beside the spool. A gateway of the next version, with other starters, publishes those too,
 * so that spooled events of this version can be opened even if Redis has lost everything.
 */
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createDictionarySet,
  type Dictionary,
  type DictionarySet,
  dictionaryOf,
  findLearned,
  publishDictionaries,
  publishDictionary,
  readDictionary,
} from '@weir/core/dictionaries'
import { isFault } from '@weir/core/faults'
import { NO_KEYRING, type Opener } from '@weir/core/keyring/keyring'
import type { PartitionKeys } from '@weir/core/keys'
import { createPacker, type Packer } from '@weir/core/packing'
import type { RedisLink } from '@weir/core/redis/link'

export interface Packers {
  /** The packer to use now. */
  readonly current: Packer
  /** Publishes the starters, finds the learned ones, and uses both from then on. Throws what publishing threw. */
  publish(link: RedisLink, keys: PartitionKeys): Promise<void>
  /** Looks for learned dictionaries again. Throws Fault REDIS_UNAVAILABLE. */
  refresh(link: RedisLink, keys: PartitionKeys): Promise<void>
  /** Packs without dictionaries until they are published again. */
  distrust(): void
  /** Sees to it that Redis holds the dictionary of a spooled event of this tenant. */
  ensure(link: RedisLink, keys: PartitionKeys, id: string, tenant: string): Promise<void>
}

export interface PackersOptions {
  readonly dictionaries: DictionarySet
  /** zstd level */
  readonly level: number
  /** Learned dictionaries used at most. */
  readonly maxLearned: number
  /** Where copies lie; undefined without a spool. */
  readonly spoolDirectory: string | undefined
  /** For learned ones that are encrypted. */
  readonly opener?: Opener
}

export function createPackers(options: PackersOptions): Packers {
  const { dictionaries, level, maxLearned, spoolDirectory, opener = NO_KEYRING } = options
  const plain = createPacker(createDictionarySet(new Map()), level)
  const full = createPacker(dictionaries, level)
  let current = plain
  /** Ids that Redis was seen to hold since the last loss of the connection. */
  const seen = new Set<string>()

  const refresh = async (link: RedisLink, keys: PartitionKeys): Promise<void> => {
    const learned = await findLearned(link, keys, dictionaries, maxLearned, opener)
    if (spoolDirectory !== undefined) {
      for (const dictionary of learned.values()) await keepLearned(dictionary, spoolDirectory)
    }
    dictionaries.learn(learned)
  }

  return {
    get current() {
      return current
    },
    refresh,
    async publish(link, keys) {
      await publishDictionaries(link, keys, dictionaries)
      await refresh(link, keys)
      current = full
    },
    distrust() {
      current = plain
      seen.clear()
    },
    async ensure(link, keys, id, tenant) {
      if (id === '' || seen.has(id)) return
      if ((await link.call('EXISTS', keys.dictionary(id))) !== 1) {
        const copy = dictionaries.known(id) ?? (await keptLearned(id, spoolDirectory, tenant, opener))
        // Without a copy the event goes on all the same: it waits, loudly, until somebody brings the dictionary back.
        if (copy === undefined) return
        await publishDictionary(link, keys, copy)
      }
      seen.add(id)
    },
  }
}

const FOLDER = 'dictionaries'
const FILE = /^([0-9a-f]{16})\.dict$/

/** Copies of learned ones have a name of their own: they hold a tenant's values and are published only when needed. */
const learnedPath = (id: string, spoolDirectory: string): string =>
  join(spoolDirectory, FOLDER, `${id}.learned`)

/** A copy of what is published: sealed, where that is. */
async function keepLearned({ id, bytes, sealed }: Dictionary, spoolDirectory: string): Promise<void> {
  const path = learnedPath(id, spoolDirectory)
  const published = sealed ?? bytes
  if ((await contentOf(path))?.equals(published)) return
  await mkdir(join(spoolDirectory, FOLDER), { recursive: true, mode: 0o700 })
  await writeFile(`${path}.part`, published, { mode: 0o600, flush: true })
  await rename(`${path}.part`, path)
}

/** undefined when there is no copy, a damaged one, or one that nobody can open any more. */
async function keptLearned(
  id: string,
  spoolDirectory: string | undefined,
  tenant: string,
  opener: Opener,
): Promise<Dictionary | undefined> {
  const copy = spoolDirectory === undefined ? undefined : await contentOf(learnedPath(id, spoolDirectory))
  try {
    return copy && readDictionary(copy, id, tenant, opener)
  } catch (error) {
    if (isFault(error, 'KEY_MISSING') || isFault(error, 'KEY_DESTROYED')) return undefined
    throw error
  }
}

/** undefined when there is no such file. */
async function contentOf(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** Adds what earlier versions left beside the spool, and leaves a copy of what it has. */
export async function keepDictionaries(dictionaries: DictionarySet, spoolDirectory: string): Promise<void> {
  const folder = join(spoolDirectory, FOLDER)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const names = new Set(await readdir(folder))
  for (const name of names) {
    const id = FILE.exec(name)?.[1]
    if (id === undefined || dictionaries.known(id) !== undefined) continue
    const dictionary = dictionaryOf(await readFile(join(folder, name)))
    // A damaged copy is some other dictionary; publishing it would help nobody.
    if (dictionary.id === id) dictionaries.addOwn(dictionary)
  }
  for (const { id, bytes } of dictionaries.own()) {
    const path = join(folder, `${id}.dict`)
    if (names.has(`${id}.dict`)) continue
    await writeFile(`${path}.part`, bytes, { mode: 0o600, flush: true })
    await rename(`${path}.part`, path)
  }
}
