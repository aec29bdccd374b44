/**
 * Embeddings of texts, from where they cost least:
 *
 *   redacted ──▶ in the cache? ──▶ almost the same as a recent one? ──▶ within the budget? ──▶ a batch to the provider
 *
 * The provider `local` is asked at once: to look for what takes a tenth of a millisecond would take longer.
 */
import { cut } from '@weir/core/cut'
import { type Batcher, createBatcher } from './batcher.ts'
import type { Budget, OverBudget } from './budget.ts'
import { type Cache, cacheName } from './cache.ts'
import type { Embedder } from './embedder.ts'
import type { Guard } from './guard.ts'
import type { NearIdentical } from './near-identical.ts'
import { normalised } from './normalise.ts'
import type { Observe } from './observation.ts'
import type { Source } from './outcome.ts'
import { spending } from './spending.ts'
import { estimateTokens } from './tokens.ts'
import { packVector, unpackVector } from './vector.ts'

export interface Embedding {
  readonly vector: Float32Array
  readonly source: Source
}

export interface EmbeddingDeps {
  readonly embedder: Embedder
  readonly guard: Guard
  readonly batcher: Batcher
  readonly cache: Cache
  readonly near: NearIdentical
  readonly budget: Budget
  redact(text: string): string
  readonly observe: Observe
}

export interface EmbeddedTexts {
  readonly kind: 'done'
  /** One for each text, in their order. */
  readonly embeddings: readonly Embedding[]
}

/**
 * Characters of a text that count. OpenAI's models take 8,191 tokens, and half of that is left to texts with more tokens than
 * a quarter of their characters; what a subject is about stands at the beginning.
 */
const TEXT_MAX = 16_000

/** Throws Fault AI_UNAVAILABLE, AI_REFUSED, AI_INPUT_REFUSED, AI_ANSWER_INVALID, REDIS_…, or the signal's reason. */
export async function embedTexts(
  deps: EmbeddingDeps,
  tenant: string,
  texts: readonly string[],
  signal: AbortSignal | undefined,
): Promise<EmbeddedTexts | OverBudget> {
  const { embedder } = deps
  const asked = texts.map((text) => cut(normalised(deps.redact(text)), TEXT_MAX))
  const vectors = new Map<string, Embedding>()
  const wanted = new Set<string>()
  for (const text of asked) {
    if (text === '') vectors.set(text, { vector: new Float32Array(embedder.dimensions), source: 'nothing' })
    else wanted.add(text)
  }
  if (embedder.provider === 'local') await compute(deps, wanted, vectors, signal)
  else {
    const over = await find(deps, tenant, wanted, vectors, signal)
    if (over !== undefined) return over
  }
  return { kind: 'done', embeddings: asked.map((text) => vectors.get(text) as Embedding) }
}

async function compute(
  { embedder, guard }: EmbeddingDeps,
  wanted: ReadonlySet<string>,
  vectors: Map<string, Embedding>,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (wanted.size === 0) return
  const made = await guard.run(
    wanted.size,
    () => ({ input: 0, output: 0 }),
    () => embedder.embed([...wanted], signal),
  )
  for (const [at, text] of [...wanted].entries())
    vectors.set(text, { vector: made.vectors[at] as Float32Array, source: 'provider' })
}

async function find(
  deps: EmbeddingDeps,
  tenant: string,
  wanted: ReadonlySet<string>,
  vectors: Map<string, Embedding>,
  signal: AbortSignal | undefined,
): Promise<OverBudget | undefined> {
  const { embedder, cache, near, observe } = deps
  const names = new Map(
    [...wanted].map((text) => [text, cacheName(embedder.model, `${embedder.dimensions}`, text)]),
  )
  const nameOf = (text: string) => names.get(text) as string
  const kept = await cache.get(tenant, 'embedding', [...names.values()])
  const fresh = new Map<string, Buffer>()
  const missing: string[] = []
  let similar = 0
  for (const [at, text] of [...wanted].entries()) {
    const packed = kept[at]
    if (packed?.length === embedder.dimensions) {
      vectors.set(text, { vector: unpackVector(packed), source: 'cache' })
      continue
    }
    const vector = near.find(tenant, text)
    if (vector === undefined) missing.push(text)
    else {
      similar += 1
      vectors.set(text, { vector, source: 'similar' })
      fresh.set(nameOf(text), packVector(vector))
    }
  }
  const tell = (found: 'hit' | 'similar' | 'miss', count: number) => {
    if (count > 0) observe({ kind: 'lookup', purpose: 'embedding', found, count })
  }
  tell('hit', wanted.size - missing.length - similar)
  tell('similar', similar)
  tell('miss', missing.length)
  try {
    return await buy(deps, tenant, missing, signal, (text, vector) => {
      vectors.set(text, { vector, source: 'provider' })
      near.add(tenant, text, vector)
      fresh.set(nameOf(text), packVector(vector))
    })
  } finally {
    // What was paid for is kept, also when another text failed.
    await cache.put(tenant, 'embedding', fresh)
  }
}

async function buy(
  { guard, batcher, budget, observe }: EmbeddingDeps,
  tenant: string,
  missing: readonly string[],
  signal: AbortSignal | undefined,
  bought: (text: string, vector: Float32Array) => void,
): Promise<OverBudget | undefined> {
  if (missing.length === 0) return undefined
  const estimate = missing.reduce((sum, text) => sum + estimateTokens(text), 0)
  const plan = { purpose: 'embedding' as const, tenant, estimate }
  const outcome = await spending(budget, observe, plan, async (spent) => {
    const all = await Promise.allSettled(missing.map((text) => batcher.embed(text, signal)))
    const failed = all.find((one) => one.status === 'rejected')
    for (const [at, one] of all.entries()) {
      if (one.status === 'rejected') continue
      const { vector, tokens } = one.value
      spent({ tokens, cost: guard.costOf({ input: tokens, output: 0 }) ?? 0 })
      bought(missing[at] as string, vector)
    }
    if (failed !== undefined) throw failed.reason
  })
  return outcome.kind === 'over-budget' ? outcome : undefined
}

export interface BatchLimits {
  readonly batchSize: number
  /** ms */
  readonly windowMs: number
  readonly concurrent: number
  readonly maxWaiting: number
}

/** Batches of this embedder, each through the guard. */
export function guardedBatcher(
  embedder: Embedder,
  guard: Guard,
  limits: BatchLimits & Pick<Parameters<typeof createBatcher>[0], 'clock'>,
): Batcher {
  return createBatcher({
    ...limits,
    send: (texts, signal) =>
      guard.run(
        texts.length,
        ({ tokens }) => ({ input: tokens, output: 0 }),
        () => embedder.embed(texts, signal),
      ),
  })
}
