/**
 * The learned dictionaries of one tenant: they hold pieces of its events. Those that new events are packed with have a note that says
 * whose they are, and a set says it of all that were ever published. Those from before there was that set are told by the key that
 * they are sealed with, or by the records that name them.
 */
import { readLearned } from '../dictionaries.ts'
import type { Partition } from '../partition.ts'
import type { RedisReply } from '../redis/link.ts'
import { keysWithPrefix } from '../redis/scan.ts'
import { type KeyOf, sealedDictionaries } from './sealed-counts.ts'

export interface DictionaryClues {
  readonly tenant: string
  /** Ids that something of the tenant names: records, segments, names in cold storage. */
  readonly named: ReadonlySet<string>
  /** Ids that something of others names. */
  readonly others: ReadonlySet<string>
  /** Ids of the bundled starters: structure only. */
  readonly starters: ReadonlySet<string>
  readonly keyOf: KeyOf
  /** Ids of the tenant's keys, destroyed ones too. */
  readonly keyIds: ReadonlySet<string>
}

export interface TenantDictionaries {
  /** `tenant/tool` */
  readonly owners: readonly string[]
  /** `tenant/id` of those that were ever learned from its events. */
  readonly noted: readonly string[]
  /** Published ids that are the tenant's alone. */
  readonly ids: readonly string[]
  /** Published ids that others use too: they stay. */
  readonly shared: readonly string[]
  /** Published in the clear, and nothing tells whose they are. */
  readonly unknown: readonly string[]
}

/** Throws Fault REDIS_UNAVAILABLE. */
export async function findTenantDictionaries(
  partitions: readonly Partition[],
  clues: DictionaryClues,
): Promise<TenantDictionaries> {
  const { tenant, named, starters, keyOf, keyIds } = clues
  const own = new Set([...named].filter((id) => !starters.has(id)))
  const others = new Set(clues.others)
  const owners = new Set<string>()
  const noted = new Set<string>()
  const sealed = new Set<string>()
  const published = new Set<string>()
  for (const partition of partitions) {
    const { keys, link } = partition
    for (const [owner, { id }] of await readLearned(link, keys)) {
      if (owner.startsWith(`${tenant}/`)) {
        owners.add(owner)
        own.add(id)
      } else others.add(id)
    }
    for (const member of (await link.call('SMEMBERS', keys.learnedEver)) as RedisReply[]) {
      const [of, id = ''] = String(member).split('/')
      if (of !== tenant) others.add(id)
      else {
        own.add(id)
        noted.add(String(member))
      }
    }
    for await (const { id, key } of sealedDictionaries(partition, keyOf)) {
      sealed.add(id)
      if (keyIds.has(key)) own.add(id)
    }
    const prefix = keys.dictionary('')
    for (const key of await keysWithPrefix(link, prefix)) published.add(key.slice(prefix.length))
  }
  const there = [...published].sort()
  return {
    owners: [...owners].sort(),
    noted: [...noted].sort(),
    ids: there.filter((id) => own.has(id) && !others.has(id)),
    shared: there.filter((id) => own.has(id) && others.has(id)),
    unknown: there.filter((id) => ![own, others, sealed, starters].some((ids) => ids.has(id))),
  }
}

/** Bytes first: who dies in between finds them again by their notes. Throws Fault REDIS_UNAVAILABLE. */
export async function deleteTenantDictionaries(
  partitions: readonly Partition[],
  { owners, noted, ids }: Pick<TenantDictionaries, 'owners' | 'noted' | 'ids'>,
): Promise<void> {
  for (const { keys, link } of partitions) {
    for (const id of ids) await link.call('DEL', keys.dictionary(id))
    for (const owner of owners) await link.call('HDEL', keys.learned, owner)
    for (const member of noted) await link.call('SREM', keys.learnedEver, member)
  }
}
