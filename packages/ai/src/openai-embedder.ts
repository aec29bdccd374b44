/** Embeddings of OpenAI, or of what speaks its API. */
import { Fault } from '@weir/core/faults'
import type { Embedder } from './embedder.ts'
import type { OpenAiClient } from './openai-client.ts'
import { estimateTokens } from './tokens.ts'
import { toUnit } from './vector.ts'

export interface OpenAiEmbedderOptions {
  readonly client: OpenAiClient
  readonly model: string
  readonly dimensions: number
  /** Whether the model is asked for vectors of that length; one that cannot shorten them refuses to be asked. */
  readonly asksDimensions: boolean
}

export function createOpenAiEmbedder(options: OpenAiEmbedderOptions): Embedder {
  const { client, model, dimensions, asksDimensions } = options
  return {
    provider: 'openai',
    model,
    dimensions,
    async embed(texts, signal) {
      if (texts.length === 0) return { vectors: [], tokens: 0 }
      const body = {
        model,
        input: [...texts],
        // Not base64, which takes a third of it: some services that speak this API know only numbers.
        encoding_format: 'float' as const,
        ...(asksDimensions ? { dimensions } : {}),
      }
      const answer: unknown = await client.ask(
        model,
        (api, ending) => api.embeddings.create(body, ending),
        signal,
      )
      const vectors = vectorsOf(answer, texts.length, dimensions)
      return {
        vectors,
        tokens: tokensOf(answer) ?? texts.reduce((sum, text) => sum + estimateTokens(text), 0),
      }
    },
  }
}

/** In the order of what was asked, which `index` says, not the order of the answer. */
function vectorsOf(answer: unknown, count: number, dimensions: number): Float32Array[] {
  const data = (answer as { readonly data?: unknown } | null | undefined)?.data
  if (!Array.isArray(data)) throw invalid('no list of embeddings')
  if (data.length !== count) throw invalid(`${data.length} embeddings for ${count} texts`)
  const vectors: (Float32Array | undefined)[] = Array.from({ length: count })
  for (const item of data as readonly ({ readonly index?: unknown; readonly embedding?: unknown } | null)[]) {
    const { index, embedding } = item ?? {}
    if (!Number.isInteger(index) || !((index as number) in vectors) || vectors[index as number] !== undefined)
      throw invalid('embeddings whose indices are not those of the texts')
    vectors[index as number] = vectorOf(embedding, dimensions)
  }
  return vectors as Float32Array[]
}

function vectorOf(embedding: unknown, dimensions: number): Float32Array {
  if (!Array.isArray(embedding)) throw invalid('an embedding that is no list of numbers')
  if (embedding.length !== dimensions)
    throw invalid(
      `a vector of ${embedding.length} numbers instead of ${dimensions} (webhook.ai.embedding.dimensions)`,
    )
  if (!embedding.every((value) => typeof value === 'number' && Number.isFinite(Math.fround(value))))
    throw invalid('an embedding with something in it that is no number')
  return toUnit(Float32Array.from(embedding as number[]))
}

/** What the provider counted; undefined where it does not say. */
function tokensOf(answer: unknown): number | undefined {
  const tokens = (answer as { readonly usage?: { readonly total_tokens?: unknown } | null }).usage
    ?.total_tokens
  return Number.isSafeInteger(tokens) && (tokens as number) >= 0 ? (tokens as number) : undefined
}

function invalid(what: string): Fault {
  return new Fault('AI_ANSWER_INVALID', `the provider of embeddings answered ${what}`)
}
