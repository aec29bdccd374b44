/** The contexts that the configuration asks for. */
import type { Clock } from '@weir/core/clock'
import { keysOf, redisSettings } from '@weir/core/config/parts'
import type { Config } from '@weir/core/config/schema'
import { createDictionarySet, loadBundledDictionaries } from '@weir/core/dictionaries'
import type { Sealing } from '@weir/core/keyring/keyring'
import { connectRedis, type LinkOptions, type RedisLink } from '@weir/core/redis/link'
import { type Assembly, assembleContexts } from './assembly.ts'
import { configuredColdStore } from './cold/configured.ts'
import type { GuardDeps, GuardedStore } from './cold/guarded-store.ts'
import { type ContextId, shardCount, shardOf } from './context-id.ts'
import { contextKeys } from './context-keys.ts'
import type { ContextPlace } from './context-place.ts'
import { configuredAccessNotes } from './prewarm/rules.ts'

export interface ConfiguredContextsDeps {
  /** To partition 0; stays the caller's. Without a Cluster contexts lie there too. */
  readonly home: RedisLink
  /** For what is encrypted; undefined without a master key. */
  readonly keyring: Sealing | undefined
  /** The id of the key that bytes are sealed with; undefined for what is not sealed. */
  keyOf(sealed: Buffer): string | undefined
  /** Shown by CLIENT LIST, of the connections that a Cluster needs besides. */
  readonly name: string
  readonly link?: LinkOptions
  readonly clock: Clock
  /** Told of what cold storage does. */
  readonly cold?: Pick<GuardDeps, 'onChange' | 'observe'>
}

export interface ConfiguredContexts extends Assembly {
  /** Where they lie: every shard, in their order. */
  readonly places: readonly [ContextPlace, ...ContextPlace[]]
  placeOf(id: ContextId): ContextPlace
  /** Cold storage, opened when it is first needed. */
  store(): Promise<GuardedStore>
  /** Closes its own connections. Harmless when repeated. */
  close(): Promise<void>
}

/** Headers stand beside the body, bytes. */
const BESIDE_BODY = 1 << 20
/** How much larger than a request a body may become that was sent compressed. */
const DECOMPRESSED_FACTOR = 8

/** Reads the bundled dictionaries from disk. */
export function configuredContexts(config: Config, deps: ConfiguredContextsDeps): ConfiguredContexts {
  const { redis, security, compression, context_lifecycle: tiers } = config.webhook
  const { keyring, home } = deps
  const several = redis.cluster_enabled
  const own: RedisLink[] = []
  const made = Array.from({ length: shardCount(several) }, (_, shard): ContextPlace => {
    const keys = contextKeys(redis.stream, several, shard)
    if (!several) return { link: home, keys }
    const link = connectRedis(redisSettings(config, { stream: keys.active }, deps.name), deps.link)
    own.push(link)
    return { link, keys }
  })
  const places = made as [ContextPlace, ...ContextPlace[]]
  let opening: Promise<GuardedStore> | undefined
  const store = () => {
    opening ??= configuredColdStore(config, { ...deps.cold, clock: deps.clock, random: Math.random })
    return opening
  }
  const placeOf = (id: ContextId) => places[shardOf(id, places.length)] as ContextPlace
  const assembly = assembleContexts({
    places,
    placeOf,
    home: { link: home, keys: keysOf(config, 0) },
    dictionaries: createDictionarySet(loadBundledDictionaries(), keyring?.isCurrent),
    maxLearned: compression.learned_dictionaries,
    keyring,
    encrypts: security.encryption_enabled,
    keyOf: deps.keyOf,
    store,
    hotLevel: compression.level,
    warmLevel: tiers.compression_level,
    maxRecordBytes: security.max_payload_size * DECOMPRESSED_FACTOR + BESIDE_BODY,
    segmentBytes: tiers.segment_size,
    clock: deps.clock,
    coldReadMs: tiers.cold_read_timeout,
    accessNotes: configuredAccessNotes(config),
  })
  return {
    ...assembly,
    places,
    placeOf,
    store,
    async close() {
      await Promise.all(own.map((link) => link.close()))
      // Whoever asked for it was told why it could not be opened; there is nothing to close then.
      const opened = await opening?.catch(() => undefined)
      opened?.close()
    },
  }
}
