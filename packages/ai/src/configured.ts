/** The enrichment that the configuration asks for. */
import type { Clock } from '@weir/core/clock'
import { embeddingModel } from '@weir/core/config/embedding-models'
import type { Config } from '@weir/core/config/schema'
import type { Sealing } from '@weir/core/keyring/keyring'
import type { RedisLink } from '@weir/core/redis/link'
import { createBreaker } from './breaker.ts'
import { createBudget } from './budget.ts'
import { createCache } from './cache.ts'
import type { Embedder } from './embedder.ts'
import { createEnrichment, type Enrichment } from './enrichment.ts'
import { createLocalEmbedder } from './local-embedder.ts'
import { createLocalSummariser } from './local-summariser.ts'
import { createNearIdentical } from './near-identical.ts'
import type { Observe } from './observation.ts'
import { createOpenAiClient, type OpenAiClient } from './openai-client.ts'
import { createOpenAiEmbedder } from './openai-embedder.ts'
import { createOpenAiSummariser } from './openai-summariser.ts'
import { withoutAddresses } from './redaction.ts'

export interface ConfiguredEnrichmentDeps {
  /** To the place where cache and budget lie; stays the caller's. */
  readonly link: RedisLink
  /** Beginning of their keys, such as `{webhook-events}:ai:`. */
  readonly prefix: string
  /** For what is encrypted; undefined without a master key. */
  readonly keyring: Sealing | undefined
  /** Takes secrets and configured fields out of a text; e-mail addresses go besides. */
  redact(text: string): string
  readonly clock: Clock
  /** 0 ≤ random() < 1 */
  random(): number
  readonly observe: Observe
}

/** undefined where `webhook.ai.enabled` is false: nothing is made, and nothing is asked. */
export function configuredEnrichment(config: Config, deps: ConfiguredEnrichmentDeps): Enrichment | undefined {
  const { ai, security } = config.webhook
  if (!ai.enabled) return undefined
  const { embedding, summarization } = ai
  const { link, prefix, redact, clock, observe } = deps
  const client = configuredClient(config, deps)
  const { model } = summarization
  // Nothing is kept in the clear because the key is not here.
  const keeps = !security.encryption_enabled || deps.keyring !== undefined
  const { failure_threshold: failureThreshold, open_duration: openMs } = ai.breaker
  return createEnrichment({
    embedder: embedderOf(embedding, client),
    summariser: model === null ? createLocalSummariser() : createOpenAiSummariser({ client, model }),
    cache: createCache({
      link,
      prefix,
      sealing: security.encryption_enabled ? deps.keyring : undefined,
      ttlMs: {
        embedding: keeps ? embedding.cache_duration : 0,
        summary: keeps ? summarization.cache_duration : 0,
      },
      failed: (error) => observe({ kind: 'degraded', error }),
    }),
    near: createNearIdentical({
      threshold: embedding.near_identical_threshold,
      texts: embedding.near_identical_texts,
    }),
    budget: createBudget({ link, prefix, dailyTokens: ai.daily_token_budget ?? undefined }),
    breaker: createBreaker({ failureThreshold, openMs }, clock, (view) => observe({ kind: 'breaker', view })),
    redact: (text) => withoutAddresses(redact(text)),
    clock,
    observe,
    limits: {
      batches: {
        batchSize: embedding.batch_size,
        windowMs: embedding.batch_window,
        concurrent: embedding.concurrent_batches,
        maxWaiting: embedding.max_waiting,
      },
      maxChunkTokens: summarization.max_chunk_size,
      modelFrom: summarization.min_events,
      retryMs: ai.retry_max_delay,
    },
    prices: {
      embedding: { input: embedding.price_per_million_tokens ?? undefined, output: undefined },
      summary: {
        input: summarization.price_per_million_input_tokens ?? undefined,
        output: summarization.price_per_million_output_tokens ?? undefined,
      },
    },
  })
}

type ClientDeps = Pick<ConfiguredEnrichmentDeps, 'clock' | 'random'>

/** The way to the provider; nothing is asked before it is used. */
export function configuredClient({ webhook: { ai } }: Config, { clock, random }: ClientDeps): OpenAiClient {
  return createOpenAiClient({
    baseUrl: ai.base_url ?? undefined,
    apiKey: ai.openai_api_key ?? undefined,
    timeoutMs: ai.request_timeout,
    attempts: ai.attempts,
    baseDelayMs: ai.retry_base_delay,
    maxDelayMs: ai.retry_max_delay,
    clock,
    random,
  })
}

/** What computes embeddings, without cache, budget and breaker. */
export function configuredEmbedder(config: Config, deps: ClientDeps): Embedder {
  return embedderOf(config.webhook.ai.embedding, configuredClient(config, deps))
}

function embedderOf(embedding: Config['webhook']['ai']['embedding'], client: OpenAiClient): Embedder {
  const { provider, model, dimensions } = embedding
  if (provider === 'local') return createLocalEmbedder(dimensions ?? undefined)
  const known = embeddingModel(model)
  const length = dimensions ?? known?.dimensions
  // The rules of the configuration ask for it where the model is not known.
  if (length === undefined) throw new TypeError(`the vectors of ${model} have no known length`)
  const asksDimensions = known?.shortens === true && length !== known.dimensions
  return createOpenAiEmbedder({ client, model, dimensions: length, asksDimensions })
}
