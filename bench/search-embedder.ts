/** The embedder that search is measured with: the one that is built in. */
import { createLocalEmbedder, embedLocally } from '@weir/ai/local-embedder'
import type { BenchEmbedder } from './search-example-cards.ts'

export const EMBEDDER: BenchEmbedder = {
  model: createLocalEmbedder().model,
  embed: (text) => embedLocally(text),
}
