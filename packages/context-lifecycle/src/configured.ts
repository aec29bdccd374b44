/** The contexts that the configuration asks for. */
import { redisSettings } from '@weir/core/config/parts'
import type { Config } from '@weir/core/config/schema'
import type { Sealing } from '@weir/core/keyring/keyring'
import { connectRedis, type LinkOptions, type RedisLink } from '@weir/core/redis/link'
import { shardCount, shardOf } from './context-id.ts'
import { contextKeys } from './context-keys.ts'
import { type ContextPlace, type Contexts, createContexts } from './contexts.ts'

export interface ConfiguredContextsDeps {
  /** To partition 0; stays the caller's. Without a Cluster contexts lie there too. */
  readonly home: RedisLink
  /** For what is encrypted; undefined without a master key. */
  readonly keyring: Sealing | undefined
  /** Shown by CLIENT LIST, of the connections that a Cluster needs besides. */
  readonly name: string
  readonly link?: LinkOptions
}

export interface ConfiguredContexts {
  readonly contexts: Contexts
  /** Where they lie: every shard, in their order. */
  readonly places: readonly [ContextPlace, ...ContextPlace[]]
  /** Closes its own connections. Harmless when repeated. */
  close(): Promise<void>
}

export function configuredContexts(config: Config, deps: ConfiguredContextsDeps): ConfiguredContexts {
  const { redis, security } = config.webhook
  const several = redis.cluster_enabled
  const own: RedisLink[] = []
  const made = Array.from({ length: shardCount(several) }, (_, shard): ContextPlace => {
    const keys = contextKeys(redis.stream, several, shard)
    if (!several) return { link: deps.home, keys }
    const link = connectRedis(redisSettings(config, { stream: keys.active }, deps.name), deps.link)
    own.push(link)
    return { link, keys }
  })
  const places = made as [ContextPlace, ...ContextPlace[]]
  const contexts = createContexts({
    places,
    placeOf: (id) => places[shardOf(id, places.length)] as ContextPlace,
    keyring: deps.keyring,
    encrypts: security.encryption_enabled,
  })
  return { contexts, places, close: async () => void (await Promise.all(own.map((link) => link.close()))) }
}
