/** What the apps take out of the configuration, in the words of the modules that need it. */
import type { KeyNames, PartitionKeys } from '../keys.ts'
import type { RedisSettings } from '../redis/link.ts'
import type { DedupeWindow } from '../stream/admit.ts'
import type { LongMemoryOptions } from '../stream/long-memory.ts'
import type { Config } from './schema.ts'

/** @param name shown by CLIENT LIST */
export function redisSettings(config: Config, name: string): RedisSettings {
  const { redis } = config.webhook
  return {
    // Loading has put the first of `addresses` here where that is the one to use.
    url: redis.url,
    username: redis.username ?? undefined,
    password: redis.password ?? undefined,
    commandTimeoutMs: redis.command_timeout,
    connectTimeoutMs: redis.connect_timeout,
    reconnectMaxDelayMs: redis.reconnect_max_delay,
    name,
  }
}

export function keyNames(config: Config): KeyNames {
  return {
    stream: config.webhook.redis.stream,
    deadLetters: config.webhook.consumer.dead_letter_stream,
    group: config.webhook.consumer.consumer_group,
    cluster: config.webhook.redis.cluster_enabled,
  }
}

/** The dedupe window of each tool. */
export function dedupeWindows(config: Config): (tool: string) => DedupeWindow {
  const { window_configs: configs } = config.webhook.deduplication
  const windows = new Map(
    Object.entries(configs).map(([tool, { duration, max_size }]) => [tool, { duration, maxSize: max_size }]),
  )
  return (tool) => windows.get(tool) ?? DEFAULT_WINDOW
}

/** design.md's default; the schema's own default says the same for every known tool. */
const DEFAULT_WINDOW: DedupeWindow = { duration: 300_000, maxSize: 1 }

export function longMemory(config: Config, keys: PartitionKeys): LongMemoryOptions {
  const { deduplication } = config.webhook
  return {
    keys,
    horizonMs: deduplication.horizon,
    bloomBits: deduplication.bloom_filter_size,
    bloomHashes: deduplication.bloom_filter_hash_funcs,
    settledShards: deduplication.settled_shards,
  }
}
