/** What is known of the embedding models of OpenAI: how long their vectors are, and whether shorter ones can be asked for. */
export interface EmbeddingModel {
  /** Length of its vectors where nothing else is asked for. */
  readonly dimensions: number
  /** It takes `dimensions`, and answers with vectors of that length. */
  readonly shortens: boolean
}

const KNOWN: Readonly<Record<string, EmbeddingModel>> = {
  'text-embedding-3-small': { dimensions: 1536, shortens: true },
  'text-embedding-3-large': { dimensions: 3072, shortens: true },
  'text-embedding-ada-002': { dimensions: 1536, shortens: false },
}

/** The model of this name, also as gateways in front of several providers write it (`openai/text-embedding-3-small`). */
export function embeddingModel(name: string): EmbeddingModel | undefined {
  const plain = name.slice(name.lastIndexOf('/') + 1)
  return Object.hasOwn(KNOWN, plain) ? KNOWN[plain] : undefined
}
