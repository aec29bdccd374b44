/**
 * Which dictionaries events are packed with. Only with ones that Redis is known to hold: until they are published,
 * and from every lost connection until they are published again (Redis may come back empty), events are packed
 * without. Larger then, but never dependent on something that is nowhere.
 *
 * A copy of each lies beside the spool. A gateway of the next version, with other dictionaries, publishes those too,
 * so that spooled events of this version can be opened even if Redis has lost everything.
 */
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createDictionarySet,
  type DictionarySet,
  dictionaryOf,
  publishDictionaries,
} from '@weir/core/dictionaries'
import type { PartitionKeys } from '@weir/core/keys'
import { createPacker, type Packer } from '@weir/core/packing'
import type { RedisLink } from '@weir/core/redis/link'

export interface Packers {
  /** The packer to use now. */
  readonly current: Packer
  /** Publishes the dictionaries and uses them from then on. Throws what publishing threw. */
  publish(link: RedisLink, keys: PartitionKeys): Promise<void>
  /** Packs without dictionaries until they are published again. */
  distrust(): void
}

/** @param level zstd level */
export function createPackers(dictionaries: DictionarySet, level: number): Packers {
  const plain = createPacker(createDictionarySet(new Map()), level)
  const full = createPacker(dictionaries, level)
  let current = plain
  return {
    get current() {
      return current
    },
    async publish(link, keys) {
      await publishDictionaries(link, keys, dictionaries)
      current = full
    },
    distrust() {
      current = plain
    },
  }
}

const FOLDER = 'dictionaries'
const FILE = /^([0-9a-f]{16})\.dict$/

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
