/** What makes cards asks @weir/ai, in its own words. */
import type { Enrichment } from '@weir/ai/enrichment'
import type { Postponed } from '@weir/ai/outcome'
import type { Enricher, Later, Never } from '@weir/context-lifecycle/search/make-card'
import { isFault } from '@weir/core/faults'

/** After how long somebody may have mended the key, the model or the account, ms. */
const REFUSED_RETRY_MS = 300_000

export function enricherOf(enrichment: Enrichment): Enricher {
  return {
    embeddingModel: enrichment.embedder.model,
    embed: (tenant, text, signal) =>
      unlessRefused(async () => {
        const answer = await enrichment.embed(tenant, [text], signal)
        if (answer.kind !== 'done') return later(answer)
        const [embedding] = answer.embeddings
        return embedding === undefined || embedding.source === 'nothing'
          ? { kind: 'never', why: 'there is no text to embed' }
          : embedding.vector
      }),
    summarise: (tenant, request, signal) =>
      unlessRefused(async () => {
        const answer = await enrichment.summarise(tenant, request, signal)
        return answer.kind === 'done' ? answer.text : later(answer)
      }),
  }
}

function later(postponed: Postponed): Later {
  return postponed.kind === 'over-budget'
    ? { kind: 'later', retryInMs: postponed.resetsInMs, why: 'over the budget of the day' }
    : { kind: 'later', retryInMs: postponed.retryInMs, why: postponed.why }
}

async function unlessRefused<T>(ask: () => Promise<T | Later | Never>): Promise<T | Later | Never> {
  try {
    return await ask()
  } catch (error) {
    if (isFault(error, 'AI_INPUT_REFUSED')) return { kind: 'never', why: error.message }
    if (isFault(error, 'AI_REFUSED'))
      return { kind: 'later', retryInMs: REFUSED_RETRY_MS, why: error.message }
    throw error
  }
}
