/**
 * Embeddings and summaries for whoever has a job to do: everything between a text and a provider is in here.
 *
 * Outcomes that pass are returned: over budget, or unavailable (the provider, its breaker, a full queue), each with the time
 * after which it makes sense to try again. What needs somebody's attention is thrown.
 */
import type { Clock } from '@weir/core/clock'
import type { Breaker } from './breaker.ts'
import type { Budget } from './budget.ts'
import type { Cache } from './cache.ts'
import { type BatchLimits, type EmbeddedTexts, embedTexts, guardedBatcher } from './embed-texts.ts'
import type { Embedder } from './embedder.ts'
import { createGuard, type Prices } from './guard.ts'
import { createLocalSummariser } from './local-summariser.ts'
import type { NearIdentical } from './near-identical.ts'
import type { Observe, Purpose } from './observation.ts'
import { type Postponed, unlessUnavailable } from './outcome.ts'
import { type SummarisedEntries, summariseEntries } from './summarise-entries.ts'
import type { Summariser, SummaryRequest } from './summariser.ts'

export interface EnrichmentOptions {
  readonly embedder: Embedder
  readonly summariser: Summariser
  readonly cache: Cache
  readonly near: NearIdentical
  readonly budget: Budget
  /** Of the provider that is asked over the network. */
  readonly breaker: Breaker
  /** Takes out what must not leave. It runs before everything else, also before the local provider. */
  redact(text: string): string
  readonly clock: Clock
  readonly observe: Observe
  readonly limits: EnrichmentLimits
  readonly prices: Readonly<Record<Purpose, Prices>>
}

export interface EnrichmentLimits {
  readonly batches: BatchLimits
  /** Tokens that are summarised at once, as estimated. */
  readonly maxChunkTokens: number
  /** Entries from which on a model is asked for a summary. */
  readonly modelFrom: number
  /** When to try again where the provider said nothing of it, ms. */
  readonly retryMs: number
}

/**
 * Both throw Fault AI_REFUSED (nothing works until the configuration or the account changes), AI_INPUT_REFUSED (this text never
 * works), AI_ANSWER_INVALID, REDIS_UNAVAILABLE or REDIS_OUT_OF_MEMORY (nothing could be reserved of the budget), or the signal's reason.
 */
export interface Enrichment {
  readonly embedder: Pick<Embedder, 'provider' | 'model' | 'dimensions'>
  readonly summariser: Pick<Summariser, 'provider' | 'model'>
  readonly breaker: Pick<Breaker, 'view'>
  /** One vector for each text, in their order; the zero vector of a text that says nothing. */
  embed(tenant: string, texts: readonly string[], signal?: AbortSignal): Promise<EmbeddedTexts | Postponed>
  /** The summary so far, if there is one, with the entries that came since. */
  summarise(
    tenant: string,
    request: SummaryRequest,
    signal?: AbortSignal,
  ): Promise<SummarisedEntries | Postponed>
  /** Ends batches, under way and waiting: their callers are told `unavailable`. Harmless when repeated. */
  stop(): void
}

export function createEnrichment(options: EnrichmentOptions): Enrichment {
  const { embedder, summariser, breaker, clock, observe, limits, prices } = options
  const guardOf = (purpose: Purpose, { provider, model }: Pick<Embedder, 'provider' | 'model'>) =>
    createGuard({
      purpose,
      provider,
      model,
      prices: prices[purpose],
      breaker: provider === 'local' ? undefined : breaker,
      clock,
      observe,
    })
  const embeddingGuard = guardOf('embedding', embedder)
  const batcher = guardedBatcher(embedder, embeddingGuard, { ...limits.batches, clock })
  const embedding = { ...options, guard: embeddingGuard, batcher }
  const summary = {
    ...options,
    guard: guardOf('summary', summariser),
    local: createLocalSummariser(),
    modelFrom: limits.modelFrom,
    maxChunkTokens: limits.maxChunkTokens,
  }
  return {
    embedder,
    summariser,
    breaker,
    embed: (tenant, texts, signal) =>
      unlessUnavailable(limits.retryMs, () => embedTexts(embedding, tenant, texts, signal)),
    summarise: (tenant, request, signal) =>
      unlessUnavailable(limits.retryMs, () => summariseEntries(summary, tenant, request, signal)),
    stop: () => batcher.stop(),
  }
}
