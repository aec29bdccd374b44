/** The dictionaries that segments and records are packed with, in one process. */
import { type DictionarySet, fetchDictionary, findLearned } from '@weir/core/dictionaries'
import { isFault } from '@weir/core/faults'
import type { Opener } from '@weir/core/keyring/keyring'
import type { Partition } from '@weir/core/partition'

export interface Library {
  readonly dictionaries: DictionarySet
  /** Sees to it that these are known ('' = none). Throws Fault DICTIONARY_MISSING, KEY_MISSING, KEY_DESTROYED, REDIS_UNAVAILABLE. */
  need(ids: Iterable<string>, tenant: string): Promise<void>
  /** Finds the learned dictionaries, to pack with. Throws Fault REDIS_UNAVAILABLE. */
  refresh(): Promise<void>
}

export interface LibraryOptions {
  /** Where they are published. */
  readonly home: Pick<Partition, 'link' | 'keys'>
  readonly dictionaries: DictionarySet
  readonly opener: Opener
  /** Learned dictionaries used at most. */
  readonly maxLearned: number
}

export function createLibrary({ home, dictionaries, opener, maxLearned }: LibraryOptions): Library {
  const { link, keys } = home
  const fetch = (id: string, tenant: string) => fetchDictionary(link, keys, dictionaries, id, tenant, opener)
  return {
    dictionaries,
    async need(ids, tenant) {
      for (const id of ids) {
        if (id === '' || dictionaries.known(id) !== undefined) continue
        try {
          await fetch(id, tenant)
        } catch (error) {
          if (!isFault(error, 'KEY_MISSING')) throw error
          await opener.lookAgain(tenant)
          await fetch(id, tenant)
        }
      }
    },
    async refresh() {
      dictionaries.learn(await findLearned(link, keys, dictionaries, maxLearned, opener))
    },
  }
}
