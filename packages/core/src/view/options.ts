/** What a view takes out of the configuration. */
import { ADAPTERS } from '../adapters/table.ts'
import type { Clock } from '../clock.ts'
import { dedupeWindows, keysOf, longMemory } from '../config/parts.ts'
import type { Config } from '../config/schema.ts'
import { createDictionarySet, loadBundledDictionaries } from '../dictionaries.ts'
import { NO_KEYRING, type Sealing } from '../keyring/keyring.ts'
import type { Partition } from '../partition.ts'
import type { PipelineViewOptions } from '../pipeline-view.ts'

/** How much larger than a request a body may become that was sent compressed. */
const DECOMPRESSED_FACTOR = 8

/** Reads the bundled dictionaries from disk. */
export function pipelineViewOptions(
  config: Config,
  partitions: readonly Partition[],
  clock: Clock,
  keyring?: Sealing,
): PipelineViewOptions {
  const { deduplication, security } = config.webhook
  const window = dedupeWindows(config)
  const { keys: _, ...memory } = longMemory(config, keysOf(config))
  const starters = loadBundledDictionaries()
  return {
    partitions,
    windows: new Map([...ADAPTERS.keys()].map((tool) => [tool, window(tool).duration])),
    defaultWindowMs: deduplication.window_configs.default.duration,
    evidenceShards: deduplication.evidence_shards,
    memory,
    dictionaries: createDictionarySet(starters),
    starters,
    adapters: ADAPTERS,
    maxBodyBytes: security.max_payload_size * DECOMPRESSED_FACTOR,
    clock,
    opener: keyring ?? NO_KEYRING,
    sealing: security.encryption_enabled ? keyring : undefined,
  }
}
