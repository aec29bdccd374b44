/** What the configuration says of prewarming. */
import type { Config } from '@weir/core/config/schema'
import type { AccessNotes } from '../hot-append.ts'
import type { PredictOptions } from './predict.ts'

/** undefined = it is switched off: by itself, or because nothing is remembered. */
export function configuredAccessNotes(config: Config): AccessNotes | undefined {
  const { context_lifecycle: contexts, ai } = config.webhook
  return contexts.enabled && ai.prewarming.enabled ? { keepMs: configuredRules(config).historyMs } : undefined
}

export function configuredRules({ webhook }: Config): PredictOptions {
  const { prewarming } = webhook.ai
  return {
    max: prewarming.max_predictions,
    threshold: prewarming.confidence_threshold,
    lookbackMs: prewarming.lookback_window,
    historyMs: Math.max(prewarming.history_window, prewarming.lookback_window),
  }
}
