/** One partition: its keys, and a connection to the master that holds them. */
import { keysOf, redisSettings } from './config/parts.ts'
import type { Config } from './config/schema.ts'
import type { PartitionKeys } from './keys.ts'
import { connectRedis, type LinkOptions, type RedisLink } from './redis/link.ts'

export interface Partition {
  readonly keys: PartitionKeys
  readonly link: RedisLink
}

/**
 * Connects to a partition's master, wherever the configuration says that it is to be looked for.
 * @param name shown by CLIENT LIST
 */
export function connectPartition(
  config: Config,
  partition: number,
  name: string,
  options: LinkOptions = {},
): Partition {
  const keys = keysOf(config, partition)
  return { keys, link: connectRedis(redisSettings(config, keys, name), options) }
}

/** Connects to every partition. */
export function connectPartitions(config: Config, name: string, options: LinkOptions = {}): Partition[] {
  return Array.from({ length: config.webhook.redis.partitions }, (_, partition) =>
    connectPartition(config, partition, name, options),
  )
}
