/** The cards of the contexts that all real examples make. */
import { importanceOf } from '@weir/context-lifecycle/importance'
import { type Card, cardOf, cardText } from '@weir/context-lifecycle/search/card'
import { exampleContexts, RECEIVED_AT } from './search-examples.ts'

export interface BenchEmbedder {
  readonly model: string
  embed(text: string): Float32Array
}

export function exampleCards(embedder: BenchEmbedder): readonly Card[] {
  return exampleContexts('acme').map((context) => {
    const importance = importanceOf(context, RECEIVED_AT).score
    const vector = embedder.embed(cardText(cardOf(context, importance)))
    return cardOf(context, importance, { embedding: { model: embedder.model, vector } })
  })
}
