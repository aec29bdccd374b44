/** What the apps take out of the configuration, in the words of the modules that need it. */
import { type KeyNames, type PartitionKeys, partitionKeys } from '../keys.ts'
import type { CertificateFile } from '../metrics/certificates.ts'
import type { RedisSettings } from '../redis/link.ts'
import { parseAddress, type RedisPlace } from '../redis/place.ts'
import { keySlot } from '../redis/slot.ts'
import { checkTlsFiles, type TlsFiles } from '../redis/tls.ts'
import type { DedupeWindow } from '../stream/admit.ts'
import type { LongMemoryOptions } from '../stream/long-memory.ts'
import type { Config } from './schema.ts'

const SENTINEL_PORT = 26379
const REDIS_PORT = 6379

/**
 * How to connect to the master that holds these keys.
 * @param keys any one of those that share its hash tag, called `stream`
 * @param name shown by CLIENT LIST
 */
export function redisSettings(
  config: Config,
  keys: Pick<PartitionKeys, 'stream'>,
  name: string,
): RedisSettings {
  const { redis } = config.webhook
  return {
    ...redisPlace(config, keys),
    username: redis.username ?? undefined,
    password: redis.password ?? undefined,
    tls: tlsFiles(config),
    commandTimeoutMs: redis.command_timeout,
    connectTimeoutMs: redis.connect_timeout,
    reconnectMaxDelayMs: redis.reconnect_max_delay,
    name,
  }
}

/** Where the master that holds these keys is to be looked for. */
export function redisPlace(config: Config, keys: Pick<PartitionKeys, 'stream'> = keysOf(config)): RedisPlace {
  const { redis } = config.webhook
  const addresses = (port: number) => redis.addresses.map((address) => parseAddress(address, port))
  if (redis.cluster_enabled) {
    return { cluster: { seeds: addresses(REDIS_PORT), slot: keySlot(keys.stream) } }
  }
  if (redis.sentinel_enabled) {
    return {
      sentinel: {
        sentinels: addresses(SENTINEL_PORT),
        master: redis.master_name ?? '',
        username: redis.sentinel_username ?? undefined,
        password: redis.sentinel_password ?? undefined,
      },
    }
  }
  // Loading has put the first of `addresses` here where that is the one to use.
  return { url: redis.url }
}

/** How to connect to the Redis server of the keyring. Throws Fault CONFIG_INVALID when a TLS file cannot be used. */
export function keyringSettings(config: Config, url: string, name: string): RedisSettings {
  const { redis } = config.webhook
  return {
    url,
    tls: url.startsWith('rediss:') ? tlsFilesOf(config) : undefined,
    commandTimeoutMs: redis.command_timeout,
    connectTimeoutMs: redis.connect_timeout,
    reconnectMaxDelayMs: redis.reconnect_max_delay,
    name,
  }
}

/** The files for TLS to Redis; undefined for plain TCP. Throws Fault CONFIG_INVALID when one cannot be used. */
function tlsFiles(config: Config): TlsFiles | undefined {
  const { redis } = config.webhook
  if (
    !redis.tls_enabled &&
    (redis.cluster_enabled || redis.sentinel_enabled || !redis.url.startsWith('rediss:'))
  ) {
    return undefined
  }
  return tlsFilesOf(config)
}

function tlsFilesOf({ webhook: { redis } }: Config): TlsFiles {
  const files: TlsFiles = {
    caFile: redis.tls_ca_file ?? undefined,
    certFile: redis.tls_cert_file ?? undefined,
    keyFile: redis.tls_key_file ?? undefined,
    serverName: redis.tls_server_name ?? undefined,
  }
  checkTlsFiles(files)
  return files
}

/** The certificates that TLS to Redis uses, named by where they are configured. */
export function certificateFiles(config: Config): CertificateFile[] {
  const files = tlsFiles(config)
  const named: CertificateFile[] = []
  if (files?.certFile !== undefined) named.push({ name: 'redis.cert', path: files.certFile })
  if (files?.caFile !== undefined) named.push({ name: 'redis.ca', path: files.caFile })
  return named
}

function keyNames(config: Config): KeyNames {
  return {
    stream: config.webhook.redis.stream,
    deadLetters: config.webhook.consumer.dead_letter_stream,
    group: config.webhook.consumer.consumer_group,
    cluster: config.webhook.redis.cluster_enabled,
  }
}

/** The keys of one partition. */
export function keysOf(config: Config, partition = 0): PartitionKeys {
  return partitionKeys(keyNames(config), partition)
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
