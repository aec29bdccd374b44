/** What turns texts into vectors, so that texts about the same thing are near each other. */
export interface Embedder {
  /** `local` leaves nothing and costs nothing: what it makes is neither cached nor counted. */
  readonly provider: 'local' | 'openai'
  readonly model: string
  /** Length of every vector. */
  readonly dimensions: number
  /**
   * One vector of length 1 for each text, in their order; the zero vector of a text that says nothing.
   * Throws Fault AI_UNAVAILABLE, AI_REFUSED, AI_INPUT_REFUSED, AI_ANSWER_INVALID; the signal's reason when it is aborted.
   */
  embed(texts: readonly string[], signal?: AbortSignal): Promise<Embeddings>
}

export interface Embeddings {
  readonly vectors: readonly Float32Array[]
  /** What the provider counted; 0 where it costs nothing. */
  readonly tokens: number
}
