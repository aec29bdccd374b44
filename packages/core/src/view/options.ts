/** What a view takes out of the configuration. */
import { ADAPTERS } from '../adapters/table.ts'
import type { Clock } from '../clock.ts'
import { dedupeWindows, keyNames, longMemory } from '../config/parts.ts'
import type { Config } from '../config/schema.ts'
import { createDictionarySet, loadBundledDictionaries } from '../dictionaries.ts'
import { type PartitionKeys, partitionKeys } from '../keys.ts'
import type { PipelineViewOptions } from '../pipeline-view.ts'
import type { RedisLink } from '../redis/link.ts'

/** How much larger than a request a body may become that was sent compressed. */
const DECOMPRESSED_FACTOR = 8

/** Reads the bundled dictionaries from disk. */
export function pipelineViewOptions(config: Config, link: RedisLink, clock: Clock): PipelineViewOptions {
  const { redis, deduplication, security } = config.webhook
  const names = keyNames(config)
  const count = names.cluster ? redis.partitions : 1
  const partitions = Array.from({ length: count }, (_, p) => partitionKeys(names, p))
  const window = dedupeWindows(config)
  const { keys: _, ...memory } = longMemory(config, partitions[0] as PartitionKeys)
  return {
    link,
    partitions,
    windows: new Map([...ADAPTERS.keys()].map((tool) => [tool, window(tool).duration])),
    defaultWindowMs: deduplication.window_configs.default.duration,
    evidenceShards: deduplication.evidence_shards,
    memory,
    dictionaries: createDictionarySet(loadBundledDictionaries()),
    adapters: ADAPTERS,
    maxBodyBytes: security.max_payload_size * DECOMPRESSED_FACTOR,
    clock,
  }
}
