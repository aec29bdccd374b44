/** Contexts as a benchmark has them: beside a stream, on one server. */
import { type Assembly, assembleContexts } from '@weir/context-lifecycle/assembly'
import type { ColdStore } from '@weir/context-lifecycle/cold/cold-store'
import { contextKeys } from '@weir/context-lifecycle/context-keys'
import type { ContextPlace } from '@weir/context-lifecycle/context-place'
import { systemClock } from '@weir/core/clock'
import { createDictionarySet, type DictionarySet, loadBundledDictionaries } from '@weir/core/dictionaries'
import type { Sealing } from '@weir/core/keyring/keyring'
import { partitionKeys } from '@weir/core/keys'
import type { RedisLink } from '@weir/core/redis/link'

export interface BenchContextsOptions {
  readonly keyring?: Sealing | undefined
  /** Default: false. */
  readonly encrypts?: boolean
  readonly store?: ColdStore
  readonly dictionaries?: DictionarySet
}

export function benchContexts(
  link: RedisLink,
  options: BenchContextsOptions = {},
): Assembly & { readonly place: ContextPlace } {
  const { keyring, encrypts = false, store } = options
  const names = { stream: 'webhook-events', deadLetters: 'webhook-events-dlq', group: 'webhook-processors' }
  const place = { link, keys: contextKeys(names.stream, false, 0) }
  const assembly = assembleContexts({
    places: [place],
    placeOf: () => place,
    home: { link, keys: partitionKeys({ ...names, cluster: false }) },
    dictionaries: options.dictionaries ?? createDictionarySet(loadBundledDictionaries()),
    maxLearned: 10,
    keyring,
    encrypts,
    keyOf: () => undefined,
    store: async () => {
      if (store === undefined) throw new Error('this benchmark has no cold storage')
      return store
    },
    hotLevel: 3,
    warmLevel: 6,
    maxRecordBytes: 64 << 20,
    segmentBytes: 4 << 20,
    clock: systemClock,
    coldReadMs: 5_000,
  })
  return { ...assembly, place }
}
