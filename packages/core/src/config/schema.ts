/**
 * The configuration, as one schema. Every field says its meaning, unit, special values, default and environment
 * variables (see field.ts); documentation, messages, redaction and the types come from here and nowhere else.
 */
import { join } from 'node:path'
import type { z } from 'zod'
import { section } from './field.ts'
import { duration, integer, text } from './fields.ts'
import { aiSection } from './sections/ai.ts'
import {
  consumerSection,
  deduplicationSection,
  opsSection,
  resolveWindows,
  streamSection,
} from './sections/consumer.ts'
import { contextLifecycleSection, migrationSection } from './sections/contexts.ts'
import { ingestSection, toolsSection } from './sections/ingest.ts'
import { observabilitySection } from './sections/observability.ts'
import { redisSection } from './sections/redis.ts'
import { securitySection } from './sections/security.ts'

/** What some defaults depend on. */
export interface Surroundings {
  /** Processor cores that this process may use. */
  readonly cores: number
  /** NODE_ENV or WEIR_ENV says production. */
  readonly production: boolean
}

/** The schema of config.yaml. Its output is the configuration with every default filled in. */
export function configSchema({ cores, production }: Surroundings) {
  const webhook = section('The pipeline.', {
    data_dir: text({
      meaning: 'Directory of everything kept locally: spool, private Redis, generated secrets.',
      default: '.weir',
      env: 'WEIR_DATA_DIR',
    }),
    redis: redisSection(),
    ingest: ingestSection(),
    tools: toolsSection(),
    security: securitySection(),
    deduplication: deduplicationSection(),
    stream: streamSection(),
    consumer: consumerSection(cores),
    ops: opsSection(production),
    compression: section('How bodies are packed at the door.', {
      level: integer({
        meaning: 'zstd level; higher is smaller and slower.',
        default: 3,
        min: 1,
        max: 19,
      }),
      refresh_interval: duration({
        meaning: 'How often gateways look for dictionaries that were learned for tenants.',
        default: '10s',
        min: '100ms',
      }),
      learned_dictionaries: integer({
        meaning:
          'Learned dictionaries that a gateway packs with at most, each about half a megabyte of its memory; those of further tenants are packed with the starters.',
        default: 64,
        max: 10_000,
      }),
    }),
    context_lifecycle: contextLifecycleSection(),
    ai: aiSection(),
    migration: migrationSection(),
  }).transform((found) => {
    const { spool } = found.ingest
    const directory = spool.directory ?? join(found.data_dir, 'spool')
    return {
      ...found,
      ingest: { ...found.ingest, spool: { ...spool, directory } },
      deduplication: resolveWindows(found.deduplication, found.security.timestamp_tolerance),
    }
  })
  return section('Weir.', { webhook, observability: observabilitySection(production) })
}

/** What the program runs with: every duration in ms, every size in bytes, every default filled in. */
export type Config = z.output<ReturnType<typeof configSchema>> & {
  /** NODE_ENV or WEIR_ENV says production; not a key of the file. */
  readonly production: boolean
}
