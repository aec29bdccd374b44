import { DEFAULT_TENANT } from '@weir/core/event'
import { Fault } from '@weir/core/faults'
import type { Enrichment } from './enrichment.ts'

/**
 * Embeds questions, as texts of the default tenant: an operator's question is no tenant's. Throws what `Enrichment.embed` throws,
 * and Fault AI_UNAVAILABLE where that postpones.
 */
export function queryEmbedder(enrichment: Pick<Enrichment, 'embed' | 'embedder'>): {
  readonly model: string
  embed(text: string, signal: AbortSignal): Promise<Float32Array>
} {
  return {
    model: enrichment.embedder.model,
    async embed(text, signal) {
      const answer = await enrichment.embed(DEFAULT_TENANT, [text], signal)
      const [embedding] = answer.kind === 'done' ? answer.embeddings : []
      if (embedding !== undefined) return embedding.vector
      const why = answer.kind === 'unavailable' ? answer.why : 'the budget of the day is used up'
      throw new Fault('AI_UNAVAILABLE', `the question has no embedding now: ${why}`)
    },
  }
}
