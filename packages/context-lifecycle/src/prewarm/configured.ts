import type { Config } from '@weir/core/config/schema'
import { redisTime } from '@weir/core/redis/time'
import type { ConfiguredContexts } from '../configured.ts'
import { createAccessLog } from './access-log.ts'
import { createPrewarmer, type Prewarmer, type PrewarmerOptions } from './prewarmer.ts'
import { configuredAccessNotes, configuredRules } from './rules.ts'

/** The prewarmer that the configuration asks for; undefined = it is switched off. */
export function configuredPrewarmer(
  config: Config,
  { places, placeOf, mover }: Pick<ConfiguredContexts, 'places' | 'placeOf' | 'mover'>,
  tell: PrewarmerOptions['tell'],
): Prewarmer | undefined {
  const notes = configuredAccessNotes(config)
  if (notes === undefined) return undefined
  const { context_lifecycle: tiers, ai } = config.webhook
  return createPrewarmer({
    places,
    placeOf,
    mover,
    log: createAccessLog(places, notes.keepMs),
    rules: configuredRules(config),
    memoryBytes: ai.prewarming.memory_limit,
    promoteBytes: tiers.promote_size,
    hotMs: tiers.hot_duration,
    now: () => redisTime(places[0].link),
    tell,
  })
}
