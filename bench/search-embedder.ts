/** The embedder that search is measured with. */
import { hashedEmbedding } from '../packages/context-lifecycle/src/search/hashed-embedder.test-support.ts'
import type { BenchEmbedder } from './search-example-cards.ts'

/** A stand-in of the same kind and size as the local embedder; exchange it here. */
export const EMBEDDER: BenchEmbedder = { model: 'stand-in', embed: hashedEmbedding }
